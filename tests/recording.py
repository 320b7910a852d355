"""A `perform` and a `paginate` that keep what they are given, for tests of resources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import msgspec

from syncro_async.paging.paginator import Paginator
from syncro_async.resources.leads import Leads
from syncro_async.transport.exchange import Call

T = TypeVar("T")


@dataclass
class Listed:
    """One list that was asked for."""

    path: str
    query: dict[str, Any]
    item: type
    page_size: int
    start_page: int
    max_items: int | None


@dataclass
class Recorder:
    """Answers every call with `answer` and keeps the calls and lists in order."""

    answer: bytes = b'{"success": true}'
    calls: list[Call[Any]] = field(default_factory=list)
    lists: list[Listed] = field(default_factory=list)

    async def perform(self, call: Call[T], /) -> T:
        self.calls.append(call)
        return call.read(self.answer)

    def paginate(
        self,
        path: str,
        *,
        query: Mapping[str, Any],
        item: type[T],
        page_size: int,
        start_page: int,
        max_items: int | None,
    ) -> Paginator[T]:
        self.lists.append(Listed(path, dict(query), item, page_size, start_page, max_items))
        return cast("Paginator[T]", self)

    @property
    def leads(self) -> Leads:
        return Leads(self.perform, self.paginate)

    @property
    def call(self) -> Call[Any]:
        (call,) = self.calls
        return call

    @property
    def body(self) -> Any:
        body = self.call.body
        return None if body is None else msgspec.json.decode(body)

    @property
    def listed(self) -> Listed:
        (listed,) = self.lists
        return listed

    @property
    def silent(self) -> bool:
        return not self.calls and not self.lists

"""A `perform` and a `paginate` that keep what they are given, for tests of resources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import msgspec

from syncro_async.events import ItemUnreadable
from syncro_async.paging.paginator import Paginator
from syncro_async.resources.account import Account, Users
from syncro_async.resources.arguments import PageRange
from syncro_async.resources.custom_fields import CustomFields
from syncro_async.resources.leads import Leads
from syncro_async.resources.name_cache import NameCache
from syncro_async.resources.pipelines import Pipelines
from syncro_async.resources.resource import Calls
from syncro_async.resources.tasks import Tasks
from syncro_async.resources.webhooks import Webhooks
from syncro_async.resources.whatsapp import WhatsApp
from syncro_async.testing.fake_clock import FakeClock
from syncro_async.transport.messages import Call

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
    """Answers every call with `answer`; keeps the calls, the lists and what it is told."""

    answer: bytes = b'{"success": true}'
    calls: list[Call[Any]] = field(default_factory=list)
    lists: list[Listed] = field(default_factory=list)
    told: list[ItemUnreadable] = field(default_factory=list)

    async def perform(self, call: Call[T], /) -> T:
        self.calls.append(call)
        return call.read(self.answer)

    def paginate(
        self, path: str, query: Mapping[str, Any], item: type[T], part: PageRange, /
    ) -> Paginator[T]:
        self.lists.append(Listed(path, dict(query), item, *part))
        return cast("Paginator[T]", self)

    @property
    def _calls(self) -> Calls:
        names = NameCache(FakeClock())
        return Calls(self.perform, self.paginate, self.told.append, names, lambda _: self._calls)

    @property
    def leads(self) -> Leads:
        return Leads(self._calls)

    @property
    def tasks(self) -> Tasks:
        return Tasks(self._calls)

    @property
    def pipelines(self) -> Pipelines:
        return Pipelines(self._calls)

    @property
    def custom_fields(self) -> CustomFields:
        return CustomFields(self._calls)

    @property
    def whatsapp(self) -> WhatsApp:
        return WhatsApp(self._calls)

    @property
    def account(self) -> Account:
        return Account(self._calls)

    @property
    def users(self) -> Users:
        return Users(self._calls)

    @property
    def webhooks(self) -> Webhooks:
        return Webhooks(self._calls)

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

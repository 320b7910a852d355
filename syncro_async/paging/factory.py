"""Makes the paginator of a list out of what its service says about pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypedDict, TypeVar, cast

import msgspec

from syncro_async._internal.checks import is_int
from syncro_async.dialects.pagination import Cursor, PageNumbers, Paging
from syncro_async.errors import InvalidArgumentError
from syncro_async.events import ItemUnreadable, Observers
from syncro_async.models.page import Page
from syncro_async.paging.cursor import CursorPage, CursorPaginator, cursor_page_decoder
from syncro_async.paging.page_decoding import page_decoder
from syncro_async.paging.paginator import Paginator
from syncro_async.retrying.retry_after import http_date
from syncro_async.transport.messages import Call, RawResponse, SendCall
from syncro_async.transport.urls import Parameters, query_string
from syncro_async.transport.values import refusal, unwrapped

T = TypeVar("T")
P = TypeVar("P", bound="Page[Any] | CursorPage[Any]")


class ListOptions(TypedDict, total=False):
    """What `client.paginate` takes besides the path and the type of the items."""

    params: Parameters | None
    page_size: int | None
    max_items: int | None
    paging: PageNumbers | Cursor | None


@dataclass(frozen=True, slots=True)
class ListRequest(Generic[T]):
    """The list that a call asks for.

    - `path`: percent-encoded
    - `query`: a page number or a cursor in it is where the list begins
    - `item`: what each item is decoded to
    - `page_size`: items a page; None: as many as the service allows
    - `max_items`: the list ends after so many items; None: at its end
    - `start_page`: the first page
    """

    path: str
    query: Sequence[tuple[str, Any]]
    item: type[T]
    page_size: int | None = None
    max_items: int | None = None
    start_page: int = 1

    def without(self, name: str) -> list[tuple[str, Any]]:
        """The parameters but this one, which is given for each page."""
        return [pair for pair in self.query if pair[0] != name]

    def value_of(self, name: str, default: object = None) -> object:
        """The parameter of this name, of several the last one."""
        return dict(self.query).get(name, default)


def make_paginator(
    request: ListRequest[T], paging: Paging, send: SendCall, emit: Observers
) -> Paginator[T]:
    """The paginator of that list; an item that cannot be read is reported.

    Raises `InvalidArgumentError` for a size, a number or a place that cannot be, and for a type of
    the items that cannot be decoded to.
    """
    _check(request, paging)
    asker = _PageFetcher(send, emit)
    if isinstance(paging, PageNumbers):
        return asker.numbered(request, paging)
    return asker.by_cursor(request, paging)


class _PageFetcher:
    """Sends the requests for pages."""

    def __init__(self, perform: SendCall, tell: Observers) -> None:
        self._send = perform
        self._emit = tell

    def numbered(self, request: ListRequest[T], paging: PageNumbers) -> Paginator[T]:
        start = unwrapped(request.value_of(paging.number, request.start_page))
        if not (is_int(start) and start >= 1):
            raise refusal(paging.number, "1 or more", start)
        others = request.without(paging.number)
        read: Callable[[bytes], Page[T]] = page_decoder(cast("Any", request.item))

        async def fetch(number: int, size: int | None = None, /) -> Page[T]:
            page_size = size or request.page_size or paging.largest
            place = [(paging.number, number), (paging.size, page_size)]
            return await self._fetch(request.path, [*others, *place], read)

        return Paginator(
            fetch, start_page=start, max_items=request.max_items, item=cast("Any", request.item)
        )

    def by_cursor(self, request: ListRequest[T], paging: Cursor) -> Paginator[T]:
        if request.page_size is not None and paging.size is None:
            raise InvalidArgumentError(
                f"page_size={request.page_size} needs the name of its parameter: Cursor(size=…)",
                argument="page_size",
            )
        start = unwrapped(request.value_of(paging.query))
        if not (start is None or (isinstance(start, str) and start)):
            raise refusal(paging.query, "a cursor, a str", start)
        others = request.without(paging.query)
        kind = cast("Any", request.item)
        read: Callable[[bytes], CursorPage[T]] = cursor_page_decoder(kind, paging)

        async def ask(place: str | None, size: int | None) -> CursorPage[T]:
            query = [*others, (paging.query, place)]
            if paging.size is not None:
                query.append((paging.size, size or request.page_size))
            return await self._fetch(request.path, query, read)

        return CursorPaginator(ask, start=start, max_items=request.max_items, item=kind)

    async def _fetch(self, path: str, query: Parameters, read: Callable[[bytes], P]) -> P:
        """Ask for a page, and note when the server says it answered."""
        search, replies = query_string(query), list[RawResponse]()
        call = Call("GET", path, read, idempotent=True, query=search, on_response=replies.append)
        page = await self._send(call)
        for bad in page.unreadable:
            self._emit(ItemUnreadable(path, bad.index, bad.reason))
        return msgspec.structs.replace(page, answered_at=_answered_at(replies[0]))


def _answered_at(reply: RawResponse) -> datetime | None:
    stamp = http_date(reply.header("date") or "")
    return None if stamp is None else datetime.fromtimestamp(stamp, UTC)


def _check(request: ListRequest[Any], paging: Paging) -> None:
    size, largest = request.page_size, paging.largest
    if size is not None and not (is_int(size) and 1 <= size <= (largest or size)):
        raise refusal("page_size", f"1 {'or more' if largest is None else f'to {largest}'}", size)
    if request.max_items is not None and not (is_int(request.max_items) and request.max_items >= 0):
        raise refusal("max_items", "0 or more", request.max_items)
    if paging.size is not None and request.value_of(paging.size) is not None:
        raise InvalidArgumentError(
            f"{paging.size} is given as page_size, not in params", argument="params"
        )

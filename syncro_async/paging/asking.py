"""Makes the paginator of a list out of what its service says about pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar, cast

import msgspec

from syncro_async.dialects.listing import Cursor, PageNumbers, Paging
from syncro_async.events import ItemUnreadable, Observers
from syncro_async.models.page import Page
from syncro_async.numeric import is_whole
from syncro_async.paging.cursor_body import CursorBody, cursor_reader
from syncro_async.paging.cursor_walk import CursorPaginator
from syncro_async.paging.page_body import page_reader
from syncro_async.paging.paginator import Paginator
from syncro_async.retrying.retry_after import http_date
from syncro_async.transport.addressing import query_string
from syncro_async.transport.exchange import Call, Perform, Reply

T = TypeVar("T")
P = TypeVar("P", bound="Page[Any] | CursorBody[Any]")


@dataclass(frozen=True, slots=True)
class AskedList(Generic[T]):
    """A list somebody wants: where it is, what is in it, and how much of it.

    `path` is percent-encoded. A place in `query` (a page number, a cursor) is where it begins.
    """

    path: str
    query: Mapping[str, Any]
    item: type[T]
    page_size: int | None = None
    max_items: int | None = None
    start_page: int = 1


def paginator_of(
    asked: AskedList[T], paging: Paging, perform: Perform, tell: Observers
) -> Paginator[T]:
    """The paginator of that list; what of it cannot be read is told.

    Raises `ValueError` for a size, a number or a place that cannot be.
    """
    _check(asked, paging)
    asker = _Asker(perform, tell)
    if isinstance(paging, PageNumbers):
        return asker.numbered(asked, paging)
    return asker.by_cursor(asked, paging)


class _Asker:
    """Sends the requests for pages."""

    def __init__(self, perform: Perform, tell: Observers) -> None:
        self._perform = perform
        self._tell = tell

    def numbered(self, asked: AskedList[T], paging: PageNumbers) -> Paginator[T]:
        start = asked.query.get(paging.number, asked.start_page)
        if not (is_whole(start) and start >= 1):
            raise ValueError(f"{paging.number} must be 1 or more, not {start!r}")
        read: Callable[[bytes], Page[T]] = page_reader(cast("Any", asked.item))

        async def fetch(number: int, size: int | None = None, /) -> Page[T]:
            place = {paging.number: number, paging.size: size or asked.page_size or paging.largest}
            return await self._ask(asked.path, {**asked.query, **place}, read)

        return Paginator(
            fetch, start_page=start, max_items=asked.max_items, item=cast("Any", asked.item)
        )

    def by_cursor(self, asked: AskedList[T], paging: Cursor) -> Paginator[T]:
        if asked.page_size is not None and paging.size is None:
            raise ValueError("page_size needs the name of its parameter: Cursor(size=…)")
        start = asked.query.get(paging.query)
        if not (start is None or (isinstance(start, str) and start)):
            raise ValueError(f"{paging.query} must be a cursor, a str, not {start!r}")
        kind = cast("Any", asked.item)
        read: Callable[[bytes], CursorBody[T]] = cursor_reader(kind, paging)

        async def ask(place: str | None, size: int | None) -> CursorBody[T]:
            query = {**asked.query, paging.query: place}
            if paging.size is not None:
                query[paging.size] = size or asked.page_size
            return await self._ask(asked.path, query, read)

        return CursorPaginator(ask, start=start, max_items=asked.max_items, item=kind)

    async def _ask(self, path: str, query: Mapping[str, Any], read: Callable[[bytes], P]) -> P:
        """Ask for a page, and note when the server says it answered."""
        search, replies = query_string(query), list[Reply]()
        call = Call("GET", path, read, repeatable=True, query=search, heard=replies.append)
        page = await self._perform(call)
        for bad in page.unreadable:
            self._tell(ItemUnreadable(path, bad.index, bad.reason))
        return msgspec.structs.replace(page, answered_at=_answered_at(replies[0]))


def _answered_at(reply: Reply) -> datetime | None:
    stamp = http_date(reply.header("date") or "")
    return None if stamp is None else datetime.fromtimestamp(stamp, UTC)


def _check(asked: AskedList[Any], paging: Paging) -> None:
    size, largest = asked.page_size, paging.largest
    if size is not None and not (is_whole(size) and 1 <= size <= (largest or size)):
        rule = "1 or more" if largest is None else f"1 to {largest}"
        raise ValueError(f"page_size must be {rule}, not {size!r}")
    if asked.max_items is not None and not (is_whole(asked.max_items) and asked.max_items >= 0):
        raise ValueError(f"max_items must be 0 or more, not {asked.max_items!r}")
    if paging.size in asked.query:
        raise ValueError(f"{paging.size} is given as page_size, not in params")

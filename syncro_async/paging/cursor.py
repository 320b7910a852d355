"""Walks through a list by its cursors, which can only be followed one after the other."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import cache
from typing import Generic, TypeVar

import msgspec

from syncro_async.dialects.pagination import Cursor
from syncro_async.errors import ConfigurationError
from syncro_async.models.page import Page, PageMeta, UnreadableItem
from syncro_async.paging.page_decoding import (
    MOST_ITEMS,
    decode_items,
    envelope,
    fields_of,
    is_plain,
    item_decoder,
    raw_items,
)
from syncro_async.paging.pages import Fetch
from syncro_async.paging.paginator import Paginator

T = TypeVar("T")

_cursor = msgspec.json.Decoder(str | int | None).decode


class CursorPage(msgspec.Struct, Generic[T], frozen=True):
    """What a page says; `next_cursor` is None at the end, `named` False where it has no such field.

    A number is a cursor like any text; an empty text is not a cursor.
    """

    items: list[T]
    unreadable: tuple[UnreadableItem, ...]
    next_cursor: str | None
    has_cursor_field: bool
    answered_at: datetime | None = None


@cache
def cursor_page_decoder(item: type[T], cursor: Cursor) -> Callable[[bytes], CursorPage[T]]:
    """A function from the bytes of a list answer to its items and the next cursor.

    Raises `msgspec.ValidationError` when it is no page at all. One unreadable item does not cost
    the others.
    """
    read_all = msgspec.json.Decoder(list[item], strict=False).decode  # type: ignore[valid-type]
    read_one = item_decoder(item)

    def read(raw: bytes) -> CursorPage[T]:
        fields = envelope(raw)
        listed = _under(fields, cursor.items)
        if listed is None:
            raise msgspec.ValidationError(f"there is no list under `{cursor.items}`")
        found = _under(fields, cursor.field)
        place = None if found is None else _cursor(found)
        text = None if place in {None, ""} else str(place)
        if is_plain(listed):
            with suppress(ValueError, RecursionError):
                plain = read_all(listed)
                if len(plain) <= MOST_ITEMS:
                    return CursorPage(plain, (), text, has_cursor_field=found is not None)
        items, unreadable = decode_items(raw_items(listed, cursor.items), read_one)
        return CursorPage(items, unreadable, text, has_cursor_field=found is not None)

    return read


def _under(fields: Mapping[str, bytes], path: str) -> bytes | None:
    """Return the bytes at a path of names joined by dots; None where a name is missing."""
    *outer, last = path.split(".")
    for name in outer:
        inside = fields.get(name, b"null")
        fields = {} if inside == b"null" else fields_of(inside)
    return fields.get(last)


logger = logging.getLogger("syncro_async")

# Gets the page at a cursor (None: the first one), of so many items (None: the list's own size).
Ask = Callable[[str | None, int | None], Awaitable[CursorPage[T]]]


class CursorPaginator(Paginator[T]):
    """A paginator of a list with cursors: it has no count, and is fetched one page ahead at most.

    To go on later where a program stopped, keep `Page.next_cursor`, which `pages()` gives, and
    hand it to `paginate()` in `params`.
    """

    def __init__(
        self,
        ask: Ask[T],
        *,
        start: str | None,
        max_items: int | None,
        item: type[T] | None = None,
    ) -> None:
        super().__init__(CursorFetcher(ask, start), max_items=max_items, item=item)
        self._ask = ask
        self._start = start

    def _walk(self) -> Fetch[T]:
        return CursorFetcher(self._ask, self._start)

    async def count(self) -> int:
        """Raise `ConfigurationError`: a list with cursors does not say how long it is."""
        raise ConfigurationError(
            "a list with cursors has no count; len(await paginator.collect()) reads all of it"
        )


class CursorFetcher(Generic[T]):
    """Fetches the pages of one walk; each is asked for with what the one before it said."""

    def __init__(self, ask: Ask[T], start: str | None) -> None:
        self._ask = ask
        self._place = start
        self._seen_cursors = {start}
        self._total = 0

    async def __call__(self, number: int, size: int | None = None, /) -> Page[T]:
        """Get the next page; `number` says which one that is."""
        body = await self._ask(self._place, size)
        ahead = body.next_cursor
        if ahead is not None and ahead in self._seen_cursors:
            logger.warning("page %d points back to an earlier one; taking it for the end", number)
            ahead = None
        if number == 1 and not body.has_cursor_field and body.items:
            logger.warning("the first page has no field for a cursor; taking it for the only one")
        self._place = ahead
        self._seen_cursors.add(ahead)
        here = len(body.items) + len(body.unreadable)
        self._total += here
        more = ahead is not None
        meta = PageMeta(self._total, here, number, number + more, has_more=more)
        return Page(body.items, meta, body.unreadable, body.answered_at, ahead)

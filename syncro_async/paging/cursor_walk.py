"""Walks through a list by its cursors, which can only be followed one after the other."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from syncro_async.errors import ConfigurationError
from syncro_async.models.page import Page, PageMeta
from syncro_async.paging.cursor_body import CursorBody
from syncro_async.paging.paginator import Paginator
from syncro_async.paging.turning import Fetch

T = TypeVar("T")

logger = logging.getLogger("syncro_async")

# Gets the page at a cursor (None: the first one), of so many items (None: the list's own size).
Ask = Callable[[str | None, int | None], Awaitable[CursorBody[T]]]


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
        super().__init__(CursorWalk(ask, start), max_items=max_items, item=item)
        self._ask = ask
        self._start = start

    def _walk(self) -> Fetch[T]:
        return CursorWalk(self._ask, self._start)

    async def count(self) -> int:
        """Raise `ConfigurationError`: a list with cursors does not say how long it is."""
        raise ConfigurationError(
            "a list with cursors has no count; len(await paginator.collect()) reads all of it"
        )


class CursorWalk(Generic[T]):
    """Fetches the pages of one walk; each is asked for with what the one before it said."""

    def __init__(self, ask: Ask[T], start: str | None) -> None:
        self._ask = ask
        self._place = start
        self._been_at = {start}
        self._total = 0

    async def __call__(self, number: int, size: int | None = None, /) -> Page[T]:
        """Get the next page; `number` says which one that is."""
        body = await self._ask(self._place, size)
        ahead = body.next_cursor
        if ahead is not None and ahead in self._been_at:
            logger.warning("page %d points back to an earlier one; taking it for the end", number)
            ahead = None
        if number == 1 and not body.named and body.items:
            logger.warning("the first page has no field for a cursor; taking it for the only one")
        self._place = ahead
        self._been_at.add(ahead)
        here = len(body.items) + len(body.unreadable)
        self._total += here
        more = ahead is not None
        meta = PageMeta(self._total, here, number, number + more, has_more=more)
        return Page(body.items, meta, body.unreadable, body.answered_at, ahead)

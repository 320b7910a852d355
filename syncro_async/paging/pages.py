"""Decides which page of a list comes next and where the list ends."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import suppress
from operator import attrgetter
from typing import Protocol, TypeVar

import msgspec

from syncro_async.models.page import Page

T = TypeVar("T")

logger = logging.getLogger("syncro_async")


class Fetch(Protocol[T]):
    """Gets one page of a list."""

    def __call__(self, number: int, size: int | None = None, /) -> Awaitable[Page[T]]:
        """Page `number`, counted from 1; with `size` items, or the list's own page size."""


# So many pages in a row may bring nothing new, or lie beyond all that the server counts. Behind
# them nothing is looked for, however often the server says that there is more.
MOST_IDLE_PAGES = 1_000
# A server that shows so many pages in a row again does not know other ones.
MOST_REPEATS = 3


class PageWalk:
    """Decides on one walk through a list which page comes next, and which page came already.

    Servers lie about pages: they show one page for another, echo a wrong number, leave pages in
    the middle empty, or promise more without end. So a page is known again by what is on it. A
    promise of more is believed as long as pages bring something new. A page that is empty or came
    already costs no lead behind it: then `total` says how far there can be more.
    """

    def __init__(self, start: int = 1) -> None:
        self._before = start - 1
        self._shown = 0
        self._largest = 1
        self._seen: set[int] = set()
        self._idle = self._repeats = 0
        self.says_more = False

    def take(self, number: int, page: Page[T]) -> tuple[bool, int | None]:
        """Whether page `number` came already, and the number of the next one (None at the end).

        Afterwards `says_more` is whether the server says that there is more than this page.
        """
        meta, here = page.meta, len(page.items) + len(page.unreadable)
        content = _content_of(page)
        again = here > 0 and content in self._seen
        self._seen.add(content)
        self._shown += 0 if again else here
        self._largest = max(self._largest, here, meta.per_page)
        beyond = number >= meta.last_page and self._position() > meta.total
        self._idle = self._idle + 1 if again or not here or beyond else 0
        self._repeats = self._repeats + 1 if again else 0
        self.says_more = says_more(number, page)
        goes_on = self.says_more and self._idle <= MOST_IDLE_PAGES and self._repeats < MOST_REPEATS
        if (again or not here) and page.next_cursor is None:
            # What is still to come must be among what the server counts.
            promised = -(-meta.total // self._largest)
            goes_on = goes_on and number < promised and self._position() < meta.total
        if again:
            logger.warning(
                "asked for page %d, the server showed page %d again; leaving it out",
                *(number, meta.current_page),
            )
        if self.says_more and not goes_on:
            logger.warning(
                "the list ends after page %d, although the server says that it has more"
                " (%d items of %d)",
                *(number, self._position(), meta.total),
            )
        return again, number + 1 if goes_on else None

    def _position(self) -> int:
        """How many items of the list are behind: those that were shown, and those skipped."""
        return self._before * self._largest + self._shown


def says_more(number: int, page: Page[T]) -> bool:
    """Whether the server says that there are pages behind this one.

    Of `has_more` and `last_page` the more hopeful one is believed: that can cost a request, never
    a lead.
    """
    return page.next_cursor is not None or bool(page.meta.has_more) or number < page.meta.last_page


def _content_of(page: Page[T]) -> int:
    """A number that tells what is on a page: the ids of its items, or all of those without one."""
    return hash((_identities(page.items), tuple(bad.raw for bad in page.unreadable)))


_id_of = attrgetter("id")


def _identities(items: Sequence[object]) -> tuple[object, ...]:
    with suppress(AttributeError):  # most items are structs that have one
        ids = tuple(map(_id_of, items))
        if set(map(type, ids)) <= {int, str}:
            return ids
    return tuple(map(_identity, items))


def _identity(item: object) -> object:
    own = item.get("id") if isinstance(item, Mapping) else getattr(item, "id", None)
    return own if isinstance(own, int | str) else repr(item)


def truncate(page: Page[T], left: int | None) -> tuple[int | None, Page[T]]:
    """The page with at most `left` items, and how many may follow (None: any number)."""
    if left is None:
        return None, page
    if len(page.items) > left:
        page = msgspec.structs.replace(page, items=page.items[:left])
    return left - len(page.items), page


async def items_of(pages: AsyncIterator[Page[T]]) -> AsyncGenerator[T, None]:
    """The items of the pages, one after the other."""
    async for page in pages:
        for item in page.items:
            yield item

"""Decides which page of a list comes next and where the list ends."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import Protocol, TypeVar

import msgspec

from syncro_async.models.page import Page

T = TypeVar("T")

logger = logging.getLogger("syncro_async")


class Fetch(Protocol[T]):
    """Gets one page of a list."""

    def __call__(self, number: int, size: int | None = None, /) -> Awaitable[Page[T]]:
        """Page `number`, counted from 1; with `size` items, or the list's own page size."""


def next_page_number(number: int, page: Page[T]) -> int | None:
    """The number of the page after this one, or None at the end.

    A page is the last when it is empty, or when neither `has_more` nor `last_page` promises
    another: believing the more hopeful of the two can cost a request, never a lead. A cursor is
    followed also from an empty page: filters may have left nothing of it.
    """
    if page.next_cursor is not None:
        return number + 1
    if not page.items and not page.unreadable:
        return None
    return number + 1 if page.meta.has_more or number < page.meta.last_page else None


def is_repeated_page(page: Page[T], previous: Page[T] | None, number: int) -> bool:
    """Whether the server shows a page again instead of page `number`: the list ends here."""
    if previous is None:
        return False
    again = page.meta.current_page < number or bool(page.items and page.items == previous.items)
    if again:
        logger.warning(
            "asked for page %d, the server showed page %d again; taking it for the end",
            number,
            page.meta.current_page,
        )
    return again


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

"""Fetches pages ahead of the one in use, and leaves nothing running behind."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Generic, TypeVar

from syncro_async.errors import ConfigurationError
from syncro_async.models.page import Page
from syncro_async.paging.pages import Fetch, PageWalk, truncate

T = TypeVar("T")


class PrefetchedItems(Generic[T]):
    """What `async with paginator.prefetch()` gives: the items, or the pages, in order, once.

    A second loop over it goes on where the first one stopped. A page that could not be fetched
    raises its error as often as it is asked for.
    """

    def __init__(self, fetch: Fetch[T], ahead: int, start_page: int, max_items: int | None) -> None:
        self._fetch = fetch
        self._ahead = ahead
        self._left = max_items
        self._number: int | None = start_page
        self._walk = PageWalk(start_page)
        self._items: deque[T] = deque()
        self._next = start_page
        self._under_way: deque[asyncio.Future[Page[T]]] = deque()
        self._over = False
        # Several tasks may share the work: one turns the page, the others wait for its items.
        self._turning = asyncio.Lock()

    def __aiter__(self) -> PrefetchedItems[T]:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            async with self._turning:
                if self._items:
                    break
                page = await self._next_page()
                if page is None:
                    raise StopAsyncIteration
                self._items.extend(page.items)
        return self._items.popleft()

    async def pages(self) -> AsyncGenerator[Page[T], None]:
        """The pages in order; the last one is cut where `max_items` says so."""
        while (page := await self._next_page_locked()) is not None:
            yield page

    async def aclose(self) -> None:
        """End every fetch that is under way, and wait until it has ended."""
        self._over = True
        for fetch in self._under_way:
            fetch.cancel()
        # Their errors belong to pages that are not needed any more.
        await asyncio.gather(*self._under_way, return_exceptions=True)
        self._under_way.clear()

    async def _next_page_locked(self) -> Page[T] | None:
        async with self._turning:
            return await self._next_page()

    async def _next_page(self) -> Page[T] | None:
        """The next page, or None at the end; the pages behind it are on their way by then."""
        while (number := self._number) is not None and self._left != 0:
            page = await self._arrival(number)
            self._under_way.popleft()
            again, self._number = self._walk.take(number, page)
            if not again:
                self._left, page = truncate(page, self._left)
            if self._number is not None and self._left != 0:
                self._fetch_up_to(max(self._number, self._reach(number, page)))
            if not again:
                return page
        return None

    async def _arrival(self, number: int) -> Page[T]:
        if not self._over:
            self._fetch_up_to(number)
            # Not `await fetch`: a cancellation of this wait must not cancel the fetch.
            await asyncio.wait((self._under_way[0],))
        if self._over:
            raise ConfigurationError("its `async with` block was left: no more pages are fetched")
        return self._under_way[0].result()

    def _reach(self, number: int, page: Page[T]) -> int:
        """The last page that is surely needed and not too far ahead."""
        ahead = self._ahead
        if self._left is not None and page.items:
            ahead = min(ahead, -(-self._left // len(page.items)))
        return min(page.meta.last_page, number + ahead)

    def _fetch_up_to(self, number: int) -> None:
        while self._next <= number:
            # A task each, owned by the `async with` of Prefetch.
            self._under_way.append(asyncio.ensure_future(self._fetch(self._next)))
            self._next += 1


class Prefetch(Generic[T]):
    """An async context manager around `PrefetchedItems`."""

    def __init__(self, fetch: Fetch[T], ahead: int, start_page: int, max_items: int | None) -> None:
        self._ahead = PrefetchedItems(fetch, ahead, start_page, max_items)

    async def __aenter__(self) -> PrefetchedItems[T]:
        return self._ahead

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._ahead.aclose()

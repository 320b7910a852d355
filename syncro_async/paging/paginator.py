"""Streams a list that the server hands out in pages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, overload

from syncro_async._internal.checks import is_int
from syncro_async.models.page import Page, Rows
from syncro_async.paging.dataframe import Library, frame_maker
from syncro_async.paging.pages import Fetch, PageWalk, items_of, says_more, truncate
from syncro_async.paging.prefetch import Prefetch
from syncro_async.transport.values import refusal, unwrapped

T = TypeVar("T")
F = TypeVar("F")

_CANNOT_BE_AWAITED = (
    "a list is fetched page by page and cannot be awaited: write `await ….collect()` for all items"
    " in a list, `await ….first()` for one, or `async for item in …:`"
)
_NEEDS_ASYNC_FOR = (
    "a list is fetched page by page and needs `async for item in …:`, or `await ….collect()` for"
    " all items in a list"
)


class Paginator(Generic[T]):
    """The items of a list, fetched page by page while they are used.

    Nothing is fetched before the first item is asked for, and each iteration starts anew. Memory
    holds two pages, however long the list. An item that does not fit its model is left out of
    the items, logged at WARNING, reported to the observers as `ItemUnreadable`, and kept with its
    bytes in `Page.unreadable`, which `pages()` gives.

    Every page is one request of the budget; errors are those of any call. A list that changes
    while it is read can show an item twice or not at all where pages are counted by number.

        async for lead in syncro.leads.list(tags=["vip"]):
            print(lead.name)
    """

    def __init__(
        self,
        fetch: Fetch[T],
        *,
        start_page: int = 1,
        max_items: int | None = None,
        item: type[T] | None = None,
    ) -> None:
        self._fetch = fetch
        self._item = item
        self._start_page = start_page
        self._max_items = max_items

    def __repr__(self) -> str:
        item = self._item
        what = "" if item is None or item is Any else f" of {item.__name__}"
        return (
            f"<{type(self).__name__}{what}: fetch it with `async for`, or await its collect(),"
            " first() or to_dataframe()>"
        )

    def _walk(self) -> Fetch[T]:
        """What fetches the pages of one iteration, in order."""
        return self._fetch

    def __aiter__(self) -> AsyncIterator[T]:
        return items_of(self.pages())

    if not TYPE_CHECKING:  # for a type checker it stays an error to await or to loop over it

        def __await__(self) -> NoReturn:
            """Say what to await instead. Raises `TypeError`."""
            raise TypeError(_CANNOT_BE_AWAITED)

        def __iter__(self) -> NoReturn:
            """Say how to loop instead. Raises `TypeError`."""
            raise TypeError(_NEEDS_ASYNC_FOR)

    async def pages(self) -> AsyncGenerator[Page[T], None]:
        """The pages in order; the last one is cut where `max_items` says so."""
        left = self._max_items
        fetch = self._walk()
        number: int | None = self._start_page
        walk = PageWalk(self._start_page)
        while number is not None and left != 0:
            page = await fetch(number)
            again, number = walk.take(number, page)
            if not again:
                left, shown = truncate(page, left)
                yield shown

    async def collect(self) -> list[T]:
        """All items in one list, which a notebook shows as a table."""
        rows: Rows[T] = Rows()
        async for page in self.pages():
            rows += page.items
        return rows

    @overload
    async def to_dataframe(self, library: type[F]) -> F: ...
    @overload
    async def to_dataframe(self, library: Library | None = None) -> Any: ...
    async def to_dataframe(self, library: Library | type[Any] | None = None) -> Any:
        """Fetch all items as a data frame.

            frame = await syncro.leads.list(include=["owner"]).to_dataframe("polars")
            frame.select("id", "stage.name", "owner.name", "custom_fields.tamanho_empresa")

        - `library`: `"polars"`, `"pandas"`, or None for the one that is installed. With
          `polars.DataFrame` or `pandas.DataFrame` a type checker knows the type of the result.

        The frame has a column for each field of the model, also for an empty list, and null for
        what was not sent. Numbers, texts, booleans and dates have their types (pandas: the
        nullable ones), times are in UTC, and lists of texts are lists. A nested model has a column
        for each of its fields (`stage.id`, `stage.name`), and each custom field that an item has is
        a column (`custom_fields.NAME`) of the type of its values. Lists of records are JSON texts.
        For items that are plain objects there is a column for each key.

        Raises `ModuleNotFoundError` before the first request when the library is missing (extra
        `dataframe`), and `InvalidArgumentError` for any other library.
        """
        make = frame_maker(library)
        return make(await self.collect(), self._item)

    async def first(self) -> T | None:
        """The first item that can be read, or None when there is none. As a rule one request."""
        if self._max_items == 0:
            return None
        # Asking for a single item would move the pages behind the first one.
        size = 1 if self._start_page == 1 else None
        page = await self._walk()(self._start_page, size)
        if not page.items and (page.unreadable or says_more(self._start_page, page)):
            async with aclosing(items_of(self.pages())) as items:
                return await anext(items, None)
        return page.items[0] if page.items else None

    async def count(self) -> int:
        """How many items the whole list has, by the server's count (`meta.total`). One request."""
        return (await self._fetch(1, 1)).meta.total

    def prefetch(self, pages: int = 4) -> Prefetch[T]:
        """Fetch up to `pages` pages ahead of the one in use; order is kept, memory is bounded.

        Nothing is left running when the block is left, however it is left.

            async with syncro.leads.list().prefetch(pages=8) as leads:
                async for lead in leads:
                    ...

        Raises `InvalidArgumentError` when `pages` is no int of 1 or more.
        """
        ahead = unwrapped(pages)
        if not (is_int(ahead) and ahead >= 1):
            raise refusal("pages", "1 or more", pages)
        return Prefetch(self._walk(), ahead, self._start_page, self._max_items)

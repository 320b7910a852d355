"""One page of a list, and what the server says of the whole list."""

from __future__ import annotations

from typing import Generic, SupportsIndex, TypeVar, overload

from syncro_async._internal.html import rows_table
from syncro_async.models import base
from syncro_async.models.types import Moment

T = TypeVar("T")


class Rows(list[T]):
    """A list that a notebook shows as a table; so is any slice of it."""

    __slots__ = ()

    @overload
    def __getitem__(self, place: SupportsIndex, /) -> T: ...
    @overload
    def __getitem__(self, place: slice, /) -> Rows[T]: ...
    def __getitem__(self, place: SupportsIndex | slice, /) -> T | Rows[T]:
        if isinstance(place, slice):
            return Rows(super().__getitem__(place))
        return super().__getitem__(place)

    def _repr_html_(self) -> str:
        return rows_table(self)


class PageMeta(base.Model, frozen=True):
    """The position of a page in its list (API reference, "Errors and limits", Pagination).

    - `total`: the items of all pages; `per_page`: the items of a full page.
    - `current_page`, `last_page`: page numbers, counted from 1.
    - `has_more`: whether there are more pages, None where the service does not say it.

    A list with cursors does not say how long it is: its `total` and `last_page` count what has been
    read so far.
    """

    total: int
    per_page: int
    current_page: int
    last_page: int
    has_more: bool | None = None


class UnreadableItem(base.Model, frozen=True):
    """An item that does not fit its model.

    - `index`: its place in the page, counted from 0.
    - `raw`: its JSON in bytes; `reason`: what is wrong with it.
    """

    index: int
    raw: bytes
    reason: str


class Page(base.Model, Generic[T], frozen=True):
    """One page of a list.

    - `items`: the items in the server's order, without those that cannot be read.
    - `meta`: the position of the page in the list.
    - `unreadable`: the items that cannot be read.
    - `answered_at`: the time of the answer by the server's clock (the header `Date`, RFC 9110,
      6.6.1, in whole seconds), None where the header is missing.
    - `next_cursor`: the cursor of the next page, None at the end of a list and in a list without
      cursors.
    """

    items: list[T]
    meta: PageMeta
    unreadable: tuple[UnreadableItem, ...] = ()
    answered_at: Moment | None = None
    next_cursor: str | None = None

    def _repr_html_(self) -> str:
        meta = self.meta
        where = f"page {meta.current_page:,} of {meta.last_page:,}, {meta.total:,} in all"
        return rows_table(self.items, where)

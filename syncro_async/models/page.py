"""One page of a list, and what the server says of the whole list."""

from __future__ import annotations

from typing import Generic, SupportsIndex, TypeVar, overload

from syncro_async._internal.html import rows_table
from syncro_async.models import base
from syncro_async.models.types import Moment

T = TypeVar("T")


class Rows(list[T]):
    """A list like any other, but for how a notebook shows it, and any slice of it."""

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
    """Where a page stands (API reference, "Errors and limits", Pagination).

    `total` counts the items of all pages; pages count from 1. `has_more` is None where the
    service does not send it. A list with cursors does not say how long it is: there `total` and
    `last_page` go as far as the list has been read.
    """

    total: int
    per_page: int
    current_page: int
    last_page: int
    has_more: bool | None = None


class UnreadableItem(base.Model, frozen=True):
    """An item that does not fit its model: its place in the page (from 0), its bytes, and why."""

    index: int
    raw: bytes
    reason: str


class Page(base.Model, Generic[T], frozen=True):
    """One page: its items in the server's order, and `unreadable`, those that could not be read.

    `answered_at` is the server's own clock when it answered (the header `Date`, RFC 9110, 6.6.1,
    in whole seconds), None where it does not say. `next_cursor` is where a list with cursors goes
    on, None at its end and in other lists.
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

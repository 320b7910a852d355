"""A list of what the API sent, which a notebook shows as a table."""

from __future__ import annotations

from typing import SupportsIndex, TypeVar, overload

from syncro_async.html_tables import rows_table

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

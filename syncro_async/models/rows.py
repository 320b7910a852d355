"""A list of what the API sent, which a notebook shows as a table."""

from __future__ import annotations

from typing import TypeVar

from syncro_async.html_tables import rows_table

T = TypeVar("T")


class Rows(list[T]):
    """A list like any other, but for how a notebook shows it."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return rows_table(self)

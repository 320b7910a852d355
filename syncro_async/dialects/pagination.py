"""How a service hands out its lists page by page, as values."""

from __future__ import annotations

from dataclasses import dataclass

from syncro_async._internal.checks import is_int
from syncro_async.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class PageNumbers:
    """Pages are asked for by number, and `meta` says which is the last.

        syncro.paginate("/leads", paging=PageNumbers(largest=50))

    `number` and `size` are the names of the two query parameters, `largest` is how many items a
    page may hold. The items are in `data`; `meta` holds `total`, `per_page`, `current_page`
    and `last_page`, and `has_more` where the service sends it.
    """

    number: str = "page"
    size: str = "per_page"
    largest: int = 200


@dataclass(frozen=True, slots=True)
class Cursor:
    """Each page says with which opaque text the next one is asked for; the last one with none.

        syncro.paginate("/leads", paging=Cursor(query="cursor", field="meta.nextCursor"))

    `query` is the name of the query parameter that text goes into. `field` is where an answer
    holds it and `items` where its items are, both as names joined by dots (`"meta.nextCursor"`).
    `size` is the query parameter of the page size, where there is one, and `largest` how many
    items a page may hold, where that is known.

    Raises `ConfigurationError` for names that are empty.
    """

    query: str
    field: str
    items: str = "data"
    size: str | None = None
    largest: int | None = None

    def __post_init__(self) -> None:
        for name in ("query", "field", "items", "size"):
            value = getattr(self, name)
            optional = name == "size" and value is None
            if not optional and not (isinstance(value, str) and all(value.split("."))):
                raise ConfigurationError(f"Cursor: {name}={value!r} must be a name")
        if self.largest is not None and not (is_int(self.largest) and self.largest >= 1):
            raise ConfigurationError(f"Cursor: largest={self.largest!r} must be 1 or more")


Paging = PageNumbers | Cursor

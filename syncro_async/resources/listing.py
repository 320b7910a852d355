"""What a resource needs of the client to offer a list page by page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from syncro_async.paging.paginator import Paginator

T = TypeVar("T")


class Paginate(Protocol):
    """Makes the paginator of a list; nothing is sent before its first item is asked for."""

    def __call__(
        self,
        path: str,
        *,
        query: Mapping[str, Any],
        item: type[T],
        page_size: int,
        start_page: int,
        max_items: int | None,
    ) -> Paginator[T]:
        """Page through `path` with `query` as it stands, `page_size` items at a time."""
        ...

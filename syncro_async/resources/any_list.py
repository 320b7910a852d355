"""Pages through any list of a service, whether or not it has a method of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, TypeVar, cast, overload

from syncro_async.dialects.pagination import Cursor, PageNumbers, Paging
from syncro_async.errors import ConfigurationError
from syncro_async.events import Observers
from syncro_async.paging.factory import ListRequest, make_paginator
from syncro_async.paging.paginator import Paginator
from syncro_async.resources.arguments import PageRange
from syncro_async.settings import Settings
from syncro_async.transport.json_codec import decoder_for
from syncro_async.transport.messages import Call
from syncro_async.transport.urls import Parameters, pairs_of, query_string, relative_path
from syncro_async.transport.values import refusal, unwrapped

T = TypeVar("T")


class AnyList(ABC):
    """The part of the client that makes paginators."""

    _settings: Settings
    _emit: Observers

    @abstractmethod
    async def _send(self, call: Call[T], /) -> T:
        """Send the call through limiter, retries and decoding."""

    @overload
    def paginate(
        self,
        path: str,
        *,
        params: Parameters | None = None,
        item: None = None,
        page_size: int | None = None,
        max_items: int | None = None,
        paging: PageNumbers | Cursor | None = None,
    ) -> Paginator[Any]: ...
    @overload
    def paginate(
        self,
        path: str,
        *,
        params: Parameters | None = None,
        item: type[T],
        page_size: int | None = None,
        max_items: int | None = None,
        paging: PageNumbers | Cursor | None = None,
    ) -> Paginator[T]: ...
    def paginate(
        self,
        path: str,
        *,
        params: Parameters | None = None,
        item: type[Any] | None = None,
        page_size: int | None = None,
        max_items: int | None = None,
        paging: PageNumbers | Cursor | None = None,
    ) -> Paginator[Any]:
        """Page through any list of the service; nothing is sent before an item is asked for.

            async for contact in wolfeo.paginate("/contacts", params={"period": "all"}):
                print(contact["email"])

        Raises `ConfigurationError` when the service does not document how its lists are paged and
        `paging` is not given, and `InvalidArgumentError` for arguments that cannot be sent.

        - `path`, `params`: as for `request()`. A page number or a cursor among the `params` is
          where the list begins.
        - `item`: what each item is decoded to (None: plain objects).
        - `page_size`: items a page (None: as many as the service allows).
        - `max_items`: the list ends after so many items (None: at its end).
        - `paging`: how this list is paged, where it differs from the service's other lists.
        """
        kind = cast("type[Any]", Any) if item is None else item
        base_url = self._settings.config.base_url
        decoder_for(kind, "item")
        query = pairs_of(params)
        query_string(query)  # what cannot be sent is said now, not with the first page
        asked = ListRequest(
            relative_path(path, base_url),
            query,
            kind,
            cast("int | None", unwrapped(page_size)),
            cast("int | None", unwrapped(max_items)),
        )
        return make_paginator(asked, self._paging(paging), self._send, self._emit)

    def _paginate(
        self, path: str, query: Mapping[str, Any], item: type[T], part: PageRange, /
    ) -> Paginator[T]:
        pairs = pairs_of(query)
        asked = ListRequest(path, pairs, item, part.page_size, part.max_items, part.start_page)
        return make_paginator(asked, self._paging(None), self._send, self._emit)

    def _paging(self, given: Paging | None) -> Paging:
        dialect = self._settings.config.dialect
        if given is not None and not isinstance(given, PageNumbers | Cursor):
            raise refusal("paging", "a PageNumbers or a Cursor", given)
        paging = given or dialect.paging
        if paging is None:
            raise ConfigurationError(
                f"{dialect.name} does not document how its lists are paged; give the names of the"
                " query parameter and of the field of its cursor, for example"
                " paging=Cursor(query='cursor', field='meta.nextCursor')"
            )
        return paging

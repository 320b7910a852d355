"""Reads one page of a list, and saves the rest of it from an item that cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec

from syncro_async.models.envelope import Envelope
from syncro_async.models.page import Page, PageMeta
from syncro_async.paging.one_by_one import item_reader, one_by_one
from syncro_async.retrying.retry_after import http_date
from syncro_async.transport.exchange import Reply
from syncro_async.transport.json_codec import reading

T = TypeVar("T")


class _PageBody(Envelope, Generic[T], frozen=True, kw_only=True):
    data: list[T]
    meta: PageMeta


@cache
def page_reader(item: type[T]) -> Callable[[bytes], Page[T]]:
    """A function from the bytes of a list answer to a `Page` of `item`.

    Raises `msgspec.ValidationError` when it is no page at all. One unreadable item does not cost
    the others: it stands in `Page.unreadable`.
    """
    read_all = reading(_PageBody[item])  # type: ignore[valid-type]
    read_raw = reading(_PageBody[msgspec.Raw])
    read_one = item_reader(item)

    def read(raw: bytes) -> Page[T]:
        try:
            body = read_all(raw)
        except (msgspec.ValidationError, RecursionError):
            return _salvage(read_raw(raw), read_one)
        return Page(body.data, body.meta)

    return read


def dated(page: Page[T], reply: Reply) -> Page[T]:
    """The page with the moment at which the server says it answered."""
    stamp = http_date(reply.header("date") or "")
    if stamp is None:
        return page
    return msgspec.structs.replace(page, answered_at=datetime.fromtimestamp(stamp, UTC))


def _salvage(body: _PageBody[msgspec.Raw], read_one: Callable[[Any], T]) -> Page[T]:
    items, unreadable = one_by_one(body.data, read_one)
    return Page(items, body.meta, unreadable)

"""Reads one page of a list, and saves the rest of it from an item that cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Generic, TypeVar

import msgspec

from syncro_async.models.envelope import Envelope
from syncro_async.models.page import Page, PageMeta
from syncro_async.paging.one_by_one import item_reader, one_by_one
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
            page = read_all(raw)
        except (msgspec.ValidationError, RecursionError):
            body = read_raw(raw)
            items, unreadable = one_by_one(body.data, read_one)
            return Page(items, body.meta, unreadable)
        return Page(page.data, page.meta)

    return read

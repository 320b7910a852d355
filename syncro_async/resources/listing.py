"""Reads the lists that the API returns whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from syncro_async.events import ItemUnreadable
from syncro_async.models.page import Rows
from syncro_async.paging.page_decoding import decode_items, envelope, item_decoder, items_under
from syncro_async.resources.resource import Emit

T = TypeVar("T")


def whole_list(
    path: str, emit: Emit, item: type[T], read: Callable[[Any], T] | None = None
) -> Callable[[bytes], list[T]]:
    """A function from `{"data": […]}` to its items, read with `read` where that is given.

    An item that cannot be read is left out and reported with `path`.
    """
    read_one = read or item_decoder(item)

    def read_all(raw: bytes) -> list[T]:
        return readable(path, emit, items_under(envelope(raw), "data"), read_one)

    return read_all


def readable(path: str, emit: Emit, raws: Iterable[bytes], read: Callable[[Any], T]) -> list[T]:
    """The items that can be read; each of the others is reported."""
    items, unreadable = decode_items(raws, read)
    for bad in unreadable:
        emit(ItemUnreadable(path, bad.index, bad.reason))
    return Rows(items)

"""Reads one page of a list, and saves the rest of it from an item that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Generic, TypeVar, cast

import msgspec

from syncro_async.models.envelope import Envelope
from syncro_async.models.page import Page, PageMeta, UnreadableItem
from syncro_async.transport.json_codec import decoder_for

T = TypeVar("T")


def item_decoder(item: type[T]) -> Callable[[Any], T]:
    """A function from the JSON of one item to `item`; numeric text is accepted as a number."""
    return _decoder(cast("Any", item))


def decode_items(
    raws: Iterable[msgspec.Raw], read: Callable[[Any], T]
) -> tuple[list[T], tuple[UnreadableItem, ...]]:
    """What could be read, in order, and what could not, with its place in the list."""
    items: list[T] = []
    unreadable: list[UnreadableItem] = []
    for index, raw in enumerate(raws):
        try:
            items.append(read(raw))
        except (msgspec.MsgspecError, RecursionError) as problem:
            unreadable.append(UnreadableItem(index, bytes(raw), str(problem)))
    return items, tuple(unreadable)


@cache  # building a decoder costs more than using it
def _decoder(item: Any) -> Callable[[Any], Any]:
    return msgspec.json.Decoder(item, strict=False).decode


class _PageBody(Envelope, Generic[T], frozen=True, kw_only=True):
    data: list[T]
    meta: PageMeta


@cache
def page_decoder(item: type[T]) -> Callable[[bytes], Page[T]]:
    """A function from the bytes of a list answer to a `Page` of `item`.

    Raises `msgspec.ValidationError` when it is no page at all. One unreadable item does not cost
    the others: it stands in `Page.unreadable`.
    """
    read_all = decoder_for(_PageBody[item])  # type: ignore[valid-type]
    read_raw = decoder_for(_PageBody[msgspec.Raw])
    read_one = item_decoder(item)

    def read(raw: bytes) -> Page[T]:
        try:
            page = read_all(raw)
        except (msgspec.ValidationError, RecursionError):
            body = read_raw(raw)
            items, unreadable = decode_items(body.data, read_one)
            return Page(items, body.meta, unreadable)
        return Page(page.data, page.meta)

    return read

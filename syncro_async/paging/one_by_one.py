"""Reads the items of a list one by one, so that a bad one does not cost the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from syncro_async.models.page import UnreadableItem

T = TypeVar("T")


def item_reader(item: type[T]) -> Callable[[Any], T]:
    """A function from the JSON of one item to `item`; numeric text is accepted as a number."""
    return _decoder(cast("Any", item))


def one_by_one(
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

"""Reads one page of a list whose answers say with which cursor the next page is asked for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec

from syncro_async.dialects.listing import Cursor
from syncro_async.models.page import UnreadableItem
from syncro_async.paging.one_by_one import item_reader, one_by_one
from syncro_async.transport.json_codec import reading

T = TypeVar("T")

_NULL = b"null"
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_cursor = msgspec.json.Decoder(str | int | None).decode


class CursorBody(msgspec.Struct, Generic[T], frozen=True):
    """What a page says; `next_cursor` is None at the end, `named` False where it has no such field.

    A number is a cursor like any text; an empty text is none.
    """

    items: list[T]
    unreadable: tuple[UnreadableItem, ...]
    next_cursor: str | None
    named: bool
    answered_at: datetime | None = None


@cache
def cursor_reader(item: type[T], cursor: Cursor) -> Callable[[bytes], CursorBody[T]]:
    """A function from the bytes of a list answer to its items and the next cursor.

    Raises `msgspec.ValidationError` when it is no page at all. One unreadable item does not cost
    the others.
    """
    read_envelope: Callable[[bytes], dict[str, msgspec.Raw]] = reading(dict[str, msgspec.Raw])
    read_all = msgspec.json.Decoder(list[item], strict=False).decode  # type: ignore[valid-type]
    read_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
    read_one = item_reader(item)

    def read(raw: bytes) -> CursorBody[T]:
        answer = read_envelope(raw)
        listed = _under(answer, cursor.items)
        if listed is None:
            raise msgspec.ValidationError(f"there is no list under `{cursor.items}`")
        found = _under(answer, cursor.field)
        place = None if found is None else _cursor(found)
        text = None if place in {None, ""} else str(place)
        try:
            return CursorBody(read_all(listed), (), text, named=found is not None)
        except (msgspec.ValidationError, RecursionError):
            items, unreadable = one_by_one(read_list(listed), read_one)
        return CursorBody(items, unreadable, text, named=found is not None)

    return read


def _under(answer: dict[str, msgspec.Raw], path: str) -> Any:
    """The bytes that stand under names joined by dots; None where one of the names is missing."""
    *outer, last = path.split(".")
    for name in outer:
        inside = answer.get(name, _NULL)
        answer = {} if bytes(inside) == _NULL else _fields(inside)
    return answer.get(last)

"""Reads one page of a list, and saves the rest of it from an item that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from itertools import islice
from typing import Any, Generic, TypeVar

import msgspec

from syncro_async._internal.plain_text import shorten
from syncro_async.models.envelope import Envelope
from syncro_async.models.page import Page, PageMeta, UnreadableItem
from syncro_async.transport.body_limits import (
    DEEPEST,
    DEEPEST_OF_ALL,
    TooLargeError,
    is_deeper,
)
from syncro_async.transport.json_codec import (
    decoder_for,
    lenient_decoder,
    refuse_unless_successful,
)
from syncro_async.transport.json_pieces import elements, is_list, members

T = TypeVar("T")

# No service sends more items in one answer; each takes many times its own bytes.
MOST_ITEMS = 10_000
# What an answer of so many bytes holds fits in 20 MB, whatever its items are.
_SHORT = 2**17


def item_decoder(item: type[T]) -> Callable[[Any], T]:
    """A function from the JSON of one item to `item`; numeric text is accepted as a number."""
    return lenient_decoder(item)


def decode_items(
    raws: Iterable[bytes], read: Callable[[Any], T]
) -> tuple[list[T], tuple[UnreadableItem, ...]]:
    """What could be read, in order, and what could not, with its place in the list."""
    items: list[T] = []
    unreadable: list[UnreadableItem] = []
    for index, raw in enumerate(raws):
        try:
            if is_deeper(raw, DEEPEST):
                raise msgspec.DecodeError(f"it is nested deeper than {DEEPEST} levels")
            items.append(read(raw))
        except (ValueError, RecursionError) as problem:  # of ValueError are msgspec's and Unicode's
            unreadable.append(UnreadableItem(index, raw, shorten(str(problem))))
    return items, tuple(unreadable)


def envelope(raw: bytes) -> dict[str, bytes]:
    """The members of an answer, whatever is in them.

    Raises `NotSuccessfulError` where it says so, and `msgspec.DecodeError` for what is no object.
    """
    if is_deeper(raw, DEEPEST_OF_ALL):
        raise msgspec.DecodeError(f"it is nested deeper than {DEEPEST_OF_ALL} levels")
    found = fields_of(raw)
    if "success" in found:
        refuse_unless_successful(b'{"success":%s}' % found["success"])
    return found


def fields_of(raw: bytes) -> dict[str, bytes]:
    """The members of an object, whatever is in them; raises what msgspec says of anything else."""
    with suppress(msgspec.DecodeError):
        return members(raw)
    return {name: bytes(value) for name, value in _read_fields(raw).items()}


def raw_items(listed: bytes, name: str) -> list[bytes]:
    """Return the items of the list in the field `name`, whatever is in them.

    Raises `TooLargeError` for more of them than an answer may hold, and `msgspec.ValidationError`
    for what is no list.
    """
    if not is_list(listed):
        kind = _KINDS.get(listed[:1], "float")
        raise msgspec.ValidationError(f"Expected `array`, got `{kind}` - at `$.{name}`")
    found = list(islice(elements(listed), MOST_ITEMS + 1))
    if len(found) > MOST_ITEMS:
        raise TooLargeError(f"its list holds more than {MOST_ITEMS:,} items; it was not decoded")
    return found


def items_under(fields: Mapping[str, bytes], name: str, *, optional: bool = False) -> list[bytes]:
    """The items of the list that is the member `name`; none where it may be missing or null."""
    listed = fields.get(name, b"null" if optional else b"")
    if optional and listed in {b"null", b'""'}:
        return []
    if not listed:
        raise msgspec.ValidationError(f"Object missing required field `{name}`")
    return raw_items(listed, name)


_KINDS = {b'"': "str", b"{": "object", b"n": "null", b"t": "bool", b"f": "bool"}
_read_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class _PageBody(Envelope, Generic[T], frozen=True, kw_only=True):
    data: list[T]
    meta: PageMeta


class _Meta(msgspec.Struct, frozen=True):
    meta: PageMeta


_read_meta = lenient_decoder(_Meta)


@cache
def page_decoder(item: type[T]) -> Callable[[bytes], Page[T]]:
    """A function from the bytes of a list answer to a `Page` of `item`.

    Raises `msgspec.ValidationError` when it is no page at all. One unreadable item does not cost
    the others: it is in `Page.unreadable`.
    """
    read_all = decoder_for(_PageBody[item], lenient=False)  # type: ignore[valid-type]
    read_one = item_decoder(item)

    def read(raw: bytes) -> Page[T]:
        if is_plain(raw):
            with suppress(ValueError, RecursionError):
                page = read_all(raw)
                if len(page.data) <= MOST_ITEMS:
                    return Page(page.data, page.meta)
        fields = envelope(raw)
        raws = items_under(fields, "data")
        if "meta" not in fields:
            raise msgspec.ValidationError("Object missing required field `meta`")
        meta = _read_meta(b'{"meta":%s}' % fields["meta"]).meta
        items, unreadable = decode_items(raws, read_one)
        return Page(items, meta, unreadable)

    return read


def is_plain(raw: bytes) -> bool:
    """Whether an answer can be decoded as a whole: none of its items is deep, and they are few.

    In a short one the items are counted when they are decoded, which takes less time.
    """
    is_short = len(raw) < _SHORT
    return (is_short or raw.count(b",") < MOST_ITEMS) and not is_deeper(raw, DEEPEST)

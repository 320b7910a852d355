"""Takes JSON apart without decoding what is in it.

A decoder gives up as a whole. Here what is broken inside one value, for example half a character in
a text, does not cost the values beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

# Up to the next character that has a meaning for the structure. Quantifiers are possessive: the
# time is in proportion to the bytes.
_TEXT = rb'"(?:[^"\\]++|\\.)*+"?'
_NEXT = re.compile(rb'(?:[^"\[\]{},]++|' + _TEXT + rb")*+([\[\]{},])", re.DOTALL)
_NEXT_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|' + _TEXT + rb")*+([\[\]{}])", re.DOTALL)
_NAME = re.compile(rb"\s*+(" + _TEXT + rb")\s*+:", re.DOTALL)
_SPACE = b" \t\r\n"


def members(raw: bytes) -> dict[str, bytes]:
    """The values of an object by their names; of a name that comes twice the last one counts.

    Raises `msgspec.DecodeError` for what is no object, or has no end.
    """
    found: dict[str, bytes] = {}
    for part in _parts(raw, b"{"):
        name = _NAME.match(part)
        if name is None:
            raise msgspec.DecodeError("an object has a member without a name")
        found[_text(name[1])] = part[name.end() :].strip(_SPACE)
    return found


def elements(raw: bytes) -> Iterator[bytes]:
    """The values of a list, or of an object whose names are numbers: PHP's list with gaps.

    Raises `msgspec.DecodeError` for anything else, and for what has no end.
    """
    if raw.lstrip(_SPACE)[:1] == b"[":
        yield from _parts(raw, b"[")
        return
    for part in _parts(raw, b"{"):
        name = _NAME.match(part)
        if name is None or not name[1].strip(b'"').isdigit():
            raise msgspec.DecodeError("Expected `array`, got `object`")
        yield part[name.end() :].strip(_SPACE)


def is_list(raw: bytes) -> bool:
    """Whether `elements` can read it: a list, or an object whose first name is a number."""
    raw = raw.lstrip(_SPACE)
    if raw[:1] == b"{":
        name = _NAME.match(raw, 1)
        return raw[1:].lstrip(_SPACE) == b"}" if name is None else name[1].strip(b'"').isdigit()
    return raw[:1] == b"["


def _parts(raw: bytes, bracket: bytes) -> Iterator[bytes]:
    """Return the parts between the commas of the outermost list or object."""
    at = len(raw) - len(raw.lstrip(_SPACE))
    if raw[at : at + 1] != bracket:
        raise msgspec.DecodeError(f"there is no {bracket.decode()} where one is expected")
    begin, at, depth = at + 1, at + 1, 1
    while depth:
        found = (_NEXT if depth == 1 else _NEXT_BRACKET).match(raw, at)
        if found is None:
            raise msgspec.DecodeError("Input data was truncated")
        at = found.end()
        mark = found[1]
        depth += (mark in b"[{") - (mark in b"]}")
        if mark == b"," or not depth:
            part = raw[begin : at - 1].strip(_SPACE)
            if part or mark == b",":
                yield part
            begin = at if mark == b"," else begin
    if raw[at:].strip(_SPACE):
        raise msgspec.DecodeError("JSON is malformed: trailing characters")


def _text(quoted: bytes) -> str:
    try:
        return str(msgspec.json.decode(quoted))
    except ValueError:
        return quoted.decode("utf-8", "replace")

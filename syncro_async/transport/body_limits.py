"""Bounds what an answer may become in memory, before anything is built of it.

A compressed answer of a few kilobytes can hold a million lists or objects, each of which takes many
times its own text. So values are counted in the bytes first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

# Lists and objects nested deeper than this are not what an API sends; neither `pickle` nor `repr`
# gets through many more levels.
DEEPEST = 100
# Deeper than this a body is not looked into for the records that can be read.
DEEPEST_OF_ALL = 1_000
# Of an answer that is an error so much is read, and kept (bytes). All of it is searched for the
# key, and nothing else runs meanwhile: a second for each MB in the worst case.
ERROR_CAP = 4 * 2**20
# What the values of a result, and of an error's body, may take (bytes).
ROOM = 80 * 2**20
ROOM_OF_AN_ERROR = 32 * 2**20
# No answer that is smaller takes that much.
_SMALL = 2**17

# A record of ours with nothing in it, a list of one item, and a number, with what refers to them.
_OBJECT, _LIST, _SCALAR = 360, 96, 40
# Looked at in one go: the pieces between texts take many times the memory of what they are cut of.
_WINDOW = 2**18
_BACKSLASHES = re.compile(rb"\\*+", re.DOTALL)
# Characters of UTF-8, and escapes, that take four bytes in memory, and two.
_WIDEST = (re.compile(rb"[\xf0-\xff]"), re.compile(rb"\\u[dD][89abAB]"))
_WIDE = (re.compile(rb"[\xc4-\xef]"), re.compile(rb"\\u(?:0[1-9a-fA-F]|[1-9a-fA-F])"))

_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_AS_LISTS = bytes.maketrans(b"{}", b"[]")


class TooLargeError(Exception):
    """An answer would take more memory than an answer may; it becomes an error of the call."""


def check_memory(content: bytes, room: int = ROOM) -> None:
    """Raise `TooLargeError` for JSON whose values would take more than `room` bytes."""
    if len(content) < _SMALL:
        return
    texts = _width(content) * len(content)
    if texts + _memory(content) <= room:
        return
    # Commas and brackets inside texts count for nothing.
    if texts + sum(_memory(part) for part in _outside_texts(content)) > room:
        raise TooLargeError(
            f"its values would take more than {room // 2**20} MB; it was not decoded"
        )


def is_deeper(content: bytes, levels: int) -> bool:
    """Whether JSON is nested deeper than that; brackets inside texts can hide that it is."""
    if 2 * levels >= len(content):
        return False
    return _has_depth((content,), levels) and _has_depth(_outside_texts(content), levels)


def _memory(content: bytes) -> int:
    """What the lists, objects and numbers in it take."""
    return (
        content.count(b"{") * _OBJECT + content.count(b"[") * _LIST + content.count(b",") * _SCALAR
    )


def _width(content: bytes) -> int:
    """How many bytes a character takes in a text that holds the widest of these."""
    if len(content) <= ROOM_OF_AN_ERROR // 4:
        return 1
    for width, patterns in ((4, _WIDEST), (2, _WIDE)):
        if any(pattern.search(content) for pattern in patterns):
            return width
    return 1


def _outside_texts(content: bytes) -> Iterator[bytes]:
    """Yield the parts of JSON that are outside its texts."""
    begin, inside = 0, 0
    while begin < len(content):
        end = begin + _WINDOW
        if content[end - 1 : end] == b"\\" and (run := _BACKSLASHES.match(content, end)):
            end = run.end() + 1
        window = content[begin:end].replace(b"\\\\", b"").replace(b'\\"', b"")
        parts = window.split(b'"')
        yield b"".join(parts[inside::2])
        inside = (inside + len(parts) - 1) % 2
        begin = end


def _has_depth(parts: Iterable[bytes], levels: int) -> bool:
    brackets = b"".join(part.translate(_AS_LISTS, _ALL_BUT_BRACKETS) for part in parts)
    for _ in range(levels):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)

"""Tells numbers from what only looks like one, for settings that callers give."""

from __future__ import annotations

from typing import TypeGuard


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is an int or a float; True and False are not, NaN and infinities are."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_int(value: object) -> TypeGuard[int]:
    """Whether it is an int; True and False are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def parse_uint(text: str | None) -> int | None:
    """Return the number in a text of ASCII digits; None for any other text."""
    if text is None or len(text) > 9 or not (text.isascii() and text.isdigit()):
        return None
    return int(text)

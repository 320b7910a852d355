"""Keeps the digits of numbers and times that Python's own types would change."""

from __future__ import annotations

from collections.abc import Iterable
from ctypes import c_float
from datetime import datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

# A float of 32 bits is told from every other one by so many digits.
_DIGITS_OF_32_BITS = 9
_IN_A_MICROSECOND = 1000


def is_exact(text: str) -> bool:
    """Return whether the float of a decimal text is written as the same number."""
    try:
        return Decimal(text) == Decimal(repr(float(text)))
    except InvalidOperation:  # its exponent has more digits than Decimal takes
        return False


def float_or_text(text: str) -> float | str:
    """The float of a decimal text; the text itself where the float is another number."""
    return float(text) if is_exact(text) else text


def number_of(value: Decimal) -> float | str:
    """A decimal as an int or a float; as its text where the float is another number."""
    if not value.is_finite():
        return float(value)
    return int(value) if value == value.to_integral_value() else float_or_text(f"{value:f}")


def from_32_bits(value: float | None) -> float | None:
    """The shortest decimal of a float of 32 bits: 19.9 where Python has 19.899999618530273."""
    if value is None:
        return None
    written = (float(f"{value:.{digits}g}") for digits in range(1, _DIGITS_OF_32_BITS + 1))
    return next((short for short in written if c_float(short).value == value), value)


def with_nanoseconds(at: datetime | time | None, count: int | None) -> Any:
    """The time `at`, as a text where its `count` of nanoseconds does not fit Python's type."""
    rest = 0 if count is None else count % _IN_A_MICROSECOND
    if at is None or not rest:
        return at
    text = at.isoformat(timespec="microseconds").removesuffix("+00:00")
    end = text.index(".") + len(".000000")
    zone = "Z" if at.tzinfo is not None and end == len(text) else text[end:]
    return f"{text[:end]}{rest:03}{zone}"


def microseconds(counts: Iterable[int | None]) -> list[int | None]:
    """The whole microseconds of counts of nanoseconds."""
    return [None if count is None else count // _IN_A_MICROSECOND for count in counts]

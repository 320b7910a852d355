"""Turns what stands in a cell into the value a field takes; `ValueError` says why it cannot."""

from __future__ import annotations

import math
import re
from datetime import date
from typing import Any

import msgspec

_PLAIN = re.compile(r"[+-]?\d+([.,]\d+)?")
# 1.234 is a thousand and more in one country and little more than one in another.
_AMBIGUOUS = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}")
_POINTS = re.compile(r"[+-]?\d{1,3}(\.\d{3})+(,\d+)?")
_COMMAS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
_WHOLE = re.compile(r"[+-]?\d+(\.0+)?")
_PHONE = re.compile(r"\+?[\d\s().\-/]+")
_FEWEST_DIGITS = 6
_LARGEST = 2**63 - 1
_EMAIL = re.compile(r"[^\s@,;]+@[^\s@,;]+")
_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})(T00:00:00(\.0+)?(Z|[+-]\d{2}:\d{2})?)?")
_YES = frozenset({"true", "1", "yes", "sim", "y", "s", "x"})
_NO = frozenset({"false", "0", "no", "não", "nao", "n"})


def number(value: Any) -> float:
    """A number, from text with a decimal point or comma, too. `1.234` alone is refused."""
    if not isinstance(value, str):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _refusal("must be a number")
        if isinstance(value, float) and not math.isfinite(value):
            raise _refusal("must be a finite number")
        return value if isinstance(value, float) else identifier(value)
    text = value.strip()
    if _AMBIGUOUS.fullmatch(text):
        raise ValueError("may mean thousands or a fraction: write 1234 or 1.2340")
    if _PLAIN.fullmatch(text):
        plain = text.replace(",", ".")
    elif _POINTS.fullmatch(text):
        plain = text.replace(".", "").replace(",", ".")
    elif _COMMAS.fullmatch(text):
        plain = text.replace(",", "")
    else:
        raise _refusal("must be a number")
    return float(plain) if "." in plain else identifier(plain)


def identifier(value: Any) -> int:
    """A whole number; spreadsheets and data frames make 12.0 of 12."""
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        value = int(value.strip().partition(".")[0])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _refusal("must be a whole number")
    if abs(value) > _LARGEST:
        raise _refusal("must be a number that fits 64 bits")
    return value


def text(value: Any) -> str:
    """A text, without the blanks around it."""
    if not isinstance(value, str):
        raise _refusal("must be a text")
    return value.strip()


def phone(value: Any) -> str:
    """A phone as it was written; one that a spreadsheet made 5.51E+12 of is refused."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(identifier(value))
    written = text(value)
    if not _PHONE.fullmatch(written) or len(digits(written)) < _FEWEST_DIGITS:
        raise ValueError("is no phone number")
    return written


def email(value: Any) -> str:
    """An address with an @ in its middle."""
    written = text(value)
    if not _EMAIL.fullmatch(written):
        raise ValueError("is no email address")
    return written


def names(value: Any) -> list[str]:
    """Several texts: a list, JSON of one, or one text with commas or semicolons between them."""
    if isinstance(value, str):
        value = json(value) if value.lstrip().startswith("[") else re.split("[,;]", value)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _refusal("must be a list of texts")
    return list(dict.fromkeys(item.strip() for item in value if item.strip()))


def mapping(value: Any) -> dict[str, Any]:
    """A mapping from names to values, or JSON of one."""
    if isinstance(value, str):
        value = json(value)
    if not isinstance(value, dict):
        raise _refusal("must be a mapping from field names to values")
    return value


def json(value: str) -> Any:
    """What a text says in JSON."""
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("is no JSON") from None


def day(value: Any) -> str:
    """A date, YYYY-MM-DD."""
    found = _DAY.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise _refusal("must be a date, YYYY-MM-DD")
    try:
        date.fromisoformat(found[1])
    except ValueError:
        raise ValueError("is no day of the calendar") from None
    return found[1]


def yes_or_no(value: Any) -> bool:
    """A bool, or a word for one, in English or Portuguese."""
    word = str(value).strip().lower()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise _refusal("must be true or false")


def digits(value: str) -> str:
    """The digits of a phone: what tells two of them apart."""
    return "".join(character for character in value if character.isdecimal())


def is_blank(value: Any) -> bool:
    """Whether a cell holds nothing, which no update can write (API reference, 'Leads', upsert).

    Data frames write NaN for it.
    """
    if isinstance(value, str):
        return not value.strip()
    return value is None or value in ([], {}) or value != value  # noqa: PLR0124  # NaN is not itself


def _refusal(reason: str) -> ValueError:
    return ValueError(reason)

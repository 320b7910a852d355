"""Compares the cells of an export with the values that it was made of."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from syncro_async.bulk.files.xlsx_writing import text_of_cell

# The most digits that a spreadsheet keeps.
_DIGITS = re.compile(r"[+-]?\d{1,15}([.,]\d{1,15})?")


def is_written_so(cell: Any, stored: Any) -> bool:
    """Return whether an export writes this cell, of whatever format, for the stored value."""
    if isinstance(cell, str) and isinstance(stored, str):
        return cell in {stored, text_of_cell(stored)}
    if type(cell) is type(stored) or not isinstance(cell, str):
        return bool(cell == stored)
    if isinstance(stored, int | float) and not isinstance(stored, bool):
        return _number(cell) == stored
    try:
        return bool(msgspec.json.decode(cell) == stored)
    except (msgspec.DecodeError, RecursionError):
        return False


def is_made_a_number(cell: Any, stored: Any) -> bool:
    """Return whether a spreadsheet has made a number of this stored text: `12` of `0012`."""
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        return False
    if not isinstance(stored, str) or not _DIGITS.fullmatch(stored):
        return False
    shown = str(cell)
    return len(shown) < len(stored) and _number(shown) == _number(stored)


def _number(cell: str) -> float | None:
    try:
        return float(cell.replace(",", "."))
    except ValueError:
        return None

"""Compares the cells of an export with the values that it was made of."""

from __future__ import annotations

from typing import Any

import msgspec


def is_written_so(cell: Any, stored: Any) -> bool:
    """Return whether an export writes this cell, of whatever format, for the stored value."""
    if type(cell) is type(stored) or not isinstance(cell, str):
        return bool(cell == stored)
    if isinstance(stored, int | float) and not isinstance(stored, bool):
        return _number(cell) == stored
    try:
        return bool(msgspec.json.decode(cell) == stored)
    except (msgspec.DecodeError, RecursionError):
        return False


def _number(cell: str) -> float | None:
    try:
        return float(cell.replace(",", "."))
    except ValueError:
        return None

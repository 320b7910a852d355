"""Writes leads to an Excel workbook, row by row, so that memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any, BinaryIO

import msgspec

from syncro_async.bulk.files.columns import COLUMNS, Kind
from syncro_async.bulk.files.extras import load_extra
from syncro_async.errors import ConfigurationError

MADE_BY = "syncro_async export"
"""A property of the workbook, by which a later export knows that it may replace the file."""

NO_XML = "\ufffe\uffff"
"""The characters that no cell gives back: calamine leaves their escapes as they are."""

_LARGEST_INTEGER = 2**53  # Excel has floating point numbers only
_FIRST_YEAR = 1901  # before that Excel's calendar has a day that never was
_FORMATS: dict[Kind, str] = {"date": "yyyy-mm-dd", "moment": "yyyy-mm-dd hh:mm:ss"}


def workbook_library() -> Any:
    """Return the library `xlsxwriter`. Raises `ConfigurationError` where it is not installed."""
    return load_extra("xlsxwriter", "files", "a .xlsx file")


def write_workbook(library: Any, out: BinaryIO, rows: Iterable[Sequence[bytes]]) -> None:
    """Write one sheet with a row for each lead (JSON) under a row of column names.

    Numbers and dates are cells of that kind, and times are in UTC. A text is always a text cell,
    which Excel does not run as a formula. Lists and objects are JSON. A number that a number cell
    does not keep (`is_kept`) is a text.

    Raises `ConfigurationError` for a text or a number of leads that is too large for Excel.
    """
    with library.Workbook(out, {"constant_memory": True}) as book:
        book.set_properties({"comments": MADE_BY})
        sheet = book.add_worksheet()
        formats = {kind: book.add_format({"num_format": text}) for kind, text in _FORMATS.items()}
        for index, column in enumerate(COLUMNS):
            sheet.write_string(0, index, column.name)
        leads = (msgspec.json.decode(row) for batch in rows for row in batch)
        for line, lead in enumerate(leads, 1):
            for index, column in enumerate(COLUMNS):
                value = _cell(column.kind, lead.get(column.name))
                if isinstance(value, str):
                    refused = sheet.write_string(line, index, value)
                else:  # a number, a date in its format, or nothing
                    refused = sheet.write(line, index, value, formats.get(column.kind))
                if refused:
                    raise _too_large(lead["id"], column.name, line)


def _cell(kind: Kind, value: Any) -> str | float | date | None:
    """Return the value of a cell: a number, a date or a text, None for nothing."""
    if value is None or (isinstance(value, int | float) and is_kept(value)):
        return value
    if kind in _FORMATS:
        at = date.fromisoformat(value) if kind == "date" else _in_utc(value)
        if at.year >= _FIRST_YEAR:
            return at
    return value if isinstance(value, str) else _json(value)


def is_kept(value: float) -> bool:
    """Return whether a number cell holds exactly this number.

    From 2**53 on Excel does not keep every whole number, and xlsxwriter writes 16 digits, where
    some floats have 17.
    """
    return abs(value) < _LARGEST_INTEGER and float(f"{value:.16G}") == value


def _json(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    for character in NO_XML:
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def text_of_cell(text: str) -> str:
    """Return what a text cell holds of a text: `_xFFFE_` for a character that XML cannot hold."""
    for character in NO_XML:
        text = text.replace(character, f"_x{ord(character):04X}_")
    return text


def _in_utc(value: str) -> datetime:
    return datetime.fromisoformat(value).astimezone(UTC).replace(tzinfo=None)


def _too_large(lead_id: int, column: str, line: int) -> ConfigurationError:
    return ConfigurationError(
        f"lead {lead_id} (line {line + 1}) does not fit into a .xlsx file: Excel takes 32,767"
        f" characters in a cell, here {column}, and 1,048,576 lines; export to .csv or .jsonl"
    )

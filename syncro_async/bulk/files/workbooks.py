"""Reads the rows of an Excel workbook."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from itertools import chain, islice
from typing import Any, BinaryIO

from syncro_async.bulk.files.extras import load_extra
from syncro_async.bulk.files.rows import (
    Line,
    Table,
    names_of,
    rows_under,
    take_header,
    unreadable,
)
from syncro_async.models.receipts import RowProblem

_HEAD_LINES = 100


def workbook_table(file: BinaryIO, name: str, header_row: int | None) -> Table:
    """The rows of the first sheet that is visible and not empty, with Excel's numbers and dates.

    `header_row`: the line of the column names (None: the first that is not blank). Raises
    `BadRowsError` for a broken workbook or an empty one, `ConfigurationError` without the extra.
    """
    library = calamine()
    try:
        book = library.CalamineWorkbook.from_filelike(file)
        sheets = [(title, book.get_sheet_by_name(title)) for title in _titles(library, book)]
        filled = [(title, sheet) for title, sheet in sheets if sheet.total_height]
        cells = filled[0][1].to_python(skip_empty_area=False) if filled else []
    except library.CalamineError as error:
        reason = f"is no workbook that can be read: {error}"
        raise unreadable(name, RowProblem(1, None, reason)) from None
    lines = (Line(number, [_value(cell) for cell in row]) for number, row in enumerate(cells, 1))
    head = list(islice(lines, _HEAD_LINES))
    everything = chain(head, lines)
    header = take_header(everything, header_row, name)
    names = names_of(header.cells)
    rows = rows_under(names, everything, _as_it_is)
    title, *others = [title for title, _ in filled]
    return Table("xlsx", rows, names, header.line, head, sheet=title, other_sheets=tuple(others))


def _titles(library: Any, book: Any) -> list[str]:
    """The sheets with cells, in their order: those that people see, else the hidden ones."""
    sheets = [one for one in book.sheets_metadata if one.typ == library.SheetTypeEnum.WorkSheet]
    seen = [one for one in sheets if one.visible == library.SheetVisibleEnum.Visible]
    return [one.name for one in seen or sheets]


def calamine() -> Any:
    """The library `python_calamine`. Raises `ConfigurationError` where it is not installed."""
    return load_extra("python_calamine", "files", "a .xlsx file")


def _as_it_is(_: str, cell: Any) -> Any:
    return cell


def _value(cell: Any) -> Any:
    """The cell as JSON has it: text of a date, an integer where Excel shows one."""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return int(cell)
    if isinstance(cell, datetime | date | time):
        return cell.isoformat()
    if isinstance(cell, timedelta):
        return str(cell)
    return cell

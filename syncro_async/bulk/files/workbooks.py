"""Reads the rows of an Excel workbook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from itertools import chain, islice
from typing import Any, BinaryIO

from syncro_async.bulk.files.extras import load_extra
from syncro_async.bulk.files.merged_cells import with_merged
from syncro_async.bulk.files.rows import (
    Line,
    Table,
    Unclear,
    names_of,
    rows_under,
    take_header,
    unreadable,
)
from syncro_async.bulk.files.shown_cells import Shown, shown_number, shown_text
from syncro_async.bulk.files.workbook_package import Package, Stored, open_package, stored_cells
from syncro_async.models.receipts import RowProblem

_HEAD_LINES = 100
_END: tuple[int, dict[int, Stored]] = (0, {})
_ERROR = Unclear(
    "is an error of a formula", "correct the formula in the spreadsheet, and save the file"
)
_NOT_COMPUTED = Unclear(
    "is a formula without a stored value",
    "open the file in Excel and save it, so that the values of its formulas are stored",
)


def workbook_table(file: BinaryIO, name: str, header_row: int | None) -> Table:
    """The rows of the first sheet that is visible and not empty, with Excel's numbers and dates.

    A cell whose number format shows something else than its value is read as it is shown, or is
    marked in its row. `header_row`: the line of the column names (None: the first that is not
    blank). Raises `BadRowsError` for a broken workbook or an empty one, `ConfigurationError`
    without the extra.
    """
    library = calamine()
    try:
        book = library.CalamineWorkbook.from_filelike(file)
        sheets = [(title, book.get_sheet_by_name(title)) for title in _titles(library, book)]
        filled = [(title, sheet) for title, sheet in sheets if sheet.total_height]
        cells = filled[0][1].to_python(skip_empty_area=False) if filled else []
        merged = filled[0][1].merged_cell_ranges if filled else None
    except library.CalamineError as error:
        reason = f"is no workbook that can be read: {error}"
        raise unreadable(name, RowProblem(1, None, reason)) from None
    package = open_package(file, name, filled[0][0]) if filled else None
    lines = _lines(cells, package, name)
    head = list(islice(lines, _HEAD_LINES))
    everything = chain(head, lines)
    header = take_header(everything, header_row, name)
    names = names_of(header.cells)
    rows = rows_under(names, with_merged(everything, merged or (), header.line), _as_it_is)
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


def _lines(cells: list[list[Any]], package: Package | None, name: str) -> Iterator[Line]:
    """The lines with what their cells show. Raises `BadRowsError` for a broken file."""
    if package is None:
        yield from (Line(at, [_value(cell) for cell in row]) for at, row in enumerate(cells, 1))
        return
    looks = stored_cells(package, name)
    width = max(map(len, cells), default=0)
    row, stored = next(looks, _END)
    for number, values in enumerate(cells, 1):
        if row == number:
            yield _line(number, values, stored, package)
            row, stored = next(looks, _END)
        else:
            yield Line(number, [_value(value) for value in values])
    # The reader ends before rows in which nothing but formulas without values stands.
    while row:
        yield _line(row, [""] * width, stored, package)
        row, stored = next(looks, _END)


def _line(number: int, values: list[Any], stored: Mapping[int, Stored], package: Package) -> Line:
    unclear = {}
    for place, cell in stored.items():
        if place < len(values):
            values[place], mark = _shown(values[place], cell, package)
            if mark is not None:
                unclear[place] = mark
    return Line(number, [_value(value) for value in values], None, unclear)


def _shown(value: Any, cell: Stored, package: Package) -> Shown:
    if cell.kind == "e":
        return Shown(cell.raw, _ERROR)
    # A program that computes no formula stores nothing, or 0 for each.
    is_computed = cell.raw and (cell.raw != "0" or package.is_computed)
    if cell.formula is not None and cell.kind == "n" and not is_computed:
        return Shown(cell.formula, _NOT_COMPUTED)
    if cell.kind == "n" and cell.raw:
        return shown_number(value, cell.raw, cell.code, from_1904=package.from_1904)
    return shown_text(value, cell.code) if isinstance(value, str) and value else Shown(value)


def _value(cell: Any) -> Any:
    """The cell as JSON has it: text of a date, an integer where Excel shows one."""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return int(cell)
    if isinstance(cell, datetime | date | time | timedelta):
        return str(cell) if isinstance(cell, timedelta) else cell.isoformat()
    return cell

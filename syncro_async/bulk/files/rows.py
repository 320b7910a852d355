"""Defines a row of a source, and makes rows of the cells under a header."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from syncro_async._internal.error_text import counted
from syncro_async.errors import BadRowsError
from syncro_async.models.receipts import RowProblem

# Where a failures file says what went wrong; no import reads it.
ERROR_COLUMN = "syncro_error"
# The column of a failures file for lines that cannot be read as columns.
RAW_COLUMN = "syncro_raw"
_REPEATED = re.compile(r"(.+) \(\d+\)")
_INVISIBLE_ENDS = "\ufeff\u200b\u200e\u200f\u2060\u00ad"


class Unclear(NamedTuple):
    """Why the value of a cell is not surely what its sheet shows.

    - `reason`, `advice`: as in `RowProblem`
    - `in_text`: only a field of text refuses it; a number is sent as it is stored
    """

    reason: str
    advice: str
    in_text: bool = False


NOTHING_UNCLEAR: Mapping[Any, Unclear] = MappingProxyType({})


class Row(NamedTuple):
    """One row.

    - `line`: its line in the source, from 1
    - `columns`: the values by the names of their columns
    - `problems`: why it cannot be imported; empty for a row that could be read
    - `unclear`: by column, what must not be sent when the column is a field
    """

    line: int
    columns: dict[str, Any]
    problems: tuple[RowProblem, ...] = ()
    unclear: Mapping[str, Unclear] = NOTHING_UNCLEAR


class Line(NamedTuple):
    """The cells of one line of a file.

    - `reason`: why they cannot be separated
    - `unclear`: by the cell's place from 0, why its value is not surely what is shown
    """

    line: int
    cells: list[Any]
    reason: str | None = None
    unclear: Mapping[int, Unclear] = NOTHING_UNCLEAR


@dataclass
class Table:
    """A source that is being read.

    - `format`: `"csv"`, `"xlsx"`, `"jsonl"`, `"parquet"`, `"frame"` or `"rows"`
    - `rows`: the rows that are still to be read
    - `header`: the names of the columns as a row has them, None where each row names its own
    - `header_line`: the line of the header
    - `head`: the first lines, for a hint when the header is not where it is expected
    - `encoding`, `codec`, `sample`: how the bytes were read, and a text with a letter beyond ASCII
    - `delimiter`: the character between cells
    - `sheet`, `other_sheets`: the name of the sheet, and of those whose rows are not read
    - `cleaned`: how many cells were changed while they were read, by what was removed
    """

    format: str
    rows: Iterator[Row]
    header: list[str] | None = None
    header_line: int = 1
    head: Sequence[Line] = ()
    encoding: str | None = None
    codec: str | None = None
    sample: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    other_sheets: tuple[str, ...] = ()
    cleaned: Counter[str] = field(default_factory=Counter)


def unreadable(name: str, problem: RowProblem) -> BadRowsError:
    """The error for a source that cannot be read to its end."""
    return BadRowsError(f"{name} cannot be read, nothing was sent", problems=(problem,))


def names_of(cells: Sequence[Any]) -> list[str]:
    """The names of the columns of a header: `""` for none, `phone (2)` for the second `phone`."""
    names: list[str] = []
    for cell in cells:
        name = "" if cell is None else str(cell).strip(_INVISIBLE_ENDS + " \t\r\n\u00a0")
        numbered, count = name, 1
        while numbered and numbered in names:
            count += 1
            numbered = f"{name} ({count})"
        names.append(numbered)
    return names


def column_names(cells: Sequence[Any]) -> list[str]:
    """The same for a table whose columns all have values: `column 3` where the third has none."""
    return [name or f"column {at}" for at, name in enumerate(names_of(cells), 1)]


def repeated_name(name: str, names: Sequence[str]) -> str | None:
    """`phone` for the column `phone (2)` beside a column `phone`, else None."""
    match = _REPEATED.fullmatch(name)
    return match[1] if match and match[1] in names else None


def is_blank_row(cells: Sequence[Any]) -> bool:
    """Return whether no cell of the row holds anything."""
    return all(cell is None or (isinstance(cell, str) and not cell.strip()) for cell in cells)


def take_header(lines: Iterator[Line], header_row: int | None, name: str) -> Line:
    """Read the lines up to the header: that on line `header_row`, else the first with content.

    Raises `BadRowsError` when there is none.
    """
    for line in lines:
        if header_row is None and not is_blank_row(line.cells):
            return line
        if header_row is not None and line.line >= header_row:
            if line.line > header_row or is_blank_row(line.cells):
                reason = f"line {header_row} holds no column names"
                raise unreadable(name, RowProblem(header_row, None, reason, None, _HEADER))
            return line
    reason = "holds no column names"
    raise unreadable(name, RowProblem(header_row or 1, None, reason, None, _HEADER))


_HEADER = "give the line of the column names with {header_row}LINE"


def rows_under(
    header: Sequence[str], lines: Iterator[Line], clean: Callable[[str, Any], Any]
) -> Iterator[Row]:
    """Make a row of every line that is not blank; `clean` gets a column's name and its cell."""
    for line, cells, broken, doubts in lines:
        if broken is not None:
            problem = RowProblem(line, None, broken, cells[0])
            yield Row(line, {RAW_COLUMN: cells[0]}, (problem,))
            continue
        if is_blank_row(cells):
            continue
        width = len(cells)
        while width > len(header) and is_blank_row(cells[width - 1 : width]):
            width -= 1
        columns = {}
        unclear = {}
        for number, cell in enumerate(cells[:width], 1):
            name = header[number - 1] if number <= len(header) else ""
            # Spreadsheets add columns without a name; their values are kept.
            if name or not is_blank_row([cell]):
                name = name or f"column {number}"
                columns[name] = clean(name, cell)
                if number - 1 in doubts:
                    unclear[name] = doubts[number - 1]
        problems: tuple[RowProblem, ...] = ()
        if width != len(header):
            reason = f"has {counted(width, 'cell')}, and the header has {len(header)}"
            problems = (RowProblem(line, None, reason, next(iter(columns.values()), None)),)
        yield Row(line, columns, problems, unclear)

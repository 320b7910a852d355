"""Marks the cells of a sheet that are merged, and gives each row the value that it shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from syncro_async.bulk.files.rows import Line, Unclear, is_blank_row

Range = tuple[tuple[int, int], tuple[int, int]]
"""The row and the column, from 0, of the first cell and of the last one."""

_ADVICE = "unmerge the cells in the spreadsheet, and write into each what it is to hold"
_OVER_ROWS = Unclear("is in cells that are merged over several rows", _ADVICE)
_OVER_COLUMNS = Unclear("is in a cell that is merged with another column", _ADVICE)


@dataclass
class _Merged:
    """Cells that show one value; `value` is known once their first row is read."""

    first: tuple[int, int]
    last: tuple[int, int]
    value: Any = None


def with_merged(lines: Iterable[Line], ranges: Iterable[Range], header: int) -> Iterator[Line]:
    """The lines under the header, in which each row of merged cells has their value.

    All their cells are marked as unclear, and in one row those beside the first.
    """
    ahead = sorted(one for one in ranges if one[1][0] >= header)
    ahead.reverse()
    active: list[_Merged] = []
    for line in lines:
        row = line.line - 1
        while ahead and ahead[-1][0][0] <= row:
            active.append(_Merged(*ahead.pop()))
        active = [one for one in active if one.last[0] >= row]
        yield _marked(line, active) if active else line


def _marked(line: Line, active: Iterable[_Merged]) -> Line:
    cells, unclear = list(line.cells), dict(line.unclear)
    for merged in active:
        (first_row, first), (last_row, last) = merged.first, merged.last
        over_rows = last_row > first_row
        here = range(first, min(last + 1, len(cells)))
        if first_row == line.line - 1:
            merged.value = cells[first] if here else None
            # Cells without a value show the same merged and unmerged.
            if is_blank_row([merged.value]):
                merged.last = (-1, -1)
                continue
        elif here and merged.value is not None:
            cells[first] = merged.value
        for place in here if over_rows else here[1:]:
            unclear.setdefault(place, _OVER_ROWS if over_rows else _OVER_COLUMNS)
    return line._replace(cells=cells, unclear=unclear)

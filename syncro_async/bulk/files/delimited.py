"""Reads text files whose rows are cells between delimiters: .csv, .tsv and .txt."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TextIO

from syncro_async.bulk.files.encodings import (
    ENCODING_ADVICE,
    MARKED,
    Encoding,
    wrong_byte,
)
from syncro_async.bulk.files.formats import text_of
from syncro_async.bulk.files.rows import (
    Line,
    Row,
    Table,
    is_blank_row,
    names_of,
    rows_under,
    take_header,
    unreadable,
)
from syncro_async.models.receipts import RowProblem

_DELIMITERS = ",;\t|"
_SEPARATOR_LINE = re.compile(r"sep=([^\r\n])\r?\n?", re.IGNORECASE)
_HEAD_LINES = 100
_CELL_LIMIT = 2**31 - 1
# What spreadsheets write so that a number stays a text.
_WRAPPED = re.compile(r'="((?:[^"]|"")*)"')
WRAPPED = '="…"'
APOSTROPHE = "'"


def delimited_table(
    text: TextIO, name: str, found: Encoding, header_row: int | None, *, guessed: bool
) -> Table:
    """The rows of a text file that is decoded with `found`.

    `header_row` is the line of the column names (None: the first that is not blank), `guessed`
    says that the encoding was found from the bytes. Raises `BadRowsError` without a header.
    """
    # The module's limit of 131,072 characters is one for the process; it is raised, never lowered.
    csv.field_size_limit(max(csv.field_size_limit(), _CELL_LIMIT))
    delimiter, start = _start(text, header_row)
    head = list(islice(_Reader(_lines_of(text, start), delimiter, start, name), _HEAD_LINES))
    reader = _Reader(_lines_of(text, start), delimiter, start, name)
    header = take_header(reader, header_row, name)
    _check_names(name, header, found)
    cleaned: Counter[str] = Counter()
    names = names_of(header.cells)
    rows = rows_under(names, reader, lambda _, cell: _text_of_cell(cell, cleaned))
    return Table(
        "csv",
        _checked(rows, found, guessed=guessed),
        names,
        header.line,
        head,
        found.name,
        found.codec,
        found.sample,
        delimiter,
        cleaned=cleaned,
    )


class _Reader:
    """Yields the rows of a CSV text, each with the line on which it begins."""

    def __init__(self, lines: Iterator[str], delimiter: str, before: int, name: str) -> None:
        self._text = ""
        self._reader = csv.reader(self._seen(lines), delimiter=delimiter, strict=True)
        self._before = before
        self._name = name

    def _seen(self, lines: Iterator[str]) -> Iterator[str]:
        for self._text in lines:  # the line that an error is about
            yield self._text

    def __iter__(self) -> Iterator[Line]:
        return self

    def __next__(self) -> Line:
        line = self._before + self._reader.line_num + 1
        try:
            return Line(line, next(self._reader))
        except csv.Error as error:
            last = self._before + self._reader.line_num
            reason = f"is no CSV ({error}): look for a quote that is not closed or not doubled"
            if last == line and "end of data" not in str(error):
                return Line(line, [self._text.rstrip("\r\n")], reason)
            # The quote may have swallowed rows that are sound: nothing of the file can be trusted.
            reason = f"{reason}; the row ends on line {last}"
            raise unreadable(self._name, RowProblem(line, None, reason)) from None


def _start(file: TextIO, header_row: int | None) -> tuple[str, int]:
    """The delimiter, and the number of lines to skip before the header.

    A first line `sep=;`, which Excel reads and writes, names the delimiter. Without it the
    delimiter is the one with which the most rows of the head have as many cells as the header.
    """
    first = file.readline()
    file.seek(0)
    named = _SEPARATOR_LINE.fullmatch(first)
    skipped = max(1 if named else 0, (header_row or 1) - 1)
    if named:
        return named[1], skipped
    head = list(islice(_lines_of(file, skipped), _HEAD_LINES))
    return max(_DELIMITERS, key=lambda delimiter: _fit(head, delimiter)), skipped


def _lines_of(file: TextIO, skipped: int) -> Iterator[str]:
    file.seek(0)
    return islice(file, skipped, None)


def _fit(head: Sequence[str], delimiter: str) -> tuple[int, int, int]:
    """How many rows have the header's number of cells, and how many have the most usual number.

    Both are 0 when that number is 1. The last value is the header's number of cells.
    """
    rows = [row for row in csv.reader(head, delimiter=delimiter) if not is_blank_row(row)]
    widths = Counter(map(len, rows))
    width = len(rows[0]) if rows else 1
    usual = max((count for cells, count in widths.items() if cells > 1), default=0)
    return (widths[width] if width > 1 else 0), usual, width


def _check_names(name: str, header: Line, encoding: Encoding) -> None:
    for cell in header.cells:
        if MARKED.search(cell):
            raise unreadable(name, wrong_byte(header.line, None, cell, encoding))


def _text_of_cell(cell: str, cleaned: Counter[str]) -> str:
    """The text that a spreadsheet or an export of ours has written as this cell."""
    wrapped = _WRAPPED.fullmatch(cell.strip())
    if wrapped:
        cleaned[WRAPPED] += 1
        return wrapped[1].replace('""', '"')
    text = text_of(cell)
    if text != cell:
        cleaned[APOSTROPHE] += 1
    return text


def _checked(rows: Iterator[Row], encoding: Encoding, *, guessed: bool) -> Iterator[Row]:
    """The rows; one that holds bytes of another encoding gets a problem."""
    second: Callable[[str], str | None] = _as_utf8
    if not guessed or encoding.codec != "cp1252":
        second = _nothing
    for row in rows:
        problems = list(row.problems)
        before = 0
        for column, cell in row.columns.items():
            if not cell.isascii():
                if MARKED.search(cell):
                    problems.append(wrong_byte(row.line + before, column, cell, encoding))
                elif utf8 := second(cell):
                    reason = f"is {utf8!r} in UTF-8, and the file is not: it mixes two encodings"
                    problems.append(RowProblem(row.line, column, reason, cell, ENCODING_ADVICE))
            before += cell.count("\n")
        yield row._replace(problems=tuple(problems)) if problems else row


def _as_utf8(cell: str) -> str | None:
    try:
        return cell.encode("cp1252").decode()
    except UnicodeError:
        return None


def _nothing(_: str) -> None:
    return None

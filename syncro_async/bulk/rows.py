"""Reads rows, each with its line number, from files and from what programs hold."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import msgspec

from syncro_async.bulk.parquet import parquet_rows
from syncro_async.errors import BadRowsError
from syncro_async.receipts import RowProblem

# Where a failures file says what went wrong; no import reads it.
ERROR_COLUMN = "syncro_error"
SUFFIXES = (".csv", ".jsonl", ".parquet")
_DELIMITERS = ",;\t"
_NOT_UTF8 = "is not UTF-8: save the file as UTF-8 (a spreadsheet calls it “CSV UTF-8”)"


class Row(NamedTuple):
    """One row: where it stands (from 1), and its columns as they came."""

    line: int
    columns: dict[str, Any]


Read = Row | RowProblem


def as_path(source: object) -> Path | None:
    """The file a source names, or None when it is the rows themselves."""
    return Path(source) if isinstance(source, str | os.PathLike) else None


def check_suffix(path: Path) -> str:
    """The suffix in lower case. Raises `ValueError` for one that names no form we read."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path.name} must end in one of {', '.join(SUFFIXES)}")
    return suffix


def file_rows(path: Path) -> Iterator[Read]:
    """The rows of a file, in its order; a row that cannot be read is a `RowProblem`.

    Raises `OSError`, `BadRowsError` for a file that cannot be read on, and `ConfigurationError`
    where the extra `parquet` is missing.
    """
    match check_suffix(path):
        case ".csv":
            return _csv_rows(path)
        case ".jsonl":
            return _jsonl_rows(path)
        case _:
            return (Row(line, columns) for line, columns in parquet_rows(path))


def csv_header(path: Path) -> list[str]:
    """The names of a CSV file's columns. Raises as `file_rows` does."""
    with _opened(path) as file:
        try:
            header = _header(csv.reader(file, delimiter=_delimiter(file)))
            return [name for name in header if name.strip()]
        except UnicodeDecodeError:
            raise _unreadable(path, RowProblem(1, None, _NOT_UTF8)) from None


def given_row(line: int, item: object) -> Read:
    """A mapping, a struct or a dataclass as a row."""
    try:
        columns = msgspec.to_builtins(item)
        msgspec.json.encode(columns)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        return RowProblem(line, None, f"cannot be written as JSON: {error}")
    if not isinstance(columns, dict) or not all(isinstance(name, str) for name in columns):
        return RowProblem(line, None, "is no mapping from column names to values")
    return Row(line, columns)


def _csv_rows(path: Path) -> Iterator[Read]:
    line = 1
    with _opened(path) as file:
        try:
            lines = csv.reader(file, delimiter=_delimiter(file), strict=True)
            header = _header(lines)
            while True:
                line = lines.line_num + 1
                cells = next(lines, None)
                if cells is None:
                    return
                if cells:
                    yield _csv_row(line, header, cells)
        except csv.Error as error:
            raise _unreadable(path, RowProblem(line, None, f"is no CSV: {error}")) from None
        except UnicodeDecodeError:
            raise _unreadable(path, RowProblem(line, None, _NOT_UTF8)) from None


def _csv_row(line: int, header: list[str], cells: list[str]) -> Read:
    if len(cells) != len(header):
        reason = f"has not the {len(header)} cells that the header has"
        return RowProblem(line, None, reason, len(cells))
    # Spreadsheets add columns without a name; what somebody wrote into one must not be lost.
    named = zip(header, cells, strict=True)
    return Row(line, {name: cell for name, cell in named if name.strip() or cell.strip()})


def _header(lines: Iterator[list[str]]) -> list[str]:
    header = next(lines, [])
    twice = {name for name in header if name.strip() and header.count(name) > 1}
    if not any(name.strip() for name in header) or twice:
        reason = f"names {', '.join(sorted(twice))} twice" if twice else "holds no column names"
        message = "the file cannot be imported, nothing was sent"
        raise BadRowsError(message, problems=(RowProblem(1, None, f"the header {reason}"),))
    return header


def _delimiter(file: TextIO) -> str:
    """The delimiter of the header; spreadsheets set to a decimal comma write semicolons."""
    first = file.readline()
    file.seek(0)
    return max(_DELIMITERS, key=first.count)


def _jsonl_rows(path: Path) -> Iterator[Read]:
    decode = msgspec.json.Decoder().decode
    with path.open("rb") as file:
        for line, raw in enumerate(file, 1):
            text = raw.removeprefix(b"\xef\xbb\xbf").strip()
            if text:
                yield _jsonl_row(line, text, decode)


def _jsonl_row(line: int, text: bytes, decode: Any) -> Read:
    try:
        columns = decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return RowProblem(line, None, f"is no JSON: {error}")
    if not isinstance(columns, dict):
        return RowProblem(line, None, "is no JSON object")
    return Row(line, columns)


def _opened(path: Path) -> TextIO:
    return path.open(encoding="utf-8-sig", newline="")


def _unreadable(path: Path, problem: RowProblem) -> BadRowsError:
    return BadRowsError(f"{path.name} cannot be read, nothing was sent", problems=(problem,))


def columns_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The names of all columns, in the order in which they come up."""
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
    return list(names)

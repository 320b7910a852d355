"""Reads rows, each with its line number, from files and from what programs hold."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, TextIO

import msgspec

from syncro_async.bulk.files.columns import COLUMNS, Kind
from syncro_async.bulk.files.xlsx_writing import workbook_library, write_workbook
from syncro_async.errors import BadRowsError, ConfigurationError, InvalidArgumentError
from syncro_async.models.receipts import RowProblem

_AT_ONCE = 1000


def parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows, numbered from 1.

    Raises `OSError`, `ValueError` for what is no such file, and `ConfigurationError` without the
    extra.
    """
    _, pq = library()
    number = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_AT_ONCE):
            for row in batch.to_pylist():
                number += 1
                yield number, msgspec.to_builtins(row)


def write_parquet_table(
    path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Write the rows, lacking values as nulls. Raises as `parquet_rows` does."""
    pa, pq = library()
    content = {}
    for name in columns:
        values = [row.get(name) for row in rows]
        try:
            content[name] = pa.array(values)
        except pa.ArrowException:  # a column of one file has one type
            content[name] = pa.array([None if value is None else str(value) for value in values])
    pq.write_table(pa.table(content), path)


def library() -> tuple[Any, Any]:
    """`pyarrow` and `pyarrow.parquet`, loaded only for those who use them.

    Raises `ConfigurationError` where they are not installed.
    """
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            'a .parquet file needs its extra: pip install "syncro-async[parquet]"'
        ) from error


Rows = Iterable[Sequence[bytes]]
"""Leads as JSON objects, in batches."""
Write = Callable[[BinaryIO, Rows], None]

DELIMITERS = (",", ";", "\t", "|")
_STARTS_A_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # the full-width ones, too
_PHONE_OR_NUMBER = re.compile(r"[+-][0-9 ().-]*\Z")
_BOM = "\ufeff".encode()


class CsvLayout(msgspec.Struct, frozen=True):
    """How a CSV file is written.

    - `delimiter`: the character between two cells
    - `bom`: whether the file starts with the byte order mark, by which Excel knows UTF-8
    - `decimal`: the character in front of the fraction of a number, `"point"` or `"comma"`
    """

    delimiter: str = ","
    bom: bool = False
    decimal: Literal["point", "comma"] = "point"


PLAIN = CsvLayout()


def write_jsonl(out: BinaryIO, rows: Rows) -> None:
    """Write one JSON object a line, without the relations that were not requested."""
    for batch in rows:
        out.writelines(row + b"\n" for row in batch)


def write_csv(out: BinaryIO, rows: Rows, layout: CsvLayout = PLAIN) -> None:
    """Write a line of column names and a line for each lead, in UTF-8; `cell` makes the cells."""
    comma = layout.decimal == "comma"
    out.write(_BOM if layout.bom else b"")
    out.write(_lines([[column.name for column in COLUMNS]], layout.delimiter))
    for batch in rows:
        leads = (msgspec.json.decode(row) for row in batch)
        cells = [
            [
                _with_comma(lead.get(column.name))
                if comma and column.kind == "float"
                else cell(lead.get(column.name))
                for column in COLUMNS
            ]
            for lead in leads
        ]
        out.write(_lines(cells, layout.delimiter))


def _with_comma(value: float | None) -> str:
    return cell(value).replace(".", ",")


def write_parquet(out: BinaryIO, rows: Rows) -> None:
    """Write columns of their own types; `tags` is a list, other nested values are JSON texts."""
    arrow, parquet = library()
    types: dict[Kind, Any] = {
        "int": arrow.int64(),
        "float": arrow.float64(),
        "bool": arrow.bool_(),
        "text": arrow.string(),
        "date": arrow.date32(),
        "moment": arrow.timestamp("us", tz="UTC"),
        "texts": arrow.list_(arrow.string()),
        "json": arrow.string(),
    }
    schema = arrow.schema([(column.name, types[column.kind]) for column in COLUMNS])
    with parquet.ParquetWriter(out, schema) as writer:
        for batch in rows:
            leads = [msgspec.json.decode(row) for row in batch]
            arrays = [
                arrow.array(
                    [_native(column.kind, lead.get(column.name)) for lead in leads],
                    types[column.kind],
                )
                for column in COLUMNS
            ]
            writer.write_batch(arrow.record_batch(arrays, schema=schema))


def cell(value: Any) -> str:
    """Return a CSV cell: a text as it is, nothing for None, everything else as JSON.

    Leads have texts that visitors typed into forms, and a spreadsheet runs a cell that starts with
    = + - @ as a formula. Such a text gets an apostrophe in front, and so does a text that would be
    one behind its own apostrophes: so `text_of` can take the apostrophe off again from every text.
    A sign with digits and ` ().-` alone stays as it is: that is a phone (`+5511999887766`) or a
    number, which is harmless, and programs read it exactly.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        return msgspec.json.encode(value).decode()
    return f"'{value}" if would_run(value.lstrip("'")) else value


def text_of(written: str) -> str:
    """Return the text of a cell that `cell` has made."""
    is_guarded = written.startswith("'") and would_run(written.lstrip("'"))
    return written[1:] if is_guarded else written


def would_run(text: str) -> bool:
    """Return whether a spreadsheet would run this text as a formula."""
    risky = text.startswith(_STARTS_A_FORMULA) or text.lstrip().startswith(_STARTS_A_FORMULA)
    return risky and not _PHONE_OR_NUMBER.match(text)


def form_of(name: str, layout: CsvLayout = PLAIN) -> Write:
    """Return the function that writes `"jsonl"`, `"csv"`, `"xlsx"` or `"parquet"`.

    Raises `ConfigurationError` for any other name, and where the library for it is missing.
    """
    match name:
        case "jsonl":
            return write_jsonl
        case "csv":
            return partial(write_csv, layout=layout)
        case "xlsx":
            return partial(write_workbook, workbook_library())
        case "parquet":
            library()
            return write_parquet
        case _:
            raise ConfigurationError(f"{name!r} is none of the forms {', '.join(FORMS)}")


FORMS = ("jsonl", "csv", "xlsx", "parquet")


def one_line(raw: bytes) -> bytes:
    """JSON without line breaks: those inside a text are escaped, the others stand between."""
    return raw.replace(b"\r", b" ").replace(b"\n", b" ")


def _lines(rows: Sequence[Sequence[str]], delimiter: str) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue().encode()


def _native(kind: Kind, value: Any) -> Any:
    """A value of the JSON as the column's type has it."""
    if value is None:
        return None
    if kind == "date":
        return date.fromisoformat(value)
    if kind == "moment":
        return datetime.fromisoformat(value)
    return msgspec.json.encode(value).decode() if kind == "json" else value


# Where a failures file says what went wrong; no import reads it.
ERROR_COLUMN = "syncro_error"
SUFFIXES = (".csv", ".jsonl", ".parquet")
_DELIMITERS = ",;\t"
_SEPARATOR_LINE = re.compile(r"sep=([^\r\n])\r?\n?", re.IGNORECASE)
_HEAD_LINES = 50
_CELL_LIMIT = 2**31 - 1
_NOT_UTF8 = "is not UTF-8: save the file as UTF-8 (a spreadsheet calls it “CSV UTF-8”)"


class Row(NamedTuple):
    """One row: where it stands (from 1), and its columns as they came."""

    line: int
    columns: dict[str, Any]


RowOrProblem = Row | RowProblem


def as_path(source: object) -> Path | None:
    """The file a source names, or None when it is the rows themselves."""
    return Path(source) if isinstance(source, str | os.PathLike) else None


def check_suffix(path: Path) -> str:
    """The suffix in lower case. Raises `InvalidArgumentError` for one that we do not read."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InvalidArgumentError(
            f"{path.name} must end in one of {', '.join(SUFFIXES)}", argument="rows"
        )
    return suffix


def file_rows(path: Path) -> Iterator[RowOrProblem]:
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
            delimiter, _ = _start(file)
            header = _header(csv.reader(file, delimiter=delimiter))
            return [name for name in header if name.strip()]
        except UnicodeDecodeError:
            raise _unreadable(path, RowProblem(1, None, _NOT_UTF8)) from None


def row_from_object(line: int, item: object) -> RowOrProblem:
    """A mapping, a struct or a dataclass as a row."""
    try:
        columns = msgspec.to_builtins(item)
        msgspec.json.encode(columns)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        return RowProblem(line, None, f"cannot be written as JSON: {error}")
    if not isinstance(columns, dict) or not all(isinstance(name, str) for name in columns):
        return RowProblem(line, None, "is no mapping from column names to values")
    return Row(line, columns)


def _csv_rows(path: Path) -> Iterator[RowOrProblem]:
    line = 1
    with _opened(path) as file:
        try:
            delimiter, before = _start(file)
            lines = csv.reader(file, delimiter=delimiter, strict=True)
            header = _header(lines)
            while True:
                line = before + lines.line_num + 1
                cells = next(lines, None)
                if cells is None:
                    return
                if any(cell.strip() for cell in cells):
                    yield _csv_row(line, header, cells)
        except csv.Error as error:
            raise _unreadable(path, RowProblem(line, None, f"is no CSV: {error}")) from None
        except UnicodeDecodeError:
            raise _unreadable(path, RowProblem(line, None, _NOT_UTF8)) from None


def _csv_row(line: int, header: list[str], cells: list[str]) -> RowOrProblem:
    if len(cells) != len(header):
        reason = f"has not the {len(header)} cells that the header has"
        return RowProblem(line, None, reason, len(cells))
    # Spreadsheets add columns without a name; what somebody wrote into one must not be lost.
    named = zip(header, cells, strict=True)
    return Row(line, {name: text_of(cell) for name, cell in named if name.strip() or cell.strip()})


def _header(lines: Iterator[list[str]]) -> list[str]:
    header = next(lines, [])
    twice = {name for name in header if name.strip() and header.count(name) > 1}
    if not any(name.strip() for name in header) or twice:
        reason = f"names {', '.join(sorted(twice))} twice" if twice else "holds no column names"
        message = "the file cannot be imported, nothing was sent"
        raise BadRowsError(message, problems=(RowProblem(1, None, f"the header {reason}"),))
    return header


def _start(file: TextIO) -> tuple[str, int]:
    """Move to the header; return the delimiter and the number of lines before the header.

    A first line `sep=;`, which Excel reads and writes, names the delimiter. Without it the
    delimiter is the one with which the most rows of the head have as many cells as the header.
    """
    # The module's limit of 131,072 characters is one for the process; it is raised, never lowered.
    csv.field_size_limit(max(csv.field_size_limit(), _CELL_LIMIT))
    head = list(islice(file, _HEAD_LINES))
    file.seek(0)
    named = _SEPARATOR_LINE.fullmatch(head[0]) if head else None
    if named:
        file.readline()
        return named[1], 1
    return max(_DELIMITERS, key=lambda delimiter: _fit(head, delimiter)), 0


def _fit(head: Sequence[str], delimiter: str) -> tuple[int, int]:
    """How many rows have the header's number of cells, and that number; (0, 1) for one cell."""
    widths = [len(cells) for cells in csv.reader(head, delimiter=delimiter) if cells]
    width = widths[0] if widths else 1
    return (widths.count(width) if width > 1 else 0), width


def _jsonl_rows(path: Path) -> Iterator[RowOrProblem]:
    decode = msgspec.json.Decoder().decode
    with path.open("rb") as file:
        for line, raw in enumerate(file, 1):
            text = raw.removeprefix(b"\xef\xbb\xbf").strip()
            if text:
                yield _jsonl_row(line, text, decode)


def _jsonl_row(line: int, text: bytes, decode: Any) -> RowOrProblem:
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

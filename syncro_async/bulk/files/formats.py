"""Writes leads and rows to files of each format."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec

from syncro_async.bulk.files.columns import COLUMNS, Kind
from syncro_async.bulk.files.extras import load_extra
from syncro_async.bulk.files.xlsx_writing import workbook_library, write_workbook
from syncro_async.errors import ConfigurationError


def write_parquet_table(
    path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Write the rows, lacking values as nulls. Raises `OSError` and as `library` does."""
    pa, pq = library()
    content = {}
    for name in columns:
        values = [row.get(name) for row in rows]
        try:
            content[name] = pa.array(values)
        except (pa.ArrowException, OverflowError):  # a column of one file has one type
            content[name] = pa.array([None if value is None else str(value) for value in values])
    pq.write_table(pa.table(content), path)


def library() -> tuple[Any, Any]:
    """`pyarrow` and `pyarrow.parquet`, loaded only for those who use them.

    Raises `ConfigurationError` where they are not installed.
    """
    extra = "parquet", "a .parquet file"
    return load_extra("pyarrow", *extra), load_extra("pyarrow.parquet", *extra)


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
            raise ConfigurationError(f"{name!r} is no format; use one of {', '.join(FORMS)}")


FORMS = ("jsonl", "csv", "xlsx", "parquet")


def one_line(raw: bytes) -> bytes:
    """Return the JSON without line breaks. Inside a text they are escaped already."""
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


def columns_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The names of all columns, in the order in which they come up."""
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
    return list(names)

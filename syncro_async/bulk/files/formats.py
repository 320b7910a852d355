"""Writes leads and rows to files of each format."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from syncro_async.bulk.files.columns import COLUMNS, Kind
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
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            'a .parquet file needs its extra: pip install "syncro-async[parquet]"'
        ) from error


Rows = Iterable[Sequence[bytes]]
"""Leads as JSON objects, many lots of them."""
Write = Callable[[BinaryIO, Rows], None]

_STARTS_A_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # the full-width ones, too
_PHONE_OR_NUMBER = re.compile(r"[+-][0-9 ().-]*\Z")


def write_jsonl(out: BinaryIO, rows: Rows) -> None:
    """One JSON object a line, as the API names things; a relation not asked for is left out."""
    for lot in rows:
        out.writelines(row + b"\n" for row in lot)


def write_csv(out: BinaryIO, rows: Rows) -> None:
    """One row a lead under a row of names, in UTF-8; see `cell` for what a value becomes."""
    names = [column.name for column in COLUMNS]
    out.write(_lines([names]))
    for lot in rows:
        leads = (msgspec.json.decode(row) for row in lot)
        out.write(_lines([[cell(lead.get(name)) for name in names] for lead in leads]))


def write_parquet(out: BinaryIO, rows: Rows) -> None:
    """Columns of their own types; `tags` is a list, other lists and objects are JSON texts."""
    arrow, parquet = library()
    types: dict[Kind, Any] = {
        "integer": arrow.int64(),
        "real": arrow.float64(),
        "text": arrow.string(),
        "date": arrow.date32(),
        "moment": arrow.timestamp("us", tz="UTC"),
        "texts": arrow.list_(arrow.string()),
        "json": arrow.string(),
    }
    schema = arrow.schema([(column.name, types[column.kind]) for column in COLUMNS])
    with parquet.ParquetWriter(out, schema) as writer:
        for lot in rows:
            leads = [msgspec.json.decode(row) for row in lot]
            arrays = [
                arrow.array(
                    [_native(column.kind, lead.get(column.name)) for lead in leads],
                    types[column.kind],
                )
                for column in COLUMNS
            ]
            writer.write_batch(arrow.record_batch(arrays, schema=schema))


def cell(value: Any) -> str:
    """A CSV cell: text as it is, nothing for None, everything else as JSON.

    Leads carry what strangers typed into forms, and a spreadsheet runs a cell that starts with
    = + - @ as a formula. Such text gets an apostrophe in front, unless it is made of a sign,
    digits and ` ().-` alone: that is a phone (`+5511999887766`) or a number, which no spreadsheet
    can be harmed by, and it stays exact for programs.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        return msgspec.json.encode(value).decode()
    return f"'{value}" if _would_run(value) else value


def text_of(written: str) -> str:
    """The text that `cell` has written so: an apostrophe it put in front is no part of it."""
    text = written.removeprefix("'")
    return text if _would_run(text) else written


def _would_run(text: str) -> bool:
    risky = text.startswith(_STARTS_A_FORMULA) or text.lstrip().startswith(_STARTS_A_FORMULA)
    return risky and not _PHONE_OR_NUMBER.match(text)


def form_of(name: str) -> Write:
    """The writer of `"jsonl"`, `"csv"` or `"parquet"`.

    Raises `ConfigurationError` for any other name, and where the library for it is missing.
    """
    if name not in FORMS:
        raise ConfigurationError(f"{name!r} is none of the forms {', '.join(FORMS)}")
    if name == "parquet":
        library()
    return FORMS[name]


FORMS: Mapping[str, Write] = {"jsonl": write_jsonl, "csv": write_csv, "parquet": write_parquet}


def one_line(raw: bytes) -> bytes:
    """JSON without line breaks: those inside a text are escaped, the others stand between."""
    return raw.replace(b"\r", b" ").replace(b"\n", b" ")


def _lines(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
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

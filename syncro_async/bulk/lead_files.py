"""The forms a file of leads can take: rows of JSON in, a file out."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, BinaryIO

import msgspec

from syncro_async.bulk.lead_columns import COLUMNS, Kind
from syncro_async.bulk.parquet import library
from syncro_async.errors import ConfigurationError

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
    risky = value.startswith(_STARTS_A_FORMULA) or value.lstrip().startswith(_STARTS_A_FORMULA)
    return f"'{value}" if risky and not _PHONE_OR_NUMBER.match(value) else value


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

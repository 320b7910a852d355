"""Writes rows to a file of each format that an import reads."""

from __future__ import annotations

import csv
import gzip
import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from syncro_async.bulk.files.formats import cell, write_parquet_table
from syncro_async.bulk.files.formats import library as parquet_library
from syncro_async.bulk.files.inputs import split_suffix
from syncro_async.bulk.files.rows import repeated_name
from syncro_async.bulk.files.xlsx_writing import is_kept, workbook_library


class Layout(NamedTuple):
    """How a text file is written: its codec, its delimiter, and its first columns."""

    codec: str = "utf-8"
    delimiter: str = ","
    header: tuple[str, ...] = ()


Rows = Sequence[Mapping[str, Any]]


def check_libraries(path: Path) -> None:
    """Raise `ConfigurationError` when the extra that writes such a file is missing."""
    suffix, _ = split_suffix(path)
    if suffix == ".parquet":
        parquet_library()
    if suffix == ".xlsx":
        workbook_library()


def write_table(part: Path, target: Path, columns: Sequence[str], rows: Rows, how: Layout) -> None:
    """Write the rows to `part` in the format that the name of `target` says.

    In a text file the values are guarded from being run as formulas as an export guards them.
    Raises `OSError`.
    """
    suffix, packed = split_suffix(target)
    if suffix == ".parquet":
        write_parquet_table(part, columns, rows)
    elif suffix == ".xlsx":
        _write_workbook(part, columns, rows)
    elif suffix == ".jsonl":
        text = msgspec.json.Encoder().encode_lines(rows)
        part.write_bytes(text.decode().encode(how.codec, "replace"))
    else:
        content = _delimited(columns, rows, how)
        part.write_bytes(content.encode(how.codec, "replace"))
    if packed:
        _pack(part)


def _delimited(columns: Sequence[str], rows: Rows, how: Layout) -> str:
    text = io.StringIO(newline="")
    lines = csv.writer(text, delimiter=how.delimiter)
    lines.writerow([repeated_name(name, columns) or name for name in columns])
    lines.writerows([cell(row.get(name)) for name in columns] for row in rows)
    return text.getvalue()


def _pack(part: Path) -> None:
    content = io.BytesIO(part.read_bytes())
    with part.open("wb") as raw, gzip.open(raw, "wb") as packed:
        shutil.copyfileobj(content, packed)


def _write_workbook(part: Path, columns: Sequence[str], rows: Rows) -> None:
    library = workbook_library()
    with part.open("wb") as file:
        book = library.Workbook(file, {"in_memory": True})
        sheet = book.add_worksheet()
        for number, name in enumerate(columns):
            sheet.write_string(0, number, repeated_name(name, columns) or name)
        for line, row in enumerate(rows, 1):
            for number, name in enumerate(columns):
                _write_cell(sheet, line, number, row.get(name))
        book.close()


def _write_cell(sheet: Any, line: int, column: int, value: Any) -> None:
    """A text stays a text: as such no spreadsheet runs it."""
    if value is None:
        return
    if isinstance(value, bool):
        sheet.write_boolean(line, column, value)
    elif isinstance(value, int | float) and is_kept(value):
        sheet.write_number(line, column, value)
    else:
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        sheet.write_string(line, column, text)

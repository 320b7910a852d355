"""Reads the rows of an import, each with its line, from any source."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import msgspec

from syncro_async.bulk.files.arrow_rows import batch_rows
from syncro_async.bulk.files.delimited import delimited_table
from syncro_async.bulk.files.encodings import (
    MARKED,
    Encoding,
    decoded,
    find_encoding,
    wrong_byte,
)
from syncro_async.bulk.files.formats import library
from syncro_async.bulk.files.frames import row_from_object
from syncro_async.bulk.files.inputs import STDIN, opened
from syncro_async.bulk.files.json_text import ONE_OF_THEM, REPEATED, RepeatedNameError
from syncro_async.bulk.files.json_text import decoded as decoded_json
from syncro_async.bulk.files.rows import RAW_COLUMN, Row, Table, column_names, unreadable
from syncro_async.bulk.files.workbooks import workbook_table
from syncro_async.models.receipts import RowProblem
from syncro_async.transport.values import refuse_url

_AT_ONCE = 1000


def as_path(source: object, argument: str = "rows") -> Path | None:
    """Return the path of a source that names a file; None when the source is the rows.

    Raises `InvalidArgumentError`, naming `argument`, for a URL.
    """
    refuse_url(argument, source)
    return Path(source) if isinstance(source, str | os.PathLike) else None


def shown_name(path: Path) -> str:
    """The name of a source in messages."""
    return "the standard input" if str(path) == STDIN else path.name


@contextmanager
def read_file(
    path: Path, encoding: str | None = None, header_row: int | None = None
) -> Iterator[Table]:
    """Open a file and return its rows in their order; `-` is the standard input.

    - `encoding`: of a text file; None: found from its bytes
    - `header_row`: the line of the column names; None: the first line that is not blank

    Raises `OSError`, `InvalidArgumentError` for an unknown encoding, `BadRowsError` for a file that
    cannot be read to its end, and `ConfigurationError` where an extra is missing.
    """
    with opened(path) as (file, format_):
        name = shown_name(path)
        match format_:
            case "csv":
                found = find_encoding(file, encoding, name)
                with decoded(file, found.codec, "") as text:
                    guessed = encoding is None
                    yield delimited_table(text, name, found, header_row, guessed=guessed)
            case "xlsx":
                yield workbook_table(file, name, header_row)
            case "jsonl":
                found = find_encoding(file, encoding, name)
                # A text inside the JSON may contain other line ends than \n.
                with decoded(file, found.codec, "\n") as text:
                    yield _jsonl_table(text, found)
            case _:
                yield _parquet_table(file, name)


def _jsonl_table(text: TextIO, found: Encoding) -> Table:
    return Table(
        "jsonl",
        _jsonl_rows(text, found),
        encoding=found.name,
        codec=found.codec,
        sample=found.sample,
    )


def _jsonl_rows(lines: TextIO, encoding: Encoding) -> Iterator[Row]:
    for line, raw in enumerate(lines, 1):
        text = raw.strip().lstrip("\ufeff")
        if text:
            yield _jsonl_row(line, text, encoding)


def _jsonl_row(line: int, text: str, encoding: Encoding) -> Row:
    if MARKED.search(text):
        problem = wrong_byte(line, None, text, encoding)
        return Row(line, {RAW_COLUMN: problem.value}, (problem,))
    try:
        columns = decoded_json(text)
        reason = None if isinstance(columns, dict) else "is no JSON object"
    except RepeatedNameError as error:
        problem = RowProblem(line, error.name, REPEATED, None, ONE_OF_THEM)
        return Row(line, {RAW_COLUMN: text}, (problem,))
    except (msgspec.DecodeError, RecursionError) as error:
        reason = f"is no JSON: {error}"
    if reason is None:
        return Row(line, columns)
    return Row(line, {RAW_COLUMN: text}, (RowProblem(line, None, reason, text),))


def _parquet_table(file: BinaryIO, name: str) -> Table:
    arrow, parquet = library()
    try:
        content = parquet.ParquetFile(file)
    except arrow.ArrowException as error:
        raise unreadable(name, RowProblem(1, None, f"is no Parquet file: {error}")) from None
    names = column_names(content.schema_arrow.names)
    return Table("parquet", _parquet_rows(content), names)


def _parquet_rows(content: Any) -> Iterator[Row]:
    number = 0
    for batch in content.iter_batches(batch_size=_AT_ONCE):
        for columns in batch_rows(batch):
            number += 1
            yield row_from_object(number, columns)

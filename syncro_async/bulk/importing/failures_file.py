"""Writes the rows that were not imported to a file of the format of their source."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from syncro_async.bulk.files.formats import columns_of
from syncro_async.bulk.files.rows import ERROR_COLUMN, Table
from syncro_async.bulk.files.tables import Layout, check_libraries, write_table
from syncro_async.bulk.importing.own_files import check_creatable, write_own, written_before


class FailedRow(NamedTuple):
    """A row that was not imported: its columns as JSON, and why."""

    body: bytes
    error: str


def check_writable(path: Path) -> None:
    """Check before the first row is sent that the file can be written.

    Raises `OSError` when no file can be written, and `ConfigurationError` when an extra is missing.
    """
    check_libraries(path)
    check_creatable(path)


def write_failures(
    db: sqlite3.Connection, path: Path, rows: Iterable[FailedRow], how: Layout
) -> Path | None:
    """Write the rows with their columns and errors; return the file, None when there is no row.

    The file is written by `write_own`. One that an earlier run wrote, and that would be empty now,
    is removed. Raises `OSError`.
    """
    content = [{**msgspec.json.decode(body), ERROR_COLUMN: error} for body, error in rows]
    if not content:
        mine = written_before(db, "failures file", path)
        if mine is not None:
            mine.unlink()
        return None
    columns = columns_of([dict.fromkeys(how.header), *content])
    columns = [name for name in columns if name != ERROR_COLUMN] + [ERROR_COLUMN]
    return write_own(
        db, "failures file", path, lambda part: write_table(part, path, columns, content, how)
    )


def failed_rows(bodies: Iterable[tuple[bytes, str]]) -> list[FailedRow]:
    """The rows of a journal that were not carried out."""
    return [FailedRow(body, error or "was not sent") for body, error in bodies]


def layout_of(table: Table) -> Layout:
    """How a failures file is written that is to look like its source."""
    return Layout(table.codec or "utf-8", table.delimiter or ",", tuple(table.header or ()))

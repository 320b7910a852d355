"""Reads a whole file in a test."""

from __future__ import annotations

from pathlib import Path

from syncro_async.bulk.files.reading import read_file
from syncro_async.bulk.files.rows import Row


def file_rows(path: Path, encoding: str | None = None, header_row: int | None = None) -> list[Row]:
    with read_file(path, encoding, header_row) as table:
        return list(table.rows)


def header_of(path: Path) -> list[str] | None:
    with read_file(path) as table:
        return table.header

"""Writes the rows that failed into a file that can be mended and imported again."""

from __future__ import annotations

import csv
import os
import secrets
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from syncro_async.bulk.journal import bodies_of
from syncro_async.bulk.parquet import write_parquet
from syncro_async.bulk.rows import ERROR_COLUMN, check_suffix, columns_of, csv_header


def write_failures(
    db: sqlite3.Connection, path: Path, states: Collection[str], source: Path | None
) -> None:
    """Write the rows in these states, with their columns as they came and what went wrong.

    The file is there when it is whole; without such rows it has none. Raises `OSError`.
    """
    rows = [
        {**msgspec.json.decode(body), ERROR_COLUMN: error or "was not sent"}
        for body, error in bodies_of(db, states)
    ]
    columns = columns_of(rows)
    if source is not None and source.suffix.lower() == ".csv":
        columns = columns_of([dict.fromkeys(csv_header(source)), dict.fromkeys(columns)])
    columns = [name for name in columns if name != ERROR_COLUMN] + [ERROR_COLUMN]
    with _appearing(path) as part:
        match check_suffix(path):
            case ".csv":
                _write_csv(part, columns, rows)
            case ".jsonl":
                part.write_bytes(msgspec.json.Encoder().encode_lines(rows))
            case _:
                write_parquet(part, columns, rows)


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(columns)
        lines.writerows([_cell(row.get(name)) for name in columns] for row in rows)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


@contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    """A name to write to, which becomes `path` when the block ends well."""
    target = path.resolve()
    part = target.with_name(f".syncro-{secrets.token_hex(8)}.part")
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)

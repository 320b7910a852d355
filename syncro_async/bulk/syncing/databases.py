"""Opens the database of a sync: a SQLite file or a DuckDB file."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syncro_async._internal.private_file import create_private
from syncro_async.bulk.files.atomic import PRIVATE
from syncro_async.bulk.files.columns import Kind
from syncro_async.bulk.files.extras import load_extra
from syncro_async.bulk.syncing.tables import (
    LeadTable,
    SqlDialect,
    checked_table,
    stage_json,
    stage_values,
)
from syncro_async.errors import ConfigurationError
from syncro_async.transport.values import output_path

_DUCKDB_SUFFIXES = frozenset({".duckdb", ".ddb"})
_NO_DATABASE = frozenset({".csv", ".jsonl", ".json", ".parquet", ".xlsx"})
# How long to wait while another program writes to the SQLite file (s).
_BUSY_TIMEOUT = 30.0

SQLITE = SqlDialect(
    types={
        "int": "INTEGER",
        "float": "REAL",
        **dict.fromkeys(("text", "date", "moment", "texts", "json"), "TEXT"),
        "bool": "INTEGER",
    },
    differs="IS NOT",
    begin="BEGIN IMMEDIATE",
    stage=stage_values,
)
_DUCKDB_TYPES: Mapping[Kind, str] = {
    "int": "BIGINT",
    "float": "DOUBLE",
    "bool": "BOOLEAN",
    "text": "VARCHAR",
    "date": "DATE",
    "moment": "TIMESTAMP",  # in UTC
    "texts": "JSON",
    "json": "JSON",
}
DUCKDB = SqlDialect(
    types=_DUCKDB_TYPES,
    differs="IS DISTINCT FROM",
    begin="BEGIN TRANSACTION",
    stage=stage_json(_DUCKDB_TYPES),
)


@dataclass(frozen=True, slots=True)
class Database:
    """A database file and the table in it, with the functions and errors of its library."""

    path: Path
    table: str
    dialect: SqlDialect
    connect: Callable[[Path], Any]
    errors: type[Exception]

    @property
    def resume(self) -> Path:
        """The file that keeps the leads read so far, until they are in the table."""
        return self.path.with_name(f"{self.path.name}.{self.table}.resume")

    @contextmanager
    def opened(self) -> Iterator[LeadTable]:
        """Open the table while the block runs; errors of the database are raised as `OSError`."""
        is_new = not self.path.exists()
        try:
            with closing(self.connect(self.path)) as connection:
                if is_new:  # people's data: only the owner may read it
                    self.path.chmod(PRIVATE)
                yield LeadTable(connection, self.dialect, self.table)
        except self.errors as error:
            raise OSError(errno.EIO, str(error), str(self.path)) from error


def database_of(database: str | os.PathLike[str], table: str) -> Database:
    """Return the database of a path: DuckDB for `.duckdb` and `.ddb`, else SQLite.

    Raises `ConfigurationError` for a file of another kind, for a name that no table can have, and
    when the library is missing.
    """
    path = output_path("database", database)
    name = checked_table(table)
    suffix = path.suffix.lower()
    if suffix in _NO_DATABASE:
        raise ConfigurationError(f"{path.name}: a {suffix} file is no database; that is an export")
    if path.exists() and not path.is_file():
        raise ConfigurationError(f"{os.fspath(database)}: is there and is no regular file")
    if suffix not in _DUCKDB_SUFFIXES:
        return Database(path, name, SQLITE, _sqlite, sqlite3.Error)
    duckdb = load_extra("duckdb", "duckdb", "a DuckDB file")
    return Database(path, name, DUCKDB, duckdb.connect, duckdb.Error)


def _sqlite(path: Path) -> sqlite3.Connection:
    # An empty file is a new database, whose journals get its permissions.
    create_private(path)
    return sqlite3.connect(path, timeout=_BUSY_TIMEOUT, isolation_level=None)

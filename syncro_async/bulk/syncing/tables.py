"""Brings a table up to date with leads in SQL, for SQLite and DuckDB."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from syncro_async._internal.argument_text import Argument, ArgumentText
from syncro_async.bulk.files.columns import COLUMNS, Column, Kind
from syncro_async.errors import ConfigurationError

# No list carries these relations (API reference, 'Leads', `?include`).
_DETAIL_ONLY = frozenset({"siblings", "contact_totals", "events", "conversation"})
SYNCED = tuple(column for column in COLUMNS if column.name not in _DETAIL_ONLY)
_NAMES = ", ".join(f'"{column.name}"' for column in SYNCED)
_NAME_OF_A_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_MARKS_TABLE = "syncro_sync"
_BATCH = 200

Stage = Callable[[Sequence[bytes]], tuple[str, Sequence[object]]]


class Connection(Protocol):
    """What this module needs of a connection to either database."""

    def execute(self, query: str, parameters: Any = ..., /) -> Any:
        """Execute a statement; the result has `fetchall()`."""


@dataclass(frozen=True, slots=True)
class SqlDialect:
    """The parts of SQL in which the databases differ.

    - `types`: the type of a column for each kind of values
    - `differs`: the operator that compares two values and takes two nulls as equal
    - `begin`: the statement that begins a transaction that writes
    - `stage`: makes the statement that inserts a batch of leads, with its values
    """

    types: Mapping[Kind, str]
    differs: str
    begin: str
    stage: Stage


class SyncMark(msgspec.Struct, frozen=True):
    """What a sync records beside a table: the account and the relations of its leads.

    Every change before `until` is in the table; None before the first complete run.
    """

    account: str
    include: str
    until: datetime | None


class Merged(msgspec.Struct, frozen=True):
    """How many rows of the table a merge has inserted, updated and deleted."""

    inserted: int
    updated: int
    deleted: int


def checked_table(table: object) -> str:
    """Return the same name. Raises `ConfigurationError` for one that is not a plain table name."""
    if not isinstance(table, str) or not _NAME_OF_A_TABLE.fullmatch(table):
        raise ConfigurationError(
            ArgumentText(
                Argument("table", repr(table)),
                " must be a plain name: letters, digits and _, at most 63 of them, no digit in"
                " front",
            )
        )
    if table.lower().startswith("sqlite_"):
        raise ConfigurationError(
            ArgumentText(
                Argument("table", repr(table)), ": names that begin with sqlite_ belong to SQLite"
            )
        )
    if table.lower() == _MARKS_TABLE:
        raise ConfigurationError(
            ArgumentText(
                Argument("table", repr(table)), " is the table in which syncs record their marks"
            )
        )
    return table


def stage_values(rows: Sequence[bytes]) -> tuple[str, Sequence[object]]:
    """Return one statement for many rows, with a parameter for each value."""
    marks = "(" + ", ".join("?" * len(SYNCED)) + ")"
    values = [value for row in rows for value in _values(row)]
    return f"INSERT INTO syncro_staged VALUES {', '.join([marks] * len(rows))}", values


def stage_json(types: Mapping[Kind, str]) -> Stage:
    """Return the same for DuckDB, which reads the JSON itself; that is much faster."""
    zoned = {**types, "moment": "TIMESTAMPTZ"}
    shape = msgspec.json.encode([{column.name: zoned[column.kind] for column in SYNCED}]).decode()
    fields = (
        f"timezone('UTC', lead.\"{column.name}\")"
        if column.kind == "moment"
        else f'lead."{column.name}"'
        for column in SYNCED
    )
    statement = (
        f"INSERT INTO syncro_staged SELECT {', '.join(fields)} FROM"
        f" (SELECT unnest(from_json(?::JSON, '{shape}')) AS lead)"
    )
    return lambda rows: (statement, [(b"[%s]" % b",".join(rows)).decode()])


class LeadTable:
    """A table of leads in an open database, with the mark of its last sync.

    All methods block, and raise the errors of the database.
    """

    def __init__(self, connection: Connection, dialect: SqlDialect, table: str) -> None:
        self._connection = connection
        self._dialect = dialect
        self._table = table

    def read_mark(self) -> SyncMark | None:
        """Return the mark of the last sync; None when there was none, or the table is gone.

        Raises `ConfigurationError` for a table that no sync has made, and an error of the database
        when it cannot be written.
        """
        self._execute(self._dialect.begin)
        try:
            found = self._exists(_MARKS_TABLE) and self._query(
                f"SELECT account, include, until FROM {_MARKS_TABLE} WHERE table_name = ?",
                self._table,
            )
            exists = self._exists(self._table)
        finally:
            self._execute("ROLLBACK")
        if exists and not found:
            raise ConfigurationError(
                ArgumentText(
                    f"there is a table {self._table} that no sync has made; name another with ",
                    Argument("table", "…"),
                )
            )
        if not (exists and found):
            return None
        [(account, include, until)] = found
        return SyncMark(account, include, datetime.fromisoformat(until) if until else None)

    def merge(
        self,
        rows: Iterable[Sequence[bytes]],
        *,
        mark: SyncMark,
        alive: Iterable[Sequence[int]] | None = None,
    ) -> Merged:
        """Write the leads and the mark in one transaction.

        Rows that are equal already are not written. `alive` are the ids of all leads that exist:
        rows of other leads are deleted.
        """
        self._execute(self._dialect.begin)
        try:
            self._prepare()
            self._stage(rows)
            merged = Merged(*self._apply(), self._clear(alive) if alive is not None else 0)
            self._write_mark(mark)
        except BaseException:
            self._execute("ROLLBACK")
            raise
        self._execute("COMMIT")
        return merged

    def _prepare(self) -> None:
        """Create the tables, and the columns that the table does not have yet."""
        types = self._dialect.types
        defined = ", ".join(_defined(column, types) for column in SYNCED)
        self._execute(f'CREATE TABLE IF NOT EXISTS "{self._table}" ({defined})')
        self._execute(
            f"CREATE TABLE IF NOT EXISTS {_MARKS_TABLE}"
            " (table_name VARCHAR PRIMARY KEY, account VARCHAR, include VARCHAR, until VARCHAR)"
        )
        described = self._query(f"SELECT name FROM pragma_table_info('{self._table}')")
        there = {name for (name,) in described}
        for column in SYNCED:
            if column.name not in there:
                kind = types[column.kind]
                self._execute(f'ALTER TABLE "{self._table}" ADD COLUMN "{column.name}" {kind}')
        self._execute(
            f'CREATE TEMP TABLE syncro_staged AS SELECT {_NAMES} FROM "{self._table}" WHERE 1 = 0'
        )

    def _stage(self, rows: Iterable[Sequence[bytes]]) -> None:
        for batch in rows:
            for start in range(0, len(batch), _BATCH):
                statement, values = self._dialect.stage(batch[start : start + _BATCH])
                self._execute(statement, *values)

    def _apply(self) -> tuple[int, int]:
        """Write the rows that are new or differ; return the numbers of both."""
        table, differs = f'"{self._table}"', self._dialect.differs
        others = [column.name for column in SYNCED if column.name != "id"]
        changed = " OR ".join(f't."{name}" {differs} s."{name}"' for name in others)
        self._execute(
            "DELETE FROM syncro_staged WHERE id IN (SELECT s.id FROM syncro_staged s"
            f" JOIN {table} t ON t.id = s.id WHERE NOT ({changed}))"
        )
        [(staged,)] = self._query("SELECT count(*) FROM syncro_staged")
        [(known,)] = self._query(
            f"SELECT count(*) FROM syncro_staged WHERE id IN (SELECT id FROM {table})"
        )
        sets = ", ".join(f'"{name}" = excluded."{name}"' for name in others)
        self._execute(
            f"INSERT INTO {table} ({_NAMES}) SELECT {_NAMES} FROM syncro_staged WHERE true"
            f" ON CONFLICT (id) DO UPDATE SET {sets}"
        )
        self._execute("DROP TABLE syncro_staged")
        return staged - known, known

    def _clear(self, alive: Iterable[Sequence[int]]) -> int:
        """Delete the rows of leads that no longer exist; return their number."""
        self._execute("CREATE TEMP TABLE syncro_alive (id BIGINT PRIMARY KEY)")
        for batch in alive:
            marks = ", ".join(["(?)"] * len(batch))
            self._execute(f"INSERT INTO syncro_alive VALUES {marks}", *batch)
        gone = f'FROM "{self._table}" WHERE id NOT IN (SELECT id FROM syncro_alive)'
        [(count,)] = self._query(f"SELECT count(*) {gone}")
        self._execute(f"DELETE {gone}")
        self._execute("DROP TABLE syncro_alive")
        return int(count)

    def _write_mark(self, mark: SyncMark) -> None:
        self._execute(f"DELETE FROM {_MARKS_TABLE} WHERE table_name = ?", self._table)
        until = "" if mark.until is None else mark.until.isoformat()
        self._execute(
            f"INSERT INTO {_MARKS_TABLE} VALUES (?, ?, ?, ?)",
            *(self._table, mark.account, mark.include, until),
        )

    def _exists(self, table: str) -> bool:
        return bool(self._query("SELECT 1 FROM sqlite_master WHERE lower(name) = ?", table.lower()))

    def _query(self, query: str, *values: object) -> list[Any]:
        return list(self._connection.execute(query, values).fetchall())

    def _execute(self, statement: str, *values: object) -> None:
        self._connection.execute(statement, values)


def _defined(column: Column, types: Mapping[Kind, str]) -> str:
    return f'"{column.name}" {types[column.kind]}' + " PRIMARY KEY" * (column.name == "id")


def _values(row: bytes) -> list[Any]:
    lead = msgspec.json.decode(row)
    return [_value(column.kind, lead.get(column.name)) for column in SYNCED]


def _value(kind: Kind, value: Any) -> Any:
    """Return a value of the JSON as SQLite stores it."""
    if value is None:
        return None
    if kind in {"texts", "json"}:
        return msgspec.json.encode(value).decode()
    if kind == "moment":  # in one spelling, whichever the server used
        moment = datetime.fromisoformat(value).astimezone(UTC)
        return moment.isoformat().replace("+00:00", "Z")
    return value

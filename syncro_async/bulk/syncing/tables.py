"""Says in SQL what brings a table up to date with leads: the same for SQLite and DuckDB."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

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
    """What both databases' connections can do."""

    def execute(self, query: str, parameters: Any = ..., /) -> Any:
        """Carry out a statement; what is returned has `fetchall()`."""


@dataclass(frozen=True, slots=True)
class SqlDialect:
    """How one database says what the other says in other words.

    `stage` makes the statement that takes a lot of leads in, with its values.
    """

    types: Mapping[Kind, str]
    differs: str
    begin: str
    stage: Stage


class SyncMark(msgspec.Struct, frozen=True):
    """What a run has noted of a table: whose leads it holds, with which relations.

    Every change before `until` is in it; None before the first clean run.
    """

    account: str
    include: str
    until: datetime | None


class Merged(msgspec.Struct, frozen=True):
    """What a merge has done to the table."""

    inserted: int
    updated: int
    deleted: int


def checked_table(table: object) -> str:
    """The same name. Raises `ConfigurationError` for what is no plain name of a table."""
    if not isinstance(table, str) or not _NAME_OF_A_TABLE.fullmatch(table):
        raise ConfigurationError(
            f"table={table!r} must be a plain name: letters, digits and _, at most 63 of them, no"
            " digit in front"
        )
    if table.lower().startswith("sqlite_"):
        raise ConfigurationError(f"table={table!r}: names that begin with sqlite_ are SQLite's own")
    if table.lower() == _MARKS_TABLE:
        raise ConfigurationError(f"table={table!r} is where the syncs themselves are noted")
    return table


def stage_values(rows: Sequence[bytes]) -> tuple[str, Sequence[object]]:
    """One statement of many rows, each value for itself."""
    marks = "(" + ", ".join("?" * len(SYNCED)) + ")"
    values = [value for row in rows for value in _values(row)]
    return f"INSERT INTO syncro_staged VALUES {', '.join([marks] * len(rows))}", values


def stage_json(types: Mapping[Kind, str]) -> Stage:
    """The same for DuckDB, which reads the JSON itself, and much faster."""
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
    """A table of leads in an open database, and the note of its last run beside it.

    All of it blocks, and what the database says of an error is raised as it is.
    """

    def __init__(self, connection: Connection, speech: SqlDialect, table: str) -> None:
        self._connection = connection
        self._dialect = speech
        self._table = table

    def read_mark(self) -> SyncMark | None:
        """What the last run has noted; None where there has been none, or the table is gone.

        Raises `ConfigurationError` for a table that is there and was not made by a sync. Fails
        for a database that cannot be written.
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
                f"there is a table {self._table} that no sync has made; name another with table=…"
            )
        if not (exists and found):
            return None
        [(account, include, until)] = found
        return SyncMark(account, include, datetime.fromisoformat(until) if until else None)

    def merge(
        self,
        rows: Iterable[Sequence[bytes]],
        *,
        note: SyncMark,
        alive: Iterable[Sequence[int]] | None = None,
    ) -> Merged:
        """Write the leads and the note, all or nothing.

        Leads that are there as they are already are not touched. `alive` are the ids of all leads
        there are: others are removed.
        """
        self._execute(self._dialect.begin)
        try:
            self._prepare()
            self._stage(rows)
            merged = Merged(*self._apply(), self._clear(alive) if alive is not None else 0)
            self._write_mark(note)
        except BaseException:
            self._execute("ROLLBACK")
            raise
        self._execute("COMMIT")
        return merged

    def _prepare(self) -> None:
        """Make the tables, and the columns that a model newer than the table has."""
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
        for lot in rows:
            for start in range(0, len(lot), _BATCH):
                statement, values = self._dialect.stage(lot[start : start + _BATCH])
                self._execute(statement, *values)

    def _apply(self) -> tuple[int, int]:
        """Write what is new and what differs; returns how many of both."""
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
        """Remove the leads that are no more; returns how many."""
        self._execute("CREATE TEMP TABLE syncro_alive (id BIGINT PRIMARY KEY)")
        for lot in alive:
            marks = ", ".join(["(?)"] * len(lot))
            self._execute(f"INSERT INTO syncro_alive VALUES {marks}", *lot)
        gone = f'FROM "{self._table}" WHERE id NOT IN (SELECT id FROM syncro_alive)'
        [(count,)] = self._query(f"SELECT count(*) {gone}")
        self._execute(f"DELETE {gone}")
        self._execute("DROP TABLE syncro_alive")
        return int(count)

    def _write_mark(self, note: SyncMark) -> None:
        self._execute(f"DELETE FROM {_MARKS_TABLE} WHERE table_name = ?", self._table)
        until = "" if note.until is None else note.until.isoformat()
        self._execute(
            f"INSERT INTO {_MARKS_TABLE} VALUES (?, ?, ?, ?)",
            *(self._table, note.account, note.include, until),
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
    """A value of the JSON as SQLite is to keep it."""
    if value is None:
        return None
    if kind in {"texts", "json"}:
        return msgspec.json.encode(value).decode()
    if kind == "moment":  # in one writing, whichever the server used
        moment = datetime.fromisoformat(value).astimezone(UTC)
        return moment.isoformat().replace("+00:00", "Z")
    return value

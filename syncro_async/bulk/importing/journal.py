"""Remembers what became of each row of an import, so that a crash at any moment loses none.

A row's intent is on the disk before the row is sent, its outcome after. Whoever finds an intent
without an outcome does not know whether the row reached the server: that row is in doubt.

    pending ──> sent ──> created, updated, unchanged, failed
                  └────> doubt (the outcome is lost) ──> the same

All work on the file is done in one thread of its own, off the event loop. Without a path the
journal is a temporary file that nobody else sees, and that a crash takes along.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypeVar, cast

from syncro_async._internal.worker_thread import WorkerThread
from syncro_async.errors import ConfigurationError
from syncro_async.models.receipts import FailureGroup

R = TypeVar("R")

_VERSION = "1"
_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE rows (
    idx INTEGER PRIMARY KEY,
    line INTEGER NOT NULL,
    hash BLOB NOT NULL,
    body BLOB NOT NULL,
    key_a TEXT,
    key_b TEXT,
    after_a INTEGER,
    after_b INTEGER,
    state TEXT NOT NULL DEFAULT 'pending',
    sent_at REAL,
    lead_id INTEGER,
    reason TEXT,
    error TEXT,
    matches INTEGER NOT NULL DEFAULT 0,
    change BLOB
);
CREATE INDEX rows_by_state ON rows (state, idx);
CREATE INDEX rows_by_key_a ON rows (key_a, idx) WHERE key_a IS NOT NULL;
CREATE INDEX rows_by_key_b ON rows (key_b, idx) WHERE key_b IS NOT NULL;
CREATE INDEX rows_by_lead ON rows (lead_id) WHERE lead_id IS NOT NULL;
"""
_LINK = """
UPDATE rows SET after_{key} = linked.before FROM (
    SELECT idx, LAG(idx) OVER (PARTITION BY key_{key} ORDER BY idx) AS before
    FROM rows WHERE key_{key} IS NOT NULL AND {which}
) AS linked
WHERE rows.idx = linked.idx AND rows.after_{key} IS NOT linked.before
"""
_OVERTAKEN = """
WITH RECURSIVE again (idx, key_a, key_b) AS (
    SELECT idx, key_a, key_b FROM rows WHERE state IN ('failed', 'doubt')
    UNION
    SELECT later.idx, later.key_a, later.key_b FROM again
    JOIN rows AS later ON later.key_a = again.key_a AND later.idx > again.idx
    UNION
    SELECT later.idx, later.key_a, later.key_b FROM again
    JOIN rows AS later ON later.key_b = again.key_b AND later.idx > again.idx
)
UPDATE rows SET state = 'pending', sent_at = NULL
WHERE state IN ('created', 'updated') AND idx IN (SELECT idx FROM again)
"""
_ROW = "idx, line, body, state, sent_at, after_a, after_b"
_LINES_SHOWN = 5


class QueuedRow(NamedTuple):
    """A row to be sent: its place in the import (from 0), its line, its columns as JSON.

    `sent_at` is when it was first meant to be sent (unix time), None before; `after_a` and
    `after_b` are rows of the same lead that come before it.
    """

    idx: int
    line: int
    body: bytes
    state: str
    sent_at: float | None
    after_a: int | None
    after_b: int | None


class Outcome(NamedTuple):
    """What became of a row; `reason` groups failures, `error` says it in full."""

    idx: int
    state: str
    lead_id: int | None = None
    reason: str | None = None
    error: str | None = None


class Journal:
    """An open journal. `async with` opens and closes it; one run at a time may hold it.

    Raises `ConfigurationError` for a file that is no journal, or is held by another run, and
    `OSError` when it cannot be read or written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._thread = WorkerThread()
        self._thread.on_exit(lambda: self._on_file(self._close))
        self._outcomes: deque[Outcome] = deque()
        self._db: sqlite3.Connection | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._in_thread(self._open)
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._thread.__aexit__(kind, error, traceback)

    async def run(self, work: Callable[[sqlite3.Connection], R]) -> R:
        """Do some work on the file, in one transaction, in its thread."""
        return await self._in_thread(lambda: self._transaction(work))

    async def record(self, outcome: Outcome) -> None:
        """Write what became of a row; outcomes that come together are written together."""
        self._outcomes.append(outcome)
        await self._in_thread(self._write)

    async def _in_thread(self, work: Callable[[], R]) -> R:
        return await self._thread(self._on_file, work)

    def _on_file(self, work: Callable[[], R]) -> R:
        try:
            return work()
        except sqlite3.Error as error:
            raise OSError(errno.EIO, f"the journal failed: {error}", str(self._path)) from error

    def _open(self) -> None:
        self._db = _opened(self._path)

    def _close(self) -> None:
        if self._db is None:
            return
        begun = "rows" in read_meta(self._db)
        self._db.close()
        if self._path is not None and not begun:
            self._path.unlink(missing_ok=True)

    def _transaction(self, work: Callable[[sqlite3.Connection], R]) -> R:
        db = cast("sqlite3.Connection", self._db)
        db.execute("BEGIN")
        try:
            # Whatever is decided on is decided with all that is known.
            write_outcomes(db, self._in_use_error())
            result = work(db)
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")
        return result

    def _write(self) -> None:
        # The first to come writes for all who have come; the others find nothing left.
        if self._outcomes:
            self._transaction(_nothing)

    def _in_use_error(self) -> list[Outcome]:
        return [self._outcomes.popleft() for _ in range(len(self._outcomes))]


# ------------------------------------------------------------------ in the thread, one transaction


def _nothing(_: sqlite3.Connection) -> None:
    pass


def _opened(path: Path | None) -> sqlite3.Connection:
    if path is not None:
        # Rows are people's data: the file is for its owner's eyes only.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    db = sqlite3.connect("" if path is None else path, isolation_level=None, timeout=0.0)
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        is_new = _is_new(db, path)  # before anything is written into what may be somebody else's
        db.execute("PRAGMA temp_store = FILE")
        if path is None:
            db.execute("PRAGMA synchronous = OFF")
        else:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN EXCLUSIVE")
        if is_new:
            _make_schema(db)
        db.execute("COMMIT")
    except sqlite3.OperationalError as error:
        db.close()
        if "locked" in str(error):
            message = f"the journal {path} is in use by another run of this import"
            raise ConfigurationError(message) from None
        raise
    except (sqlite3.DatabaseError, ConfigurationError):
        db.close()
        raise ConfigurationError(f"{path} is no journal of an import; name another") from None
    return db


def _is_new(db: sqlite3.Connection, path: Path | None) -> bool:
    """Whether the file is still empty. Raises `ConfigurationError` for what is no journal."""
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    if tables and (tables != {"meta", "rows"} or read_meta(db).get("version") != _VERSION):
        raise ConfigurationError(f"{path} is no journal")
    return not tables


def _make_schema(db: sqlite3.Connection) -> None:
    for statement in _SCHEMA.split(";")[:-1]:
        db.execute(statement)
    db.execute("INSERT INTO meta VALUES ('version', ?)", (_VERSION,))


def read_meta(db: sqlite3.Connection) -> dict[str, str]:
    """What the journal says of the whole import."""
    return dict(db.execute("SELECT name, value FROM meta"))


def write_meta(db: sqlite3.Connection, facts: Mapping[str, str]) -> None:
    """Write facts of the whole import."""
    db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", facts.items())


def write_outcomes(db: sqlite3.Connection, outcomes: Iterable[Outcome]) -> None:
    """Write what became of rows."""
    db.executemany(
        "UPDATE rows SET state = ?, lead_id = ?, reason = ?, error = ? WHERE idx = ?",
        [(o.state, o.lead_id, o.reason, o.error, o.idx) for o in outcomes],
    )


def begin_run(db: sqlite3.Connection, *, repeatable: bool) -> list[int]:
    """Take up what an earlier run left: what failed is tried again, what was sent is in doubt.

    Of rows that are `repeatable`, those that came after such a row for the same lead go again, too:
    else the older one would have the last word. Returns the places of all rows in doubt.
    """
    if repeatable:
        db.execute(_OVERTAKEN)
    db.execute(
        "UPDATE rows SET state = 'pending', sent_at = NULL, reason = NULL, error = NULL"
        " WHERE state = 'failed'"
    )
    db.execute("UPDATE rows SET state = 'doubt' WHERE state = 'sent'")
    link(db, "state IN ('pending', 'doubt')")
    return [idx for (idx,) in db.execute("SELECT idx FROM rows WHERE state = 'doubt' ORDER BY idx")]


def link(db: sqlite3.Connection, which: str) -> None:
    """Write for each of those rows which of them comes before it for the same lead, by each key."""
    for key in ("a", "b"):
        db.execute(_LINK.format(key=key, which=which))


def rows_after(db: sqlite3.Connection, idx: int, limit: int) -> list[QueuedRow]:
    """The next rows that are still to be sent."""
    query = f"SELECT {_ROW} FROM rows WHERE state = 'pending' AND idx > ? ORDER BY idx LIMIT ?"  # noqa: S608  # constants
    return [QueuedRow(*row) for row in db.execute(query, (idx, limit))]


def rows_at(db: sqlite3.Connection, places: Collection[int]) -> list[QueuedRow]:
    """The rows at these places."""
    query = f"SELECT {_ROW} FROM rows WHERE idx = ?"  # noqa: S608  # a constant
    return [QueuedRow(*row) for place in places for row in db.execute(query, (place,))]


def mark_sending(db: sqlite3.Connection, places: Collection[int], wall: float) -> None:
    """Write that these rows are about to be sent, which those in doubt may have been before."""
    db.executemany(
        "UPDATE rows SET state = 'sent', sent_at = ? WHERE idx = ? AND state = 'pending'",
        [(wall, place) for place in places],
    )


def revert_unsent(db: sqlite3.Connection, on_the_wire: Collection[int]) -> None:
    """Write that what was about to be sent was not, but for those rows."""
    db.executemany(
        "UPDATE rows SET state = 'doubt' WHERE idx = ? AND state = 'sent'",
        [(at,) for at in on_the_wire],
    )
    db.execute("UPDATE rows SET state = 'pending', sent_at = NULL WHERE state = 'sent'")


def is_claimed(db: sqlite3.Connection, lead_id: int, idx: int) -> bool:
    """Whether another row of the import has created that lead."""
    query = "SELECT 1 FROM rows WHERE lead_id = ? AND state = 'created' AND idx <> ?"
    return db.execute(query, (lead_id, idx)).fetchone() is not None


def counts(db: sqlite3.Connection) -> dict[str, int]:
    """How many rows are in each state."""
    return dict(db.execute("SELECT state, COUNT(*) FROM rows GROUP BY state"))


def failure_groups(db: sqlite3.Connection) -> tuple[FailureGroup, ...]:
    """The failures by reason, the most frequent first."""
    groups = (
        "SELECT reason, COUNT(*) FROM rows WHERE state = 'failed'"
        " GROUP BY reason ORDER BY COUNT(*) DESC, MIN(idx)"
    )
    lines = "SELECT line FROM rows WHERE state = 'failed' AND reason = ? ORDER BY idx LIMIT ?"
    return tuple(
        FailureGroup(reason, count, tuple(n for (n,) in db.execute(lines, (reason, _LINES_SHOWN))))
        for reason, count in db.execute(groups).fetchall()
    )


def bodies_of(db: sqlite3.Connection, states: Collection[str]) -> Iterator[tuple[bytes, str]]:
    """The columns of the rows in these states, as JSON, with what went wrong."""
    marks = ", ".join("?" * len(states))
    query = f"SELECT body, error FROM rows WHERE state IN ({marks}) ORDER BY idx"  # noqa: S608  # no values in it
    yield from ((body, error or "") for body, error in db.execute(query, tuple(states)))

"""Stores the state of each row of an import, so that a crash at any moment loses no row.

The state `sent` is on the disk before the row is sent, its outcome afterwards. After a crash the
outcome of a row in state `sent` is unknown: the server may have carried it out or not.

    pending ──> sent ──> created, updated, unchanged, failed
                  └────> unknown (the answer is lost) ──> created, pending, failed, doubt

`doubt` is the end for this run: what the server shows does not decide it. `failed` becomes `stale`
when a later run begins, until that run has sent everything else and tries these rows again.
`repeat` is a row that says the same as the row before it.

All work on the file runs in one thread, outside the event loop. Without a path the journal is a
temporary file, which does not survive a crash.
"""

from __future__ import annotations

import errno
import sqlite3
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypeVar, cast

from syncro_async._internal.private_file import create_private
from syncro_async._internal.worker_thread import WorkerThread
from syncro_async.errors import ConfigurationError
from syncro_async.models.receipts import FailureGroup

R = TypeVar("R")

# Version 2 did not record what was at the server before the first row was sent.
_VERSION = "3"
_TABLES = {"meta", "rows", "known"}
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
    sends INTEGER NOT NULL DEFAULT 0,
    lead_id INTEGER,
    made INTEGER NOT NULL DEFAULT 0,
    plan BLOB,
    reason TEXT,
    error TEXT
);
CREATE TABLE known (lead_id INTEGER PRIMARY KEY);
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
_LINES_SHOWN = 5
NOT_MADE, HALF_MADE, MADE = 0, 1, 2


class QueuedRow(NamedTuple):
    """A row to be sent.

    - `idx`: its index in the import, from 0
    - `line`: its line in the source
    - `body`: its columns as JSON
    - `state`: its state in the journal
    - `sends`: how often it was marked as being sent
    - `after_a`, `after_b`: the indexes of the previous rows with the same email and phone
    - `key_a`, `key_b`: its email and its phone in one spelling
    - `plan`: the JSON of what it changes in which lead (`plan.RowPlan`), None without one
    - `lead_id`, `made`: its lead, as far as it is known, and whether the row has made it
      (`NOT_MADE`, `HALF_MADE`: its tags are still to be added, `MADE`)
    """

    idx: int
    line: int
    body: bytes
    state: str
    sends: int
    after_a: int | None
    after_b: int | None
    key_a: str | None
    key_b: str | None
    plan: bytes | None
    lead_id: int | None
    made: int


class Outcome(NamedTuple):
    """The result of a row; `reason` is what equal failures share, `error` the complete message.

    `made`: whether the row has made the lead, as in `QueuedRow`.
    """

    idx: int
    state: str
    lead_id: int | None = None
    reason: str | None = None
    error: str | None = None
    made: int = 0


class Journal:
    """An open journal; `async with` opens and closes it, and locks it for one run.

    Raises `ConfigurationError` for a file that is not a journal or that another run uses, and
    `OSError` when the file cannot be read or written.
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
        """Call `work` with the database, in one transaction, in the thread of the journal."""
        return await self._in_thread(lambda: self._transaction(work))

    async def record(self, outcome: Outcome) -> None:
        """Write the outcome of a row; outcomes that arrive together share one transaction."""
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
            # `work` must see every outcome that was recorded before it.
            write_outcomes(db, self._take_outcomes())
            result = work(db)
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")
        return result

    def _write(self) -> None:
        # The first of several waiting calls writes the outcomes of all of them.
        if self._outcomes:
            self._transaction(_nothing)

    def _take_outcomes(self) -> list[Outcome]:
        return [self._outcomes.popleft() for _ in range(len(self._outcomes))]


# ------------------------------------------------------------------ in the journal's thread


def _nothing(_: sqlite3.Connection) -> None:
    pass


def _opened(path: Path | None) -> sqlite3.Connection:
    if path is not None:
        # Rows are personal data: only the owner of the file may read it.
        create_private(path)
    db = sqlite3.connect("" if path is None else path, isolation_level=None, timeout=0.0)
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        is_new = _is_new(db, path)  # before the first write: the file may be another program's
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
            message = (
                f"the journal {path} is in use by another run;"
                " wait until that run ends, or name another journal"
            )
            raise ConfigurationError(message) from None
        raise
    except ConfigurationError:
        db.close()
        raise
    except sqlite3.DatabaseError:
        db.close()
        raise _not_a_journal(path) from None
    return db


def _is_new(db: sqlite3.Connection, path: Path | None) -> bool:
    """Return whether the file is empty. Raises `ConfigurationError` for any other content."""
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    if not tables:
        return True
    if not {"meta", "rows"} <= tables <= _TABLES:
        raise _not_a_journal(path)
    version = read_meta(db).get("version")
    if version != _VERSION:
        raise ConfigurationError(
            f"the journal {path} has the format {version!r} of another version of this client"
            f" (this one: {_VERSION!r}); finish the import with that version, or name another"
            " journal after you have checked which of the rows are at the server"
        )
    return False


def _not_a_journal(path: Path | None) -> ConfigurationError:
    return ConfigurationError(f"{path} is not a journal of an import; name another file")


def _make_schema(db: sqlite3.Connection) -> None:
    for statement in _SCHEMA.split(";")[:-1]:
        db.execute(statement)
    db.execute("INSERT INTO meta VALUES ('version', ?)", (_VERSION,))


def read_meta(db: sqlite3.Connection) -> dict[str, str]:
    """Read the facts about the whole import."""
    return dict(db.execute("SELECT name, value FROM meta"))


def write_meta(db: sqlite3.Connection, facts: Mapping[str, str]) -> None:
    """Write facts about the whole import."""
    db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", facts.items())


def forget(db: sqlite3.Connection) -> None:
    """Remove all rows, and every fact about them."""
    db.execute("DELETE FROM rows")
    db.execute("DELETE FROM meta WHERE name <> 'version'")


def write_outcomes(db: sqlite3.Connection, outcomes: Iterable[Outcome]) -> None:
    """Write the outcomes of rows."""
    db.executemany(
        "UPDATE rows SET state = ?, lead_id = COALESCE(?, lead_id), reason = ?, error = ?,"
        " made = MAX(made, ?) WHERE idx = ?",
        [(o.state, o.lead_id, o.reason, o.error, o.made, o.idx) for o in outcomes],
    )


def link(db: sqlite3.Connection, which: str) -> None:
    """Write for each of those rows the previous one with the same key, for each of the two keys."""
    for key in ("a", "b"):
        db.execute(_LINK.format(key=key, which=which))


def counts(db: sqlite3.Connection) -> dict[str, int]:
    """Return the number of rows in each state."""
    return dict(db.execute("SELECT state, COUNT(*) FROM rows GROUP BY state"))


def failure_groups(db: sqlite3.Connection) -> tuple[FailureGroup, ...]:
    """Return the rows that are not imported, grouped by reason, the most frequent first."""
    failed = "FROM rows WHERE state IN ('failed', 'stale', 'set aside')"
    groups = f"SELECT reason, COUNT(*) {failed} GROUP BY reason ORDER BY COUNT(*) DESC, MIN(idx)"
    lines = f"SELECT line {failed} AND reason = ? ORDER BY idx LIMIT ?"
    return tuple(
        FailureGroup(reason, count, tuple(n for (n,) in db.execute(lines, (reason, _LINES_SHOWN))))
        for reason, count in db.execute(groups).fetchall()
    )


def bodies_of(db: sqlite3.Connection, states: Collection[str]) -> Iterator[tuple[bytes, str]]:
    """Yield the columns (JSON) and the error of each row in these states."""
    marks = ", ".join("?" * len(states))
    query = f"SELECT body, error FROM rows WHERE state IN ({marks}) ORDER BY idx"  # noqa: S608  # no values in it
    yield from ((body, error or "") for body, error in db.execute(query, tuple(states)))

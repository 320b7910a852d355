"""Keeps shared budgets in an SQLite file: one host, any number of processes, no server."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import msgspec

from syncro_async.clock import Clock
from syncro_async.errors import ConfigurationError
from syncro_async.limiting.shared.messages import SyncRequest, SyncResponse
from syncro_async.limiting.shared.state import OWNER_TTL, BudgetState, state_for, sync
from syncro_async.limiting.shared.store import StoreUnreachableError

# How long a visit waits for other processes to let go of the file (s): they hold it for less than
# a millisecond, and a visit that waits longer would have its owner taken for dead.
_LOCK_PATIENCE = OWNER_TTL / 2
# Budgets nobody has asked about for this long (s) are forgotten.
_FORGOTTEN_AFTER = 86_400.0
_MAKE = "CREATE TABLE budgets (key TEXT PRIMARY KEY, seen REAL, state BLOB)"

_read_state = msgspec.msgpack.Decoder(BudgetState).decode
_write_state = msgspec.msgpack.Encoder().encode


class SqliteStore:
    """One file, made and opened on first use.

    It is worked on in a thread of its own for each event loop: waiting for the disk or for
    another process never holds the loop up. Times are the host's monotonic clock, which all its
    processes share, and which starts anew when the host does: the state copes with that.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._files: dict[asyncio.AbstractEventLoop, _File] = {}

    async def sync(self, key: str, visit: SyncRequest) -> SyncResponse:
        """Apply the visit to the key's state, atomically across processes. See `Store.attend`."""
        loop = asyncio.get_running_loop()
        file = self._files.get(loop)
        if file is None:
            self._leave_closed_loops()
            file = self._files[loop] = _File(self._path, self._clock)
        # Cancelled meanwhile, the thread goes on to the end of the visit: it may be told again.
        return await loop.run_in_executor(file.thread, file.sync, key, visit)

    async def aclose(self) -> None:
        """Close the running loop's file and end its thread; harmless when never opened."""
        self._leave_closed_loops()
        loop = asyncio.get_running_loop()
        file = self._files.pop(loop, None)
        if file is not None:
            await loop.run_in_executor(file.thread, file.close)

    def _leave_closed_loops(self) -> None:
        # Each step is one of the dictionary's own: other loops' threads may be here as well, and a
        # lock would be held for ever in a child that is forked meanwhile.
        for loop in list(self._files):
            file = self._files.pop(loop, None) if loop.is_closed() else None
            if file is not None:
                file.thread.submit(file.close)


class _File:
    """The file as one thread has it open."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._opened_as: tuple[int, int] | None = None
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="syncro-budget")

    def sync(self, key: str, visit: SyncRequest) -> SyncResponse:
        try:
            return self._transact(self._opened(), key, visit)
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            self._disconnect()
            raise self._explained(error) from error.with_traceback(None)

    def close(self) -> None:
        """Let go of the file; the thread ends by itself."""
        self._disconnect()
        self.thread.shutdown(wait=False)

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None or self._opened_as != self._identity():
            # Whoever deletes the file and makes it anew would else have another than we have.
            self._disconnect()
            # Each transaction is begun below; the thread that closes it may be another one.
            self._connection = sqlite3.connect(
                self._path, timeout=_LOCK_PATIENCE, isolation_level=None, check_same_thread=False
            )
            self._prepare(self._connection)
            self._opened_as = self._identity()
        return self._connection

    def _identity(self) -> tuple[int, int] | None:
        """Which file is there, whatever its name."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Make the table in a new file; one that is somebody else's stays as it is."""
        connection.execute("PRAGMA synchronous=NORMAL")
        with _transaction(connection):
            tables = dict(connection.execute("SELECT name, sql FROM sqlite_master"))
            if not tables:
                connection.execute(_MAKE)
            elif tables.get("budgets") != _MAKE:
                raise sqlite3.DatabaseError("it holds other tables")
        # Another process that does the same now makes it fail at once, and does it for both.
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode=WAL")

    def _transact(
        self, connection: sqlite3.Connection, key: str, visit: SyncRequest
    ) -> SyncResponse:
        with _transaction(connection):
            now = self._clock.monotonic()
            row = connection.execute("SELECT state FROM budgets WHERE key = ?", (key,)).fetchone()
            state = state_for(None if row is None else _read_state(row[0]), visit, now)
            ruling = sync(state, visit, now)
            entry = (key, now, _write_state(state))
            connection.execute("INSERT OR REPLACE INTO budgets VALUES (?, ?, ?)", entry)
            if row is None:
                old = (now, _FORGOTTEN_AFTER)
                connection.execute("DELETE FROM budgets WHERE abs(seen - ?) > ?", old)
        return ruling

    def _explained(self, error: Exception) -> StoreUnreachableError | ConfigurationError:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        if isinstance(error, sqlite3.OperationalError) and code != sqlite3.SQLITE_ERROR:
            # Locked, read-only, no folder, a full disk: it may be different the next time.
            return StoreUnreachableError(f"the limiter's file {self._path} cannot be used: {error}")
        return ConfigurationError(
            f"the limiter's file {self._path} is damaged, or no file of a limiter ({error});"
            " stop the programs that use it and delete it, or name another"
        )

    def _disconnect(self) -> None:
        if self._connection is not None:
            with closing(self._connection):
                self._connection = None


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Alone with the file, from the first look at it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # what went wrong before is the news
            connection.execute("ROLLBACK")
        raise

"""Keeps shared budgets in an SQLite file: one host, any number of processes, no server."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import msgspec

from syncro_async._internal.argument_text import Argument, ArgumentText
from syncro_async.clock import Clock
from syncro_async.errors import ConfigurationError
from syncro_async.limiting.budget.messages import SyncRequest, SyncResponse
from syncro_async.limiting.budget.state import OWNER_TTL, BudgetState, Host
from syncro_async.limiting.budget.store_time import Moment, continue_on
from syncro_async.limiting.budget.stored_state import read_state, remember, write_state
from syncro_async.limiting.budget.sync import state_for, sync
from syncro_async.limiting.host_identity import boot_id, machine_id
from syncro_async.limiting.shared.job_lease import JobClaim, JobHolder, decide
from syncro_async.limiting.shared.store import StoreUnreachableError

# How long a request waits for the lock of the file (s). Other processes hold it for less than a
# millisecond, and a longer wait would let the places of the owner expire.
_LOCK_PATIENCE = OWNER_TTL / 2
# A budget that was not used for this long (s) is deleted.
_FORGOTTEN_AFTER = 86_400.0
# A file that another host has written within so many seconds is in use there.
_IN_USE = 120.0
# Version 0.1 had other columns and other names for the same keys. Two versions would have two
# budgets for one key, and so each of them refuses the file of the other.
_MAKE = "CREATE TABLE budgets (key TEXT PRIMARY KEY, wall REAL, state BLOB)"
_MAKE_JOBS = (
    "CREATE TABLE IF NOT EXISTS jobs"
    " (name TEXT PRIMARY KEY, holder TEXT, place TEXT, expires_at REAL, boot TEXT)"
)


class SqliteStore:
    """An SQLite file, created and opened on first use.

    Each event loop uses it in a thread of its own, so that a wait for the disk or for another
    process does not block the loop. Times are those of the monotonic clock of the host. After a
    restart of the host, all slots of the file count as answered at its first use. Raises
    `ConfigurationError` for a file that another host is using.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._files: dict[asyncio.AbstractEventLoop, _File] = {}

    async def sync(self, key: str, request: SyncRequest) -> SyncResponse:
        """Apply the request to the state, atomically across processes. See `Store.sync`."""
        file = self._in_this_loop()
        # After a cancellation the thread still finishes the request, which may be sent again.
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(file.thread, file.sync, key, request)

    async def claim_job(self, claim: JobClaim) -> float:
        """Take, renew or release a job lease. See `JobStore.claim_job`."""
        file = self._in_this_loop()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(file.thread, file.claim_job, claim)

    async def aclose(self) -> None:
        """Close the file of the running event loop and end its thread."""
        self._leave_closed_loops()
        loop = asyncio.get_running_loop()
        file = self._files.pop(loop, None)
        if file is not None:
            await loop.run_in_executor(file.thread, file.close)

    def _in_this_loop(self) -> _File:
        loop = asyncio.get_running_loop()
        file = self._files.get(loop)
        if file is None:
            self._leave_closed_loops()
            file = self._files[loop] = _File(self._path, self._clock)
        return file

    def _leave_closed_loops(self) -> None:
        # Each step is one atomic operation of the dictionary. A lock could stay locked in a child
        # that is forked meanwhile.
        for loop in list(self._files):
            file = self._files.pop(loop, None) if loop.is_closed() else None
            if file is not None:
                file.thread.submit(file.close)


class _File:
    """The file as one thread has opened it."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        # The file, and the one beside it in which SQLite keeps the last writes.
        self._paths = (path, Path(f"{path}-wal"))
        self._opened_as: list[tuple[int, int] | None] = []
        self._boot, self._machine = boot_id(), machine_id()
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="syncro-budget")

    def sync(self, key: str, request: SyncRequest) -> SyncResponse:
        try:
            return self._transact(self._opened(), key, request)
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            self._disconnect()
            raise self._explained(error) from error.with_traceback(None)

    def claim_job(self, claim: JobClaim) -> float:
        try:
            return self._claim(self._opened(), claim)
        except sqlite3.Error as error:
            self._disconnect()
            raise self._explained(error) from error.with_traceback(None)

    def close(self) -> None:
        """Close the file; the thread ends by itself."""
        self._disconnect()
        self.thread.shutdown(wait=False)

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None or self._opened_as != self._identity():
            # Another program has deleted one of the files, or put another one in its place.
            self._disconnect()
            # Transactions are explicit, and another thread may close the connection.
            self._connection = sqlite3.connect(
                self._path, timeout=_LOCK_PATIENCE, isolation_level=None, check_same_thread=False
            )
            self._prepare(self._connection)
            self._opened_as = self._identity()
        return self._connection

    def _identity(self) -> list[tuple[int, int] | None]:
        """Device and inode of the files that have these names now; None for a missing one."""
        found: list[tuple[int, int] | None] = []
        for path in self._paths:
            try:
                status = path.stat()
                found.append((status.st_dev, status.st_ino))
            except FileNotFoundError:
                found.append(None)
        return found

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Create the table in a new file; raises for a file with other tables."""
        connection.execute("PRAGMA synchronous=NORMAL")
        with _transaction(connection):
            tables = dict(connection.execute("SELECT name, sql FROM sqlite_master"))
            if not tables:
                connection.execute(_MAKE)
            elif tables.get("budgets") != _MAKE:
                raise sqlite3.DatabaseError(
                    "it holds other tables, or those of another version of syncro_async"
                )
        # This fails when another process does the same now, which is enough.
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode=WAL")
            # Only the first statement in this mode creates the file beside it.
            connection.execute("SELECT 1 FROM budgets LIMIT 1").fetchall()

    def _transact(
        self, connection: sqlite3.Connection, key: str, request: SyncRequest
    ) -> SyncResponse:
        with _transaction(connection):
            now = self._clock.monotonic()
            row = connection.execute("SELECT state FROM budgets WHERE key = ?", (key,)).fetchone()
            stored = None if row is None else self._on_this_host(read_state(row[0]), now)
            moment = Moment.at(now)
            state = state_for(stored, request, now)
            state.host = Host(self._boot, self._machine, self._clock.wall())
            response = sync(state, request, moment).response
            packed = write_state(state)
            # The calendar time: a clock that starts at the boot says nothing of an earlier boot.
            wall = self._clock.wall()
            entry = (key, wall, packed)
            connection.execute("INSERT OR REPLACE INTO budgets VALUES (?, ?, ?)", entry)
            if row is None:
                old = (wall, _FORGOTTEN_AFTER)
                connection.execute("DELETE FROM budgets WHERE abs(wall - ?) > ?", old)
        return remember(response, state, packed, moment)

    def _claim(self, connection: sqlite3.Connection, claim: JobClaim) -> float:
        with _transaction(connection):
            connection.execute(_MAKE_JOBS)
            now = self._clock.monotonic()
            # Nothing that ran before the last start of this machine runs now.
            ended = (now, self._boot)
            connection.execute("DELETE FROM jobs WHERE expires_at <= ? OR boot <> ?", ended)
            query = "SELECT holder, place, expires_at FROM jobs WHERE name = ?"
            row = connection.execute(query, (claim.name,)).fetchone()
            held = None if row is None else JobHolder(*row)
            after, wait = decide(held, claim, now)
            if after is None:
                connection.execute("DELETE FROM jobs WHERE name = ?", (claim.name,))
            elif after is not held:
                entry = (claim.name, after.holder, after.place, after.expires_at, self._boot)
                connection.execute("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?)", entry)
        return wait

    def _on_this_host(self, state: BudgetState, now: float) -> BudgetState:
        """The state with the times of this host. Raises `ConfigurationError` on a second host."""
        if state.host is not None and state.host.boot != self._boot:
            elsewhere = state.host.machine != self._machine
            if elsewhere and abs(self._clock.wall() - state.host.wall) < _IN_USE:
                raise ConfigurationError(
                    ArgumentText(
                        f"the limiter's file {self._path} is used by another host"
                        f" ({state.host.machine}) now; an SQLite file serves the processes of one"
                        " host. Use ",
                        Argument("limiter", "redis://…"),
                        " for several hosts",
                    )
                )
            continue_on(state, now)
        return state

    def _explained(self, error: Exception) -> StoreUnreachableError | ConfigurationError:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        if isinstance(error, sqlite3.OperationalError) and code != sqlite3.SQLITE_ERROR:
            # Locked, read-only, no folder, a full disk: another attempt may succeed.
            return StoreUnreachableError(f"the limiter's file {self._path} cannot be used: {error}")
        return ConfigurationError(
            f"the limiter's file {self._path} is damaged, or is not the file of a limiter"
            f" ({error}); stop the programs that use it and delete it, or name another file"
        )

    def _disconnect(self) -> None:
        if self._connection is not None:
            with closing(self._connection):
                self._connection = None


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A write transaction that locks the file from its first read."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # the first error is the one to raise
            connection.execute("ROLLBACK")
        raise

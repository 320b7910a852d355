"""Keeps what a list has shown in a file of its own, so that reading it survives a crash."""

from __future__ import annotations

import errno
import hashlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec

from syncro_async.bulk.exporting.completeness import Pass, Snapshot
from syncro_async.errors import ConfigurationError
from syncro_async.models.lead import Lead
from syncro_async.models.page import Page, UnreadableItem
from syncro_async.transport.json_pieces import members

# What was read longer ago than this is read anew rather than gone on with (s).
GOOD_FOR = 86_400.0

# Two runs that lock a file in the same moment can stand in each other's way: then one tries again.
_ATTEMPTS = 8
_INTEGERS = range(-(2**63), 2**63)
_TABLES = """
CREATE TABLE state (json BLOB NOT NULL);
CREATE TABLE lead (key PRIMARY KEY, row BLOB, problem TEXT, first INTEGER, last INTEGER);
CREATE TABLE reference (position INTEGER PRIMARY KEY, total INTEGER, alone INTEGER);
"""
_NAMES = frozenset({"state", "lead", "reference"})
_KEEP = """
INSERT INTO lead (key, row, problem, first, last) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET
  row = excluded.row, problem = excluded.problem, last = excluded.last
"""


class ReadProgress(msgspec.Struct, frozen=True):
    """Where a reading stands.

    `subject` says what is read, `begun_at` when that began (unix timestamp, by the server's clock
    where it was the earlier one). This is reading number `reading`; it began at position `begins`,
    and `next_page` is what it has to fetch now, at `position`. `last_page` is what the server
    last said, `lowest` and `highest` are the totals of this reading so far, `readings` the
    readings that have ended. `repeated` counts leads shown again within one reading.
    """

    subject: str
    begun_at: float
    reading: int = 1
    begins: int = 0
    next_page: int = 1
    position: int = 0
    last_page: int = 1
    lowest: int | None = None
    highest: int | None = None
    readings: tuple[Pass, ...] = ()
    repeated: int = 0
    total_at_start: int = 0
    total_at_end: int = 0


_Row = tuple[int | str, bytes, str | None]


class Spool:
    """The leads a list has shown, each in the state it was last shown in, and where it stands.

    One SQLite file, written page by page in transactions: a kill at any moment costs the pages
    under way and nothing else. It is locked while it is open. All of it blocks; every method
    raises `OSError` for what the file system refuses.
    """

    def __init__(self, path: Path) -> None:
        """Open the file and lock it.

        Raises `ConfigurationError` when another run has it, and for a database of somebody else.
        """
        self.path = path
        self.state = ReadProgress("", 0.0)
        self._discarded = False
        # SQLite would say of a missing folder only that it is "unable to open database file".
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._file = _locked(path, _ATTEMPTS)

    def begin(self, subject: str, now: float, *, resume: bool) -> None:
        """Go on with what is there if it is the same subject and of today, else begin anew."""
        with as_os_error(self.path):
            # A log that is written ahead costs no wait for the disk with every page.
            self._file.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL")
            found = self._found() if resume else None
            if found and found.subject == subject and 0 <= now - found.begun_at < GOOD_FOR:
                self.state = found
                return
            self.state = ReadProgress(subject, now)
            drops = "".join(f"DROP TABLE IF EXISTS {name};" for name in _NAMES)
            self._file.executescript(f"BEGIN; {drops} {_TABLES} COMMIT")

    def add(self, pages: Sequence[Page[Lead]], next_page: int | None) -> None:
        """Keep a group of pages that were fetched side by side; None ends the reading."""
        with as_os_error(self.path):
            self._file.execute("BEGIN")
            try:
                state = self._after(pages, next_page)
                self._file.execute("DELETE FROM state")
                self._file.execute("INSERT INTO state VALUES (?)", [msgspec.json.encode(state)])
                self._file.execute("COMMIT")
            except BaseException:
                # A full disk has rolled it back already, and then this does nothing.
                if self._file.in_transaction:
                    self._file.execute("ROLLBACK")
                raise
        self.state = state

    def references(self) -> list[Snapshot]:
        """Every page that was fetched alone, with what is known now about its moment."""
        with as_os_error(self.path):
            pages = self._all("SELECT position, total, alone FROM reference ORDER BY position")
            shown = dict(self._all("SELECT first, count(*) FROM lead GROUP BY first"))
            gone = dict(self._all("SELECT last, count(*) FROM lead GROUP BY last"))
        positions = range(self.state.position)
        known = list(accumulate(shown.get(at, 0) - gone.get(at - 1, 0) for at in positions))
        return [Snapshot(at, total, alone, known[at]) for at, total, alone in pages]

    def seen(self) -> int:
        """How many different leads were shown, readable or not."""
        return self._count("1")

    def readable(self) -> int:
        """How many of them could be read."""
        return self._count("problem IS NULL")

    def unreadable(self, since: int) -> tuple[int, str]:
        """How many shown at `since` or later could not be read, and the first one's reason."""
        asked = (
            "SELECT count(*), problem, min(rowid) FROM lead WHERE problem NOT NULL AND last >= ?"
        )
        with as_os_error(self.path):
            [(count, reason, _)] = self._all(asked, since)
        return int(count), str(reason)

    def rows(
        self, since: int, at_most: int | None = None, *, readable: bool = True
    ) -> Iterator[list[bytes]]:
        """The JSON of the leads shown at `since` or later, in the order they came in, in lots."""
        which = "problem IS NULL" if readable else "problem NOT NULL"
        limit = -1 if at_most is None else at_most
        asked = f"SELECT row FROM lead WHERE {which} AND last >= ? ORDER BY rowid LIMIT ?"
        yield from self._batches(asked, since, limit)

    def ids(self, since: int) -> Iterator[list[int]]:
        """The ids of all leads shown at `since` or later, be they readable or not, in lots."""
        asked = "SELECT key FROM lead WHERE typeof(key) = 'integer' AND last >= ?"
        yield from self._batches(asked, since)

    def discard(self) -> None:
        """Remove the file: its work is done."""
        self._discarded = True
        self._file.close()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file, and remove it when nothing was read. Harmless after `discard`."""
        if self._discarded:
            return
        begun = self.state.subject
        kept = self.state.position if begun else self._all("SELECT 1 FROM sqlite_master")
        self._file.close()
        if not kept:
            self.path.unlink(missing_ok=True)

    def _all(self, asked: str, *values: object) -> list[Any]:
        return self._file.execute(asked, values).fetchall()

    def _batches(self, asked: str, *values: object) -> Iterator[list[Any]]:
        with as_os_error(self.path):
            found = self._file.execute(asked, values)
            while lot := found.fetchmany(1000):
                yield [value for (value,) in lot]

    def _count(self, condition: str) -> int:
        with as_os_error(self.path):
            [(count,)] = self._all(f"SELECT count(*) FROM lead WHERE {condition}")
        return int(count)

    def _found(self) -> ReadProgress | None:
        """What an earlier run left, if it left anything that can be read."""
        if not self._all("SELECT 1 FROM sqlite_master WHERE name = 'state'"):
            return None
        rows = self._all("SELECT json FROM state")
        try:
            return msgspec.json.decode(rows[0][0], type=ReadProgress) if rows else None
        except msgspec.MsgspecError:  # of another version of ours
            return None

    def _after(self, pages: Sequence[Page[Lead]], next_page: int | None) -> ReadProgress:
        """Write the pages, and return where that leaves the reading."""
        old, totals = self.state, [page.meta.total for page in pages]
        known = [value for value in (old.lowest, old.highest) if value is not None]
        new = msgspec.structs.replace(
            old,
            begun_at=old.begun_at if old.position else _earlier(old.begun_at, pages[0]),
            next_page=next_page or 1,
            position=old.position + 1,
            last_page=pages[-1].meta.last_page,
            lowest=min(totals + known),
            highest=max(totals + known),
            repeated=old.repeated + self._keep([row for page in pages for row in _rows(page)]),
            total_at_start=old.total_at_start if old.position else totals[0],
            total_at_end=totals[-1],
        )
        if len(pages) == 1:
            alone = len({key for key, _, _ in _rows(pages[0])})
            values = (old.position, totals[0], alone)
            self._file.execute("INSERT INTO reference VALUES (?, ?, ?)", values)
        return new if next_page else self._ended(new)

    def _keep(self, rows: Sequence[_Row]) -> int:
        """Keep the rows; return how many of them this reading has shown before."""
        at, keys = self.state.position, {key for key, _, _ in rows}
        marks = ", ".join("?" * len(keys))
        again = f"SELECT count(*) FROM lead WHERE last >= ? AND key IN ({marks})"
        [(known,)] = self._all(again, self.state.begins, *keys)
        self._file.executemany(_KEEP, [(*row, at, at) for row in rows])
        return int(known) + len(rows) - len(keys)

    def _ended(self, state: ReadProgress) -> ReadProgress:
        """The state once a reading is over and the next one is to begin."""
        begins = state.begins
        reading = Pass(
            lowest=state.lowest or 0,
            highest=state.highest or 0,
            shown=self._count(f"last >= {begins}"),
            new=self._count(f"first >= {begins}"),
        )
        return msgspec.structs.replace(
            state,
            reading=state.reading + 1,
            begins=state.position,
            next_page=1,
            lowest=None,
            highest=None,
            readings=(*state.readings, reading),
        )


def _locked(path: Path, attempts: int) -> sqlite3.Connection:
    """The file, open and locked. Raises as `Spool` does."""
    file = sqlite3.connect(path, timeout=0.0, isolation_level=None)
    try:
        with as_os_error(path):
            is_ours = _lock(file)
    except ConfigurationError:
        file.close()
        if attempts == 1:
            raise
        return _locked(path, attempts - 1)
    except BaseException:
        file.close()
        raise
    if not is_ours:
        file.close()
        raise ConfigurationError(f"{path} is a database of something else; move it away")
    return file


def _lock(file: sqlite3.Connection) -> bool:
    """Lock the file, if it is new or a spool; another program's database stays as it is."""
    # Of two that start together one gets the write lock. The other one leaves, so the first can
    # wait until it is alone: the commit of a change needs that.
    file.execute("PRAGMA locking_mode = EXCLUSIVE")
    file.execute("BEGIN IMMEDIATE")
    found = {name for (name,) in file.execute("SELECT name FROM sqlite_master")}
    if found and not found >= _NAMES:
        return False
    file.execute("PRAGMA busy_timeout = 5000")
    file.execute("PRAGMA user_version = 1")
    file.execute("COMMIT")
    file.execute("PRAGMA busy_timeout = 0")
    return True


@contextmanager
def as_os_error(path: Path) -> Iterator[None]:
    """Raise what SQLite says of a file as the `OSError` it is, with the file's name."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_BUSY:
            raise ConfigurationError(
                f"{path} is in use: another run does the same job; wait for its end"
            ) from error
        number = errno.ENOSPC if code == sqlite3.SQLITE_FULL else errno.EIO
        raise OSError(number, str(error), str(path)) from error


def _earlier(wall: float, page: Page[Lead]) -> float:
    """Ours or the server's clock when it answered, whichever is behind: too early is safe."""
    return wall if page.answered_at is None else min(wall, page.answered_at.timestamp())


def _rows(page: Page[Lead]) -> list[_Row]:
    unreadable: list[_Row] = [(_key(item), item.raw, item.reason) for item in page.unreadable]
    return [_row(lead) for lead in page.items] + unreadable


def _row(lead: Lead) -> _Row:
    row = msgspec.json.encode(lead)
    if lead.id in _INTEGERS:
        return lead.id, row, None
    return str(lead.id), row, "its id is larger than any database takes (64 bits)"


def _key(item: UnreadableItem) -> int | str:
    """What tells an unreadable lead from others: its id if that much can be read, or its bytes."""
    try:
        number = msgspec.json.decode(members(item.raw)["id"], type=int, strict=False)
    except (KeyError, ValueError, RecursionError):  # of ValueError are msgspec's and Unicode's
        return hashlib.sha256(item.raw).hexdigest()
    return number if number in _INTEGERS else str(number)

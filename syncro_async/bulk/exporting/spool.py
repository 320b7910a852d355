"""Keeps the leads that were read in a file, so that an interrupted reading can continue."""

from __future__ import annotations

import errno
import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

import msgspec

from syncro_async._internal.private_file import create_private
from syncro_async.bulk.exporting.completeness import Pass, Snapshot
from syncro_async.bulk.exporting.split import Part, is_beyond, last_old_day
from syncro_async.errors import ConfigurationError
from syncro_async.models.lead import Lead
from syncro_async.models.page import Page, UnreadableItem
from syncro_async.transport.json_pieces import members

# An older reading is not continued but begun again (s).
GOOD_FOR = 86_400.0

# Two runs that lock a file in the same moment can block each other: then one tries again.
_ATTEMPTS = 8
_INTEGERS = range(-(2**63), 2**63)
_TABLES = """
CREATE TABLE state (json BLOB NOT NULL);
CREATE TABLE lead (
  key PRIMARY KEY, row BLOB, problem TEXT, first INTEGER, last INTEGER, old INTEGER);
CREATE TABLE reference (position INTEGER PRIMARY KEY, total INTEGER, alone INTEGER);
"""
_NAMES = frozenset({"state", "lead", "reference"})
_KEEP = """
INSERT INTO lead (key, row, problem, first, last, old) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET
  row = excluded.row, problem = excluded.problem, last = excluded.last,
  old = old OR excluded.old
"""
# Not proved to be deleted: shown late enough, or by the reading that proved the old part.
_CURRENT = "(last >= ? OR old)"


class ReadProgress(msgspec.Struct, frozen=True):
    """How far a reading is.

    - `subject`: what is read
    - `begun_at`: when that began (unix time, s), by this machine's clock or the server's,
      whichever is earlier; `started_at`: the same by this machine's clock
    - `server_time`: the server's time in its first answer (unix time, s), None when it sends none
    - `newest_change`: a time (unix time, s) that the clock which dates the leads had certainly
      reached when the reading began, None when no lead shows one
    - `part`: the part of the list that is read now
    - `last_old_day`: the last day of the old part, None when the server does not send its time
    - `old_total`: the number of leads in the old part, None as long as it is not proved
    - `expected`: the number of leads that the whole list must have if both parts are complete,
      None when there is nothing to compare; `proved_since`: the position that proves the young part
    - `reading`: the number of this reading of the part, which began at position `begins`
    - `next_page`: the page to fetch now, at `position`; `last_page` as the server last said
    - `lowest`, `highest`: the totals of this reading so far; `total` the last one
    - `beyond`: whether the old part showed a lead that does not belong there
    - `readings`: the readings of this part that have ended
    - `repeated`: how often a lead was shown again within one reading
    - `total_at_start`, `total_at_end`: the first and the last count of the whole list
    """

    subject: str
    begun_at: float
    started_at: float = 0.0
    server_time: float | None = None
    newest_change: float | None = None
    part: Part = "whole"
    last_old_day: date | None = None
    old_total: int | None = None
    expected: int | None = None
    proved_since: int = 0
    reading: int = 1
    begins: int = 0
    next_page: int = 1
    position: int = 0
    last_page: int = 1
    lowest: int | None = None
    highest: int | None = None
    total: int = 0
    beyond: bool = False
    readings: tuple[Pass, ...] = ()
    repeated: int = 0
    total_at_start: int = 0
    total_at_end: int = 0


_Row = tuple[int | str, bytes, str | None]


class Spool:
    """The leads that a list has shown, each as it was last shown, and the progress of the reading.

    It is one SQLite file, written page by page in transactions: a kill at any moment costs the
    pages under way and nothing else. The file is locked while it is open. All methods block, and
    raise `OSError` for what the file system refuses.
    """

    def __init__(self, path: Path) -> None:
        """Open the file and lock it.

        Raises `ConfigurationError` when another run uses it, and for any other database.
        """
        self.path = path
        self.state = ReadProgress("", 0.0)
        self._discarded = False
        # SQLite would say of a missing folder only that it is "unable to open database file".
        create_private(path)
        self._file = _locked(path, _ATTEMPTS)

    def begin(self, subject: str, now: float, *, resume: bool) -> None:
        """Continue a reading of the same subject that began less than a day ago, else begin again.

        - `subject`: what is read, see `subject_of`
        - `now`: this machine's time (unix time, s)
        - `resume`: False begins again in any case
        """
        with as_os_error(self.path):
            # With a write-ahead log no page has to wait for the disk.
            self._file.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL")
            found = self._found() if resume else None
            if found and found.subject == subject and 0 <= now - found.begun_at < GOOD_FOR:
                self.state = found
                return
            self.state = ReadProgress(subject, now, now)
            drops = "".join(f"DROP TABLE IF EXISTS {name};" for name in _NAMES)
            self._file.executescript(f"BEGIN; {drops} {_TABLES} COMMIT")

    def add(self, pages: Sequence[Page[Lead]], next_page: int | None, now: float = 0.0) -> None:
        """Keep a group of pages that were fetched side by side at `now` (unix time, s).

        A `next_page` of None ends the reading.
        """
        self._change(lambda: self._after(pages, next_page, now))

    def turn_to(self, part: Part, **facts: int | None) -> None:
        """Begin to read a part of the list; `facts` are fields of the state that change with it."""

        def turned() -> ReadProgress:
            self._file.execute("DELETE FROM reference")
            begun: dict[str, Any] = {"reading": 1, "begins": self.state.position, "next_page": 1}
            emptied: dict[str, Any] = {"lowest": None, "highest": None, "readings": ()}
            return msgspec.structs.replace(self.state, part=part, **begun, **emptied, **facts)

        self._change(turned)

    def distrust_old_part(self) -> None:
        """Take what the old part showed as leads that were shown once, and no longer as proved."""

        def distrusted() -> ReadProgress:
            self._file.execute("UPDATE lead SET old = 0")
            return msgspec.structs.replace(self.state, expected=None)

        self._change(distrusted)

    def references(self) -> list[Snapshot]:
        """Return every page of this part that was fetched alone, with the leads known there now."""
        with as_os_error(self.path):
            pages = self._all("SELECT position, total, alone FROM reference ORDER BY position")
            shown = dict(self._all("SELECT first, count(*) FROM lead GROUP BY first"))
            gone = dict(self._all("SELECT last, count(*) FROM lead GROUP BY last"))
        positions = range(self.state.position)
        known = list(accumulate(shown.get(at, 0) - gone.get(at - 1, 0) for at in positions))
        return [Snapshot(at, total, alone, known[at]) for at, total, alone in pages]

    def seen(self) -> int:
        """Return how many different leads were shown, readable or not."""
        return self._count("1")

    def readable(self) -> int:
        """Return how many of them could be read."""
        return self._count("problem IS NULL")

    def in_both_parts(self, since: int) -> int:
        """Return how many leads of the old part were shown at position `since` or later."""
        return self._count(f"old AND last >= {since}")

    def unreadable(self, since: int) -> tuple[int, str]:
        """Return how many leads could not be read, and the reason of the first one.

        Only those that were shown at position `since` or later count.
        """
        query = (
            f"SELECT count(*), problem, min(rowid) FROM lead WHERE problem NOT NULL AND {_CURRENT}"
        )
        with as_os_error(self.path):
            [(count, reason, _)] = self._all(query, since)
        return int(count), str(reason)

    def rows(
        self, since: int, at_most: int | None = None, *, readable: bool = True
    ) -> Iterator[list[bytes]]:
        """Yield the JSON of the leads in batches, in the order in which they were first shown.

        - `since`: only leads that were shown at this position or later
        - `at_most`: the largest number of leads; None: no limit
        - `readable`: whether to yield the leads that could be read, or the others
        """
        which = "problem IS NULL" if readable else "problem NOT NULL"
        limit = -1 if at_most is None else at_most
        query = f"SELECT row FROM lead WHERE {which} AND {_CURRENT} ORDER BY rowid LIMIT ?"
        yield from self._batches(query, since, limit)

    def ids(self, since: int) -> Iterator[list[int]]:
        """Yield the ids of all leads shown at position `since` or later, in batches."""
        query = f"SELECT key FROM lead WHERE typeof(key) = 'integer' AND {_CURRENT}"
        yield from self._batches(query, since)

    def discard(self) -> None:
        """Close and remove the file."""
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

    def _change(self, work: Callable[[], ReadProgress]) -> None:
        """Do the work and store the state that it returns, in one transaction."""
        with as_os_error(self.path):
            self._file.execute("BEGIN")
            try:
                state = work()
                self._file.execute("DELETE FROM state")
                self._file.execute("INSERT INTO state VALUES (?)", [msgspec.json.encode(state)])
                self._file.execute("COMMIT")
            except BaseException:
                # A full disk has rolled it back already, and then this does nothing.
                if self._file.in_transaction:
                    self._file.execute("ROLLBACK")
                raise
        self.state = state

    def _all(self, query: str, *values: object) -> list[Any]:
        return self._file.execute(query, values).fetchall()

    def _batches(self, query: str, *values: object) -> Iterator[list[Any]]:
        with as_os_error(self.path):
            found = self._file.execute(query, values)
            while batch := found.fetchmany(1000):
                yield [value for (value,) in batch]

    def _count(self, condition: str) -> int:
        with as_os_error(self.path):
            [(count,)] = self._all(f"SELECT count(*) FROM lead WHERE {condition}")
        return int(count)

    def _found(self) -> ReadProgress | None:
        """Return the state that an earlier run left, None when there is none that can be read."""
        if not self._all("SELECT 1 FROM sqlite_master WHERE name = 'state'"):
            return None
        rows = self._all("SELECT json FROM state")
        try:
            return msgspec.json.decode(rows[0][0], type=ReadProgress) if rows else None
        except msgspec.MsgspecError:  # written by another version
            return None

    def _after(
        self, pages: Sequence[Page[Lead]], next_page: int | None, now: float
    ) -> ReadProgress:
        """Write the pages, and return the state after them."""
        old, totals = self.state, [page.meta.total for page in pages]
        known = [value for value in (old.lowest, old.highest) if value is not None]
        new = msgspec.structs.replace(
            old,
            next_page=next_page or 1,
            position=old.position + 1,
            last_page=pages[-1].meta.last_page,
            lowest=min(totals + known),
            highest=max(totals + known),
            repeated=old.repeated + self._keep([row for page in pages for row in _rows(page)]),
            total=totals[-1],
            total_at_start=old.total_at_start if old.position else totals[0],
            total_at_end=totals[-1] if old.part == "whole" else old.total_at_end,
        )
        if not old.position:
            new = _dated(new, pages[0])
        new = msgspec.structs.replace(new, newest_change=_newest_change(new, pages, now))
        if old.part == "old" and old.last_old_day and is_beyond(pages, old.last_old_day):
            new = msgspec.structs.replace(new, beyond=True)
        if len(pages) == 1:
            alone = len({key for key, _, _ in _rows(pages[0])})
            values = (old.position, totals[0], alone)
            self._file.execute("INSERT INTO reference VALUES (?, ?, ?)", values)
        return new if next_page else self._ended(new)

    def _keep(self, rows: Sequence[_Row]) -> int:
        """Write the rows; return how many of them this reading has shown before."""
        at, keys = self.state.position, {key for key, _, _ in rows}
        marks = ", ".join("?" * len(keys))
        again = f"SELECT count(*) FROM lead WHERE last >= ? AND key IN ({marks})"
        [(known,)] = self._all(again, self.state.begins, *keys)
        is_old = self.state.part == "old"
        self._file.executemany(_KEEP, [(*row, at, at, is_old) for row in rows])
        return int(known) + len(rows) - len(keys)

    def _ended(self, state: ReadProgress) -> ReadProgress:
        """Return the state at the end of a reading, which begins the next one."""
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
    """Open and lock the file. Raises as `Spool` does."""
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
    """Lock the file if it is new or a spool, and return whether it is."""
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
    """Raise an error of SQLite as an `OSError` with the file's name."""
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


def _dated(state: ReadProgress, first: Page[Lead]) -> ReadProgress:
    """Return the state with the time of the first answer."""
    if first.answered_at is None:
        return state
    server_time = first.answered_at.timestamp()
    begun_at = min(state.started_at, server_time)
    # A day that is in the past by one clock only may still get leads: the earlier one counts.
    facts: dict[str, Any] = {"begun_at": begun_at, "last_old_day": last_old_day(begun_at)}
    return msgspec.structs.replace(state, server_time=server_time, **facts)


def _newest_change(state: ReadProgress, pages: Sequence[Page[Lead]], now: float) -> float | None:
    """Return the newest time in a lead so far, less the time since the reading began.

    A lead may have been dated since then. Times after the server's time were not set by its clock.
    """
    elapsed = max(0.0, now - state.started_at)
    limit = state.started_at if state.server_time is None else state.server_time
    moments = (
        moment.timestamp() - elapsed
        for page in pages
        for lead in page.items
        for moment in (lead.created_at, lead.score_updated_at)
        if moment
    )
    known = () if state.newest_change is None else (state.newest_change,)
    return max((at for at in chain(known, moments) if at <= limit), default=None)


def _rows(page: Page[Lead]) -> list[_Row]:
    unreadable: list[_Row] = [(_key(item), item.raw, item.reason) for item in page.unreadable]
    return [_row(lead) for lead in page.items] + unreadable


def _row(lead: Lead) -> _Row:
    row = msgspec.json.encode(lead)
    if lead.id in _INTEGERS:
        return lead.id, row, None
    return str(lead.id), row, "its id is larger than any database takes (64 bits)"


def _key(item: UnreadableItem) -> int | str:
    """Return the id of an unreadable lead, or the hash of its bytes when it has no readable id."""
    try:
        number = msgspec.json.decode(members(item.raw)["id"], type=int, strict=False)
    except (KeyError, ValueError, RecursionError):  # of ValueError are msgspec's and Unicode's
        return hashlib.sha256(item.raw).hexdigest()
    return number if number in _INTEGERS else str(number)

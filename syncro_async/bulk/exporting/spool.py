"""Keeps the leads that were read in a file, so that an interrupted reading can continue."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

import msgspec

from syncro_async.bulk.exporting.completeness import Pass, Snapshot
from syncro_async.bulk.exporting.split import Part, is_beyond, last_old_day
from syncro_async.bulk.files.locked_database import FileKind, LockedDatabase
from syncro_async.errors import ConfigurationError
from syncro_async.models.lead import Lead
from syncro_async.models.page import Page, UnreadableItem
from syncro_async.transport.json_pieces import members

# An older reading is not continued but begun again (s).
GOOD_FOR = 86_400.0
# The clock that dates the leads is at most so far behind the server's `Date` and our clock (s), a
# wrong time zone included.
_CLOCKS_DIFFER = 86_400.0
# A lead is dated at most so long before it is stored (s).
_STORED_AFTER = 300.0

_INTEGERS = range(-(2**63), 2**63)
_TABLES = """
CREATE TABLE state (json BLOB NOT NULL);
CREATE TABLE lead (
  key PRIMARY KEY, row BLOB, problem TEXT, first INTEGER, last INTEGER, old INTEGER,
  created REAL);
CREATE TABLE reference (position INTEGER PRIMARY KEY, total INTEGER, alone INTEGER);
"""
_NAMES = frozenset({"state", "lead", "reference"})
_KEEP = """
INSERT INTO lead (key, row, problem, created, first, last, old) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET
  row = excluded.row, problem = excluded.problem, last = excluded.last,
  created = excluded.created, old = old OR excluded.old
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
    - `young_from`: the first day of the young part, None before a day was chosen
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
    young_from: date | None = None
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


_Row = tuple[int | str, bytes, str | None, float | None]


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
        self._database = LockedDatabase(path, _KIND)
        self._file = self._database.db

    def begin(self, subject: str, now: float, *, resume: bool) -> None:
        """Continue a reading of the same subject that began less than a day ago, else begin again.

        - `subject`: what is read, see `subject_of`
        - `now`: this machine's time (unix time, s)
        - `resume`: False begins again in any case
        """
        with self._database.errors():
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

    def turn_to(self, part: Part, **facts: int | date | None) -> None:
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
        """Return every page of this part that was fetched alone, with the leads known there now.

        In the young part a lead whose date is before the reading counts as known before it.
        """
        certain = created_before(self.state)
        if self.state.part == "young" and certain is not None:
            dated = self._references(f"CASE WHEN created < {certain!r} THEN 0 ELSE first END")
            if all(one.known <= one.total for one in dated):
                return dated
            # More than there can be: the dates do not say when the leads were created.
        return self._references("first")

    def _references(self, first: str) -> list[Snapshot]:
        """Return the pages fetched alone; `first` says (in SQL) since when a lead is known."""
        begins = f"SELECT {first} AS begins, count(*) FROM lead GROUP BY begins"
        ends = "SELECT last, count(*) FROM lead GROUP BY last"
        with self._database.errors():
            pages = self._all("SELECT position, total, alone FROM reference ORDER BY position")
            shown, gone = dict(self._all(begins)), dict(self._all(ends))
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
        with self._database.errors():
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
        self._database.close(remove=True)

    def close(self) -> None:
        """Close the file, and remove it when nothing was read. Harmless after `discard`."""
        if self._discarded:
            return
        begun = bool(self.state.subject)
        self._database.close(remove=not self.state.position if begun else self._database.is_empty())

    def _change(self, work: Callable[[], ReadProgress]) -> None:
        """Do the work and store the state that it returns, in one transaction."""
        with self._database.transaction() as file:
            state = work()
            file.execute("DELETE FROM state")
            file.execute("INSERT INTO state VALUES (?)", [msgspec.json.encode(state)])
        self.state = state

    def _all(self, query: str, *values: object) -> list[Any]:
        return self._file.execute(query, values).fetchall()

    def _batches(self, query: str, *values: object) -> Iterator[list[Any]]:
        with self._database.errors():
            found = self._file.execute(query, values)
            while batch := found.fetchmany(1000):
                yield [value for (value,) in batch]

    def _count(self, condition: str) -> int:
        with self._database.errors():
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
            alone = len({row[0] for row in _rows(pages[0])})
            values = (old.position, totals[0], alone)
            self._file.execute("INSERT INTO reference VALUES (?, ?, ?)", values)
        return new if next_page else self._ended(new)

    def _keep(self, rows: Sequence[_Row]) -> int:
        """Write the rows; return how many of them this reading has shown before."""
        at, keys = self.state.position, {row[0] for row in rows}
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


def _check(path: Path | None, _: sqlite3.Connection, tables: frozenset[str]) -> None:
    if not tables >= _NAMES:
        raise ConfigurationError(f"{path} is a database of something else; move it away")


_KIND = FileKind(
    name="the file",
    in_use="is in use: another run does the same job; wait for its end",
    check=_check,
    # No page has to wait for the disk: what a power cut takes is read again.
    synchronous="NORMAL",
)


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


def created_before(state: ReadProgress) -> float | None:
    """Return a time (unix time, s): a lead dated earlier was created before the reading began.

    None when the server does not send its time.
    """
    if state.server_time is None:
        return None
    # The clock that dates the leads does not run back, and a lead is stored soon after its date.
    reached = float("-inf") if state.newest_change is None else state.newest_change - _STORED_AFTER
    return max(state.begun_at - _CLOCKS_DIFFER, reached)


def _rows(page: Page[Lead]) -> list[_Row]:
    unreadable: list[_Row] = [(_key(item), item.raw, item.reason, None) for item in page.unreadable]
    return [_row(lead) for lead in page.items] + unreadable


def _row(lead: Lead) -> _Row:
    row = msgspec.json.encode(lead)
    created = lead.created_at.timestamp() if lead.created_at else None
    if lead.id in _INTEGERS:
        return lead.id, row, None, created
    return str(lead.id), row, "its id is larger than any database takes (64 bits)", created


def _key(item: UnreadableItem) -> int | str:
    """Return the id of an unreadable lead, or the hash of its bytes when it has no readable id."""
    try:
        number = msgspec.json.decode(members(item.raw)["id"], type=int, strict=False)
    except (KeyError, ValueError, RecursionError):  # of ValueError are msgspec's and Unicode's
        return hashlib.sha256(item.raw).hexdigest()
    return number if number in _INTEGERS else str(number)

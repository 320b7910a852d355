"""Finds out what became of the rows whose answers were lost.

A search that finds nothing proves nothing: it may lag, and the server may have changed what it
stores. So the leads that were created since the import began are read completely, after the server
can no longer be working on a lost request. Leads that were there before the first row was sent,
and leads of other rows, are explained. What is left decides:

- no unexplained lead can be the row's: it was not carried out, and is sent again
- exactly one has the row's name and keys, whatever a server changes in them: it is the row's
- anything else: the row is in doubt, is listed with its candidates, and is never sent again by
  itself

The server's own clock says what "since" is, with a margin of a day for time zones. A server that
does not send its time is asked for all leads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from syncro_async._internal.error_text import counted
from syncro_async.bulk.importing.journal import (
    HALF_MADE,
    MADE,
    Journal,
    Outcome,
    QueuedRow,
    read_meta,
    write_meta,
)
from syncro_async.bulk.importing.matching import Person, is_made_of
from syncro_async.bulk.importing.outage import Outage
from syncro_async.bulk.importing.reading import CompleteReading
from syncro_async.bulk.importing.row_states import add_known, explained
from syncro_async.clock import Clock
from syncro_async.errors import PermissionDeniedError
from syncro_async.models.lead import Lead
from syncro_async.paging.paginator import Paginator
from syncro_async.resources.leads import Leads

# `created_from` may mean a whole day, in any time zone.
_MARGIN = timedelta(days=1)
_SINCE = "leads created since"
_ALWAYS = "always"
_UNREADABLE = "not known"
_LOST = "its answer was lost"
# How often a row is sent whose answer is lost every time and that is never carried out.
_SENDS = 4


class Lost(NamedTuple):
    """A row whose answer was lost, and the fields that were sent."""

    idx: int
    fields: Mapping[str, Any]


class Finding(NamedTuple):
    """What the server shows of a lost row.

    `lead_id`: the lead that the row has made. `candidates`: the leads of which one may be the
    row's. With neither the row was not carried out.
    """

    lead_id: int | None = None
    candidates: tuple[Person, ...] = ()


class Reconciler:
    """Reads what was created since the import began.

    `server_time_limit`: how long the server may work on a request at most (s).
    """

    def __init__(
        self,
        leads: Leads,
        journal: Journal,
        outage: Outage,
        clock: Clock,
        server_time_limit: float,
    ) -> None:
        self._leads = leads
        self._journal = journal
        self._outage = outage
        self._clock = clock
        self._limit = server_time_limit

    async def prepare(self) -> None:
        """Record the leads that are there before the first row is sent.

        A later run with the same journal has this from the first one. A key that may not read
        leads gets no record: rows whose answers are lost are then in doubt.
        """
        if _SINCE in await self._journal.run(read_meta):
            return
        day = (datetime.fromtimestamp(self._clock.wall(), UTC) - 2 * _MARGIN).date()
        found: date | None = day
        try:
            reading = await self._read(day)
            since = since_of(reading.answered_at)
            if since is None or since < day:  # the server's clock is unknown, or behind ours
                found = since
                reading = await self._read(found)
        except PermissionDeniedError:
            await self._journal.run(lambda db: write_meta(db, {_SINCE: _UNREADABLE}))
            return
        ids = [person.id for person in reading.people.values() if person.id is not None]
        await self.record(found, ids)

    async def record(self, since: date | None, ids: Iterable[int]) -> None:
        """Record that these are the leads created since that day (None: all leads)."""
        text = _ALWAYS if since is None else since.isoformat()

        def work(db: Any) -> None:
            add_known(db, ids)
            write_meta(db, {_SINCE: text})

        await self._journal.run(work)

    async def findings(self, rows: Sequence[Lost], lost_at: float) -> Mapping[int, Finding] | None:
        """Return the finding on each row, None when the reading proves nothing.

        `lost_at`: when the last of the answers was lost (monotonic, s). Raises what a page raises.
        """
        since = (await self._journal.run(read_meta))[_SINCE]
        if since == _UNREADABLE:
            return None
        await self._clock.sleep(lost_at + self._limit - self._clock.monotonic())
        reading = CompleteReading(
            self._list(None if since == _ALWAYS else date.fromisoformat(since)), self._outage
        )
        if not await reading.run():
            return None
        known = await self._journal.run(explained)
        people = [person for person in reading.people.values() if person.id not in known]
        return decide(rows, people)

    async def _read(self, since: date | None) -> CompleteReading:
        reading = CompleteReading(self._list(since), self._outage)
        await reading.run()
        return reading

    def _list(self, since: date | None) -> Any:
        def list_from(page: int) -> Paginator[Lead]:
            return self._leads.list(created_from=since, start_page=page)

        return list_from


def since_of(answered_at: datetime | None) -> date | None:
    """Return the day from which on a lead that is created now is listed, by the server's clock."""
    return None if answered_at is None else (answered_at - _MARGIN).date()


def decide(rows: Sequence[Lost], people: Sequence[Person]) -> dict[int, Finding]:
    """Return the finding on each row, given the leads that nothing else explains."""
    candidates = {row.idx: _candidates(row.fields, people) for row in rows}
    findings: dict[int, Finding] = {}
    taken: set[Person] = set()
    while sure := _sure(candidates, taken, findings):
        for idx, person in sure.items():
            findings[idx] = Finding(person.id)
            taken.add(person)
    for idx, (certain, possible) in candidates.items():
        if idx not in findings:
            left = [person for person in (*certain, *possible) if person not in taken]
            findings[idx] = Finding(None, tuple(left))
    return findings


_Candidates = tuple[list[Person], list[Person]]


def _candidates(fields: Mapping[str, Any], people: Sequence[Person]) -> _Candidates:
    """Return the leads that are the row's by name and keys, and those that may be."""
    certain, possible = [], []
    for person in people:
        match is_made_of(person, fields):
            case True if person.id is not None:
                certain.append(person)
            case True | None:
                possible.append(person)
    return certain, possible


def _sure(
    candidates: Mapping[int, _Candidates], taken: set[Person], done: Mapping[int, Finding]
) -> dict[int, Person]:
    """Return the rows of which exactly one lead is left that is no other row's.

    Rows that share their leads have all been carried out when there are as many leads as rows.
    """
    left = {
        idx: frozenset(certain) - taken
        for idx, (certain, _) in candidates.items()
        if idx not in done
    }
    found: dict[int, Person] = {}
    for leads in set(left.values()):
        rows = [idx for idx, own in left.items() if own == leads]
        shared = any(own & leads for own in left.values() if own != leads)
        if leads and len(rows) == len(leads) and not shared:
            found.update(zip(sorted(rows), sorted(leads, key=_id), strict=True))
    return found


def _id(person: Person) -> int:
    return person.id or 0


def finding_on(idx: int, findings: Mapping[int, Finding] | None) -> Finding | None:
    """Return the finding on a row; None when nothing was proved."""
    return None if findings is None else findings[idx]


def outcome_of(row: QueuedRow, finding: Finding | None, why: str, *, tagged: bool) -> Outcome:
    """Return the outcome of a lost row; without a finding it is in doubt because of `why`.

    `tagged`: the tags of the row are still to be added when it has made a lead.
    """
    if finding is None:
        return Outcome(row.idx, "doubt", None, _LOST, f"{_LOST}, and {why}")
    if finding.lead_id is not None:
        state, made = ("pending", HALF_MADE) if tagged else ("created", MADE)
        return Outcome(row.idx, state, finding.lead_id, made=made)
    if finding.candidates:
        leads = "; ".join(map(_described, finding.candidates))
        text = f"{_LOST}, and these leads can be its own or another person's: {leads}"
        return Outcome(row.idx, "doubt", None, _LOST, text)
    if row.sends >= _SENDS:
        text = f"{_LOST} {counted(row.sends, 'time')}, and it was never carried out"
        return Outcome(row.idx, "failed", None, _LOST, text)
    return Outcome(row.idx, "pending")


def _described(person: Person) -> str:
    known = [part for part in person[1:] if part]
    return ", ".join([f"lead {'?' if person.id is None else person.id}", *known])

"""Reads a list until it is proved that every lead of it was shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from anyio import create_task_group

from syncro_async._internal.worker_thread import WorkerThread
from syncro_async.bulk.exporting.completeness import (
    Completeness,
    evaluate,
    is_proved_once,
    may_return,
)
from syncro_async.bulk.exporting.split import EXTRA_REQUESTS, Part, Parts, earlier, split
from syncro_async.bulk.exporting.spool import ReadProgress, Spool
from syncro_async.bulk.progress import ProgressReporter
from syncro_async.models.lead import Lead
from syncro_async.models.page import Page
from syncro_async.paging.pages import PageWalk
from syncro_async.resources.leads import Leads

# Pages fetched side by side in the first two readings. Later readings fetch page by page: each page
# is then a moment at which every lead may turn out to be known.
_AHEAD = 8
_READINGS_AHEAD = 2
_SAYS_MORE = "the server says that the list has more pages, and shows no more leads"


@dataclass(frozen=True, slots=True)
class LeadQuery:
    """A list of leads: the calls that read it, its filters, and at most how many leads to read."""

    leads: Leads
    filters: Mapping[str, Any]
    page_size: int = 200
    max_items: int | None = None

    async def page(self, number: int) -> Page[Lead]:
        """Fetch one page."""
        paginator = self.leads.list(
            **self.filters, page_size=self.page_size, start_page=number, max_items=None
        )
        async with aclosing(paginator.pages()) as pages:
            return await anext(pages)

    def check(self) -> None:
        """Raise `InvalidArgumentError`, naming the argument, for what the reference rules out."""
        self.leads.list(**self.filters, page_size=self.page_size, max_items=self.max_items)


@dataclass(slots=True)
class RepeatedReader:
    """Reads one list into a spool until it is proved that every lead of it was shown.

    The work on the file is done in `thread`, and `meter` reports the progress. With `once` the
    old part of the list is read once (see `completeness.py`).
    """

    listing: LeadQuery
    spool: Spool
    thread: WorkerThread
    meter: ProgressReporter
    once: bool = False
    walk: PageWalk | None = None
    # Readings in a row that ended although the server said that there is more.
    unfinished: int = 0

    async def read_all(self) -> Completeness:
        """Read until every lead is known, or until that was tried often enough.

        Raises the errors of the calls; what was read by then stays in the spool.
        """
        self._begin_phase()
        while (result := await self.thread(self._decide)) is None and self.unfinished < 2:
            await self._read_on()
        if result is None or (result.complete and self.unfinished):
            return Completeness(reason=_SAYS_MORE)
        return result

    def _decide(self) -> Completeness | None:
        """Return the result, None when more has to be read; this may turn to another part."""
        state, at_most = self.spool.state, self.listing.max_items
        if at_most is not None and self.spool.readable() >= at_most:
            reason = f"the export stopped at max_items={at_most}"
            return Completeness(reason=reason, truncated=True)
        if state.next_page == 1 and not state.readings:
            return None  # a part whose first page is still to be fetched
        if self._splits(state):
            self._turn_to("old")
            return None
        if state.part == "young" and (day := self._begins_earlier(state)):
            self._turn_to("young", young_from=day)
            return None
        if state.expected is not None:
            if state.expected == state.total:
                return Completeness(since=state.proved_since, proof="once")
            self.spool.distrust_old_part()
        return self._after_reading(state) if state.next_page == 1 else None

    def _after_reading(self, state: ReadProgress) -> Completeness | None:
        """Return what the readings of this part prove, or turn to the next part."""
        if state.part == "old":
            return self._after_old_part(state)
        returning = may_return(self.listing.filters)
        result = evaluate(self.spool.references(), state.readings, returning=returning)
        if state.part == "whole" or result is None or not result.complete:
            return result
        self._turn_to_whole(state, result.since)
        return None

    def _after_old_part(self, state: ReadProgress) -> Completeness | None:
        """Read the young part next, if there is one."""
        reading, parts, day = state.readings[-1], self._parts(), state.last_old_day
        is_proved = is_proved_once(reading) and not state.beyond and not self.unfinished
        if day is not None and parts is not None and parts.young is not None:
            old_total = reading.shown if is_proved else None
            self._turn_to("young", old_total=old_total, young_from=earlier(day))
        elif is_proved:
            return Completeness(since=state.position, proof="once")
        else:
            self._turn_to_whole(state, 0)
        return None

    def _begins_earlier(self, state: ReadProgress) -> date | None:
        """Return an earlier first day for the young part when both parts leave a gap, else None.

        They do when they have fewer leads than the whole list had.
        """
        one_page = len(state.readings) == 1 and state.last_page == 1
        first_seen = one_page or (state.reading == 1 and state.next_page == 2)
        if state.last_old_day is None or state.old_total is None or not first_seen:
            return None
        if state.old_total + state.total >= state.total_at_start:
            return None
        return earlier(state.last_old_day, state.young_from)

    def _turn_to_whole(self, state: ReadProgress, since: int) -> None:
        """Read the whole list next: its count, and all of it when the old part is not proved.

        `since` is the position that proves the young part.
        """
        if state.old_total is None or self.unfinished:
            self.spool.distrust_old_part()
            self._turn_to("whole")
            return
        shared = self.spool.in_both_parts(self.spool.references()[0].position)
        expected = state.old_total + state.total - shared
        self._turn_to("whole", expected=expected, proved_since=since)

    def _turn_to(self, part: Part, **facts: int | date | None) -> None:
        self.spool.turn_to(part, **facts)
        self.walk = None
        self._begin_phase()

    def _splits(self, state: ReadProgress) -> bool:
        """Return whether to read the old part once: it costs less, and the job needs all leads."""
        at_most = self.listing.max_items
        everything = at_most is None or at_most >= state.total
        worthwhile = self.once and state.position == 1 and state.last_page > EXTRA_REQUESTS
        return everything and worthwhile and self._parts() is not None

    def _parts(self) -> Parts | None:
        state = self.spool.state
        return split(self.listing.filters, state.last_old_day, state.young_from)

    def _query(self) -> LeadQuery:
        """Return the list that is read now."""
        part, parts = self.spool.state.part, self._parts()
        if part == "whole" or parts is None:
            return self.listing
        filters = parts.old if part == "old" or parts.young is None else parts.young
        return replace(self.listing, filters=filters)

    async def _read_on(self) -> None:
        """Fetch the next page or pages, and keep them."""
        numbers = next_group(self.spool.state, self._ahead())
        pages = await fetch_all(self._query(), numbers)
        walk = self.walk or PageWalk(numbers[0])
        number = next_page(walk, pages, numbers)
        self.walk = walk if number else None
        if number is None:
            self.unfinished = self.unfinished + 1 if walk.says_more else 0
        await self.thread(self.spool.add, pages, number, self.meter.wall)
        self._report()

    def _ahead(self) -> int:
        state, at_most = self.spool.state, self.listing.max_items
        if state.reading > _READINGS_AHEAD:
            return 1
        if at_most is None:
            return _AHEAD
        needed = -(-at_most // self.listing.page_size)
        return max(1, min(_AHEAD, needed - state.next_page + 1))

    def _begin_phase(self) -> None:
        state = self.spool.state
        first = state.reading == 1 and (state.part != "whole" or not state.begins)
        # A reading that continues an interrupted one has come that far already.
        known = state.total if state.position else None
        self.meter.phase("reading" if first else "checking", known, self._done(state))

    def _report(self) -> None:
        state = self.spool.state
        ended = state.next_page == 1
        done = state.total if ended or state.total == state.expected else self._done(state)
        left = requests_left(state, splits=self._splits(state))
        if state.part != "young" or state.total:  # nothing is young: that is no phase to report
            self.meter.reach(done, total=state.total, requests_left=left)
        if ended:
            self._begin_phase()

    def _done(self, state: ReadProgress) -> int:
        return min(state.total, (state.next_page - 1) * self.listing.page_size)


def next_group(state: ReadProgress, ahead: int) -> Sequence[int]:
    """The pages to fetch side by side now.

    The first and the last page of a reading go alone, so that each is a moment of its own.
    """
    first = state.next_page
    if first == 1:
        return (1,)
    return range(first, max(first + 1, min(first + ahead, state.last_page)))


async def fetch_all(listing: LeadQuery, numbers: Sequence[int]) -> list[Page[Lead]]:
    """Fetch these pages side by side. Raises the error of the first that fails."""
    pages: dict[int, Page[Lead]] = {}

    async def fetch(number: int) -> None:
        pages[number] = await listing.page(number)

    try:
        async with create_task_group() as group:
            for number in numbers:
                group.start_soon(fetch, number)
    except ExceptionGroup as failed:
        # The group has ended the others: their pages are not needed any more.
        raise failed.exceptions[0] from None
    return [pages[number] for number in numbers]


def next_page(walk: PageWalk, pages: Sequence[Page[Lead]], numbers: Sequence[int]) -> int | None:
    """Return the number of the page after this group, None at the end of the list.

    A page that the server shows again instead of another one is kept like the others.
    """
    following: int | None = None
    for page, number in zip(pages, numbers, strict=True):
        _, following = walk.take(number, page)
        if following is None:
            return None
    return following


def requests_left(state: ReadProgress, *, splits: bool) -> int:
    """Return how many requests are still needed if nothing changes.

    `splits` says that the old part is read next.
    """
    if splits:
        return state.last_page + 2
    if state.expected is not None and state.expected == state.total:
        return 0
    ended = state.next_page == 1
    left = 0 if ended else state.last_page - state.next_page + 1
    if state.part == "old":
        return left + 2
    if state.last_page > 1 and state.reading - ended == 1:
        left += state.last_page
    return max(0, left) + (state.part == "young")

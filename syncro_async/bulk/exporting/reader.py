"""Reads a list again and again, until every lead of it is known to have been shown."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from syncro_async._internal.worker_thread import WorkerThread
from syncro_async.bulk.exporting.completeness import Completeness, evaluate, may_return
from syncro_async.bulk.exporting.spool import ReadProgress, Spool
from syncro_async.bulk.progress import ProgressReporter
from syncro_async.models.lead import Lead
from syncro_async.models.page import Page
from syncro_async.paging.pages import PageWalk
from syncro_async.resources.leads import Leads

# Pages fetched side by side in the first two readings. The ones after them go page by page: each
# page is then a moment at which everything may turn out to be known.
_AHEAD = 8
_READINGS_AHEAD = 2
_SAYS_MORE = "the server says that the list has more pages, and shows no more leads"


@dataclass(frozen=True, slots=True)
class LeadQuery:
    """A list of leads: whose it is, its filters, and how far it is to be read."""

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
    """One list on its way into a spool.

    Its work on the file is done in `thread`, and `meter` hears how far it is.
    """

    listing: LeadQuery
    spool: Spool
    thread: WorkerThread
    meter: ProgressReporter
    walk: PageWalk | None = None
    # Readings in a row that ended although the server said that there is more.
    unfinished: int = 0

    async def read_all(self) -> Completeness:
        """Read until all is known, or until that has been tried often enough.

        Raises the errors of the calls; what was read by then stays in the spool.
        """
        self._begin_phase()
        while (verdict := await self.thread(self._verdict)) is None and self.unfinished < 2:
            await self._read_on()
        if verdict is None or (verdict.complete and self.unfinished):
            return Completeness(complete=False, reason=_SAYS_MORE)
        return verdict

    def _verdict(self) -> Completeness | None:
        state, at_most = self.spool.state, self.listing.max_items
        if at_most is not None and self.spool.readable() >= at_most:
            reason = f"the export stopped at max_items={at_most}"
            return Completeness(complete=False, reason=reason, truncated=True)
        if state.next_page > 1 or not state.readings:
            return None
        returning = may_return(self.listing.filters)
        return evaluate(self.spool.references(), state.readings, returning=returning)

    async def _read_on(self) -> None:
        """Fetch the next page or pages, and keep them."""
        numbers = next_group(self.spool.state, self._ahead())
        pages = await fetch_all(self.listing, numbers)
        walk = self.walk or PageWalk(numbers[0])
        number = next_page(walk, pages, numbers)
        self.walk = walk if number else None
        if number is None:
            self.unfinished = self.unfinished + 1 if walk.says_more else 0
        await self.thread(self.spool.add, pages, number)
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
        phase = "reading" if state.reading == 1 else "checking"
        # A reading that goes on where an earlier run was stopped has come that far already.
        known = state.total_at_end if state.position else None
        self.meter.phase(phase, known, self._done(state))

    def _report(self) -> None:
        state = self.spool.state
        ended = state.next_page == 1
        total = state.total_at_end
        done = total if ended else self._done(state)
        self.meter.reach(done, total=total, requests_left=requests_left(state))
        if ended:
            self._begin_phase()

    def _done(self, state: ReadProgress) -> int:
        return min(state.total_at_end, (state.next_page - 1) * self.listing.page_size)


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
    under_way = [asyncio.ensure_future(listing.page(number)) for number in numbers]
    try:
        return [await fetch for fetch in under_way]
    finally:
        for fetch in under_way:
            fetch.cancel()
        # Their errors belong to pages nobody will read.
        await asyncio.gather(*under_way, return_exceptions=True)


def next_page(walk: PageWalk, pages: Sequence[Page[Lead]], numbers: Sequence[int]) -> int | None:
    """The number of the page after this group, None at the end of the list.

    What a page showed again, it showed: such pages are kept like others.
    """
    following: int | None = None
    for page, number in zip(pages, numbers, strict=True):
        _, following = walk.take(number, page)
        if following is None:
            return None
    return following


def requests_left(state: ReadProgress) -> int:
    """How many requests are still to come if nothing stirs: this reading's, and the second's."""
    ended = state.next_page == 1
    this = 0 if ended else state.last_page - state.next_page + 1
    reading = state.reading - ended
    if state.last_page > 1 and reading == 1:
        this += state.last_page
    return max(0, this)

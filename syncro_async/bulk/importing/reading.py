"""Reads a list of leads completely, also where leads cannot be read or come and go meanwhile."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Hashable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from syncro_async.bulk.importing.matching import Person
from syncro_async.bulk.importing.outage import Outage, is_passing
from syncro_async.errors import SyncroError
from syncro_async.models.lead import Lead
from syncro_async.models.page import Page
from syncro_async.paging.pages import says_more
from syncro_async.paging.paginator import Paginator

# A list that does not come to rest within so many readings proves nothing.
_READINGS = 6
_ID = re.compile(r"[0-9]{1,18}")


ListFrom = Callable[[int], Paginator[Lead]]
"""A list from that page number on."""
OnPage = Callable[[Page[Lead]], Awaitable[None]]


class CompleteReading:
    """A list, read until it is proved that no lead of it was missed.

    `on_page` is given each page. The proof is that of
    `bulk/exporting/completeness.py`: a lead that was shown at one moment and at a later one was
    there between; when so many leads as the server counts were there at one moment, all were
    shown. A list on one page proves itself, any other takes two readings as a rule.
    """

    def __init__(self, list_from: ListFrom, outage: Outage, on_page: OnPage | None = None) -> None:
        self._list_from = list_from
        self._outage = outage
        self._on_page = on_page
        # The places of the pages with which the readings begin, and how many leads were known then.
        self._begins: list[tuple[int, int]] = []
        self._first: dict[Hashable, int] = {}
        self._last: dict[Hashable, int] = {}
        self._totals: list[int] = []
        self.people: dict[Hashable, Person] = {}
        self.answered_at: datetime | None = None

    async def run(self) -> bool:
        """Read the list; return whether every lead was shown. Raises what a page raises."""
        for _ in range(_READINGS):
            await self.read_once()
            if self.is_proved:
                return True
        return False

    @property
    def is_proved(self) -> bool:
        """Whether every lead was shown."""
        return is_proved(self._totals, self._first, self._last)

    @property
    def is_constant(self) -> bool:
        """Whether the last reading counted as many leads on each page as it showed different ones.

        This proves a list that can only get shorter; see `bulk/exporting/completeness.py`.
        """
        begin, _ = self._begins[-1]
        shown = sum(at >= begin for at in self._last.values())
        return set(self._totals[begin:]) == {shown}

    @property
    def is_settled(self) -> bool:
        """Whether the last two of several readings showed the same leads and counts."""
        (begin, _), (last, known) = self._begins[-2:]
        both = sum(at >= last for at in self._last.values())
        return len(set(self._totals[begin:])) == 1 and known == both == len(self._last)

    async def read_once(self, first: Page[Lead] | None = None) -> None:
        """Read the list; `first`: its first page, if that was fetched already."""
        self._begins.append((len(self._totals), len(self._last)))
        number = 1
        if first is not None:
            await self._take(first)
            if not says_more(1, first):
                return
            number = 2
        while True:
            try:
                async for page in self._list_from(number).pages():
                    self._outage.end()
                    await self._take(page)
                    number += 1
            except SyncroError as error:
                if not (is_passing(error) and await self._outage.wait(error)):
                    raise
            else:
                return

    async def _take(self, page: Page[Lead]) -> None:
        if self._on_page is not None:
            await self._on_page(page)
        at = len(self._totals)
        self._totals.append(page.meta.total)
        self.answered_at = self.answered_at or page.answered_at
        for person in people_on(page):
            # A lead without a readable id is recognised by what is known of it.
            name = person if person.id is None else person.id
            self._first.setdefault(name, at)
            self._last[name] = at
            self.people[name] = person


def is_proved(totals: Sequence[int], first: dict[Hashable, int], last: dict[Hashable, int]) -> bool:
    """Return whether all leads of the list were shown.

    `totals`: how many leads the server counted on each page. `first` and `last`: the places of the
    pages that showed a lead for the first and for the last time.
    """
    changes = [0] * (len(totals) + 1)
    for lead, at in first.items():
        changes[at] += 1
        changes[last[lead] + 1] -= 1
    known, proved = 0, False
    for change, total in zip(changes, totals, strict=False):
        known += change
        if known > total:
            return False  # the count is wrong, and proves nothing
        proved = proved or known == total
    return proved


def people_on(page: Page[Lead]) -> list[Person]:
    """Return the leads of a page, those among them that do not fit the model."""
    people = [Person(lead.id, lead.name, lead.email, lead.phone) for lead in page.items]
    return people + [person_of(item.raw) for item in page.unreadable]


def person_of(raw: bytes) -> Person:
    """Return what tells a lead from others, of one that does not fit the model."""
    lead = _object_of(raw)
    number = lead.get("id")
    if isinstance(number, str) and _ID.fullmatch(number):
        number = int(number)
    texts = [lead.get(name) for name in ("name", "email", "phone")]
    known = [None if text is None else str(text) for text in texts]
    return Person(number if type(number) is int else None, *known)


def lead_of(raw: bytes) -> Lead | None:
    """Return a lead that does not fit the model without the fields that do not; None without id."""
    lead = _object_of(raw)
    number = person_of(raw).id
    if number is None:
        return None
    fits = {"id": number}
    for name, value in lead.items():
        try:
            msgspec.convert({"id": number, name: value}, Lead, strict=False)
        except msgspec.ValidationError:
            continue
        fits[name] = value
    return msgspec.convert(fits | {"id": number}, Lead, strict=False)


def _object_of(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}

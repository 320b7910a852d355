"""Reads all leads of an account, and proves that none of them was missed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import aclosing
from datetime import date
from typing import Any

from syncro_async.bulk.exporting.split import (
    EXTRA_REQUESTS,
    earlier,
    is_beyond,
    last_old_day,
    split,
)
from syncro_async.bulk.importing.outage import Outage
from syncro_async.bulk.importing.reading import CompleteReading, ListFrom, OnPage
from syncro_async.models.lead import Lead
from syncro_async.models.page import Page
from syncro_async.paging.paginator import Paginator
from syncro_async.resources.leads import Leads

PAGE_SIZE = 200

logger = logging.getLogger("syncro_async")


class WholeList:
    """All leads of the account.

    A lead that a reading of the pages misses, because another one is deleted meanwhile, would be
    taken for one that does not exist. So the list is read as an export reads it: the leads that are
    older than two days once, and the younger ones, or a short list, twice.
    `bulk/exporting/completeness.py` has the proofs.

    `include`: as in `leads.list`. `on_page` is given each page; a lead can be on several.
    """

    def __init__(self, leads: Leads, include: str | None, outage: Outage, on_page: OnPage) -> None:
        self._leads = leads
        self._include = include
        self._outage = outage
        self._on_page = on_page

    async def first_page(self) -> Page[Lead]:
        """Fetch the first page."""
        return await self._first_page({})

    async def read(self, first: Page[Lead]) -> bool:
        """Read the list, of which the first page is known; return whether all leads were shown."""
        if first.meta.last_page > EXTRA_REQUESTS and await self._read_in_parts(first):
            return True
        whole = CompleteReading(self._list({}), self._outage, self._on_page)
        await whole.read_once(first)
        if whole.is_proved or await whole.run():
            return True
        if whole.is_settled:
            logger.warning("the server counts other leads than it lists; they are left out")
        return whole.is_settled

    async def _read_in_parts(self, first: Page[Lead]) -> bool:
        """Read the old part once, the young part twice, and count the whole list at the end."""
        if first.answered_at is None:
            return False
        day = last_old_day(first.answered_at.timestamp())
        parts = split({}, day)
        if parts is None or parts.young is None or not _has_dates(first):
            return False
        await self._on_page(first)
        old = _OldPart(self._list(parts.old), self._outage, self._on_page, day)
        if not await old.read():
            return False
        young = await self._young_part(parts.young, day, first.meta.total - len(old.people))
        if not (young.is_proved or await young.run()):
            return False
        last = await self.first_page()
        await self._on_page(last)
        return last.meta.total == len(old.people.keys() | young.people.keys())

    async def _young_part(
        self, filters: Mapping[str, Any], day: date, expected: int
    ) -> CompleteReading:
        """Read the young part once: from the latest day on that leaves no gap to the old part.

        So many leads are `expected` in it at least.
        """
        page = await self._first_page(filters)
        begins = earlier(day, earlier(day))
        while page.meta.total < expected and begins is not None:
            filters = {**filters, "created_from": begins}
            page = await self._first_page(filters)
            begins = earlier(day, begins)
        young = CompleteReading(self._list(filters), self._outage, self._on_page)
        await young.read_once(page)
        return young

    async def _first_page(self, filters: Mapping[str, Any]) -> Page[Lead]:
        async with aclosing(self._list(filters)(1).pages()) as pages:
            return await anext(pages)

    def _list(self, filters: Mapping[str, Any]) -> ListFrom:
        def list_from(page: int) -> Paginator[Lead]:
            return self._leads.list(
                **filters, include=self._include, page_size=PAGE_SIZE, start_page=page
            )

        return list_from


class _OldPart(CompleteReading):
    """The leads up to a day that is over: a list that can only get shorter."""

    def __init__(self, list_from: ListFrom, outage: Outage, on_page: OnPage, day: date) -> None:
        super().__init__(list_from, outage, self._look)
        self._pass_on = on_page
        self._day = day
        self._is_old = True

    async def read(self) -> bool:
        """Read the list once; return whether this has shown all of it."""
        await self.read_once()
        return self._is_old and self.is_constant

    async def _look(self, page: Page[Lead]) -> None:
        await self._pass_on(page)
        self._is_old = self._is_old and _has_dates(page) and not is_beyond([page], self._day)


def _has_dates(page: Page[Lead]) -> bool:
    return not page.unreadable and all(lead.created_at is not None for lead in page.items)

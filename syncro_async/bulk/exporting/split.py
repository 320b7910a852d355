"""Splits a list of leads by their creation dates into an old and a young part.

`completeness.py` says why one reading of the old part is enough, and on which assumptions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import msgspec

from syncro_async.models.lead import Lead
from syncro_async.models.page import Page
from syncro_async.resources.arguments import point_in_time

Part = Literal["whole", "old", "young"]

# The old part ends two days before today: that day is over in every time zone.
_AGE = timedelta(days=2)
# The young part begins on the day after the old one. Where the server reads a date so that this
# leaves a gap, which the counts show, it begins earlier: two days leave none in any reading of a
# date (its start, its end, any time zone).
_BEGINS = timedelta(days=1)
_OVERLAP = timedelta(days=1)
# A day ends at most so long after its start in UTC: 24 hours, and 12 hours in the last time zone.
_DAY_ENDS = timedelta(hours=36)
# What the split costs at most besides one request for each page: the first and the last look at the
# whole list, and two readings of a young part of two pages. Shorter lists are read twice.
EXTRA_REQUESTS = 6
_CREATED = frozenset({"created_from", "created_to", "include"})


class Parts(msgspec.Struct, frozen=True):
    """The filters of both parts; `young` is None when the old part is the whole list."""

    old: Mapping[str, Any]
    young: Mapping[str, Any] | None


def last_old_day(now: float) -> date:
    """Return the last day of the old part; `now` is unix time (s)."""
    return datetime.fromtimestamp(now, UTC).date() - _AGE


def earlier(last_day: date, young_from: date | None = None) -> date | None:
    """Return the day on which to begin the young part when `young_from` leaves a gap.

    Without `young_from` it is the first day to try. None: there is no earlier one to try.
    """
    if young_from is None:
        return last_day + _BEGINS
    return None if young_from <= last_day - _OVERLAP else young_from - timedelta(days=1)


def split(
    filters: Mapping[str, Any], last_day: date | None, young_from: date | None = None
) -> Parts | None:
    """Return the two parts of a list, None when one reading of the old part would prove nothing.

    `last_day` is the last day of the old part, `young_from` the first day of the young one (None:
    the day after). None is returned when a filter looks at what can change, and when the whole
    list is young.
    """
    if last_day is None or not _CREATED.issuperset(filters):
        return None
    created_to, created_from = filters.get("created_to"), filters.get("created_from")
    if created_to is not None and _day(created_to) <= last_day:
        return Parts(filters, None)
    if created_from is not None and _day(created_from) >= last_day - _OVERLAP:
        return None
    begins = young_from or earlier(last_day)
    return Parts({**filters, "created_to": last_day}, {**filters, "created_from": begins})


def is_beyond(pages: Iterable[Page[Lead]], last_day: date) -> bool:
    """Whether a lead of the old part is younger than that part, or has no date.

    The server has then ignored the filter, or the filter proves nothing.
    """
    end = datetime(last_day.year, last_day.month, last_day.day, tzinfo=UTC) + _DAY_ENDS
    dates = (lead.created_at for page in pages for lead in page.items)
    return any(created_at is None or created_at >= end for created_at in dates)


def _day(value: Any) -> date:
    """Return the day, in UTC, of any value that a filter on dates takes."""
    return date.fromisoformat(point_in_time("created_to", value)[: len("2026-06-30")])

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from pandas import Timestamp

from syncro_async import Lead, Page, PageMeta
from syncro_async.bulk.exporting.split import Parts, earlier, is_beyond, last_old_day, split

LAST = date(2026, 6, 28)
BEFORE = date(2026, 6, 27)
AFTER = date(2026, 6, 29)


@pytest.mark.parametrize(
    "now", [datetime(2026, 6, 30, tzinfo=UTC), datetime(2026, 6, 30, 23, 59, tzinfo=UTC)]
)
def test_the_old_part_ends_with_a_day_that_is_over_in_every_time_zone(now: datetime) -> None:
    assert last_old_day(now.timestamp()) == LAST
    over = datetime(2026, 6, 28, 23, 59, 59, tzinfo=timezone(timedelta(hours=-12)))
    assert over < now


@pytest.mark.parametrize(
    ("filters", "old", "young"),
    [
        ({}, {"created_to": LAST}, {"created_from": AFTER}),
        (
            {"include": ["owner"]},
            {"include": ["owner"], "created_to": LAST},
            {"include": ["owner"], "created_from": AFTER},
        ),
        (
            {"created_from": date(2026, 1, 1), "created_to": date(2026, 6, 29)},
            {"created_from": date(2026, 1, 1), "created_to": LAST},
            {"created_from": AFTER, "created_to": date(2026, 6, 29)},
        ),
        ({"created_to": LAST}, {"created_to": LAST}, None),
        (
            {"created_to": Timestamp("2026-06-28T23:30Z")},
            {"created_to": Timestamp("2026-06-28T23:30Z")},
            None,
        ),
        (
            {"created_to": datetime(2026, 6, 28, 23, 30, tzinfo=UTC)},
            {"created_to": datetime(2026, 6, 28, 23, 30, tzinfo=UTC)},
            None,
        ),
        (
            # In UTC it is the next day.
            {"created_to": datetime(2026, 6, 28, 23, 30, tzinfo=timezone(timedelta(hours=-3)))},
            {"created_to": LAST},
            {
                "created_from": AFTER,
                "created_to": datetime(2026, 6, 28, 23, 30, tzinfo=timezone(timedelta(hours=-3))),
            },
        ),
    ],
)
def test_the_parts_follow_each_other_and_keep_the_other_bounds(
    filters: dict[str, Any], old: dict[str, Any], young: dict[str, Any] | None
) -> None:
    assert split(filters, LAST) == Parts(old, young)


def test_the_young_part_begins_earlier_until_no_reading_of_a_date_leaves_a_gap() -> None:
    assert [earlier(LAST), earlier(LAST, AFTER), earlier(LAST, LAST)] == [AFTER, LAST, BEFORE]
    assert earlier(LAST, BEFORE) is None
    assert split({}, LAST, BEFORE) == Parts({"created_to": LAST}, {"created_from": BEFORE})


@pytest.mark.parametrize(
    "filters",
    [
        {"updated_since": date(2020, 1, 1)},
        {"stage_id": 5},
        {"tags": ["vip"], "created_to": date(2020, 1, 1)},
        {"q": "Ana"},
        {"created_from": BEFORE},
        {"created_from": datetime(2026, 6, 27, 1, tzinfo=UTC)},
    ],
)
def test_other_filters_and_young_lists_are_not_split(filters: dict[str, Any]) -> None:
    assert split(filters, LAST) is None


def test_without_the_server_s_time_nothing_is_split() -> None:
    assert split({}, None) is None


@pytest.mark.parametrize(
    ("created_at", "beyond"),
    [
        (datetime(2020, 1, 1, tzinfo=UTC), False),
        (datetime(2026, 6, 29, 11, 59, 59, tzinfo=UTC), False),  # the 28th in the last time zone
        (datetime(2026, 6, 29, 12, tzinfo=UTC), True),
        (None, True),
    ],
)
def test_a_lead_without_a_date_or_after_the_last_day_is_beyond(
    created_at: datetime | None, *, beyond: bool
) -> None:
    pages = [
        Page([], PageMeta(1, 1, 1, 1)),
        Page([Lead(id=1, created_at=created_at)], PageMeta(1, 1, 1, 1)),
    ]
    assert is_beyond(pages, LAST) is beyond

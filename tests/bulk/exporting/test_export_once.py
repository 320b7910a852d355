"""An export that reads the leads older than two days once."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from syncro_async import ExportReceipt, Progress
from syncro_async.errors import PermissionDeniedError
from syncro_async.sandbox import Sandbox, Trouble
from syncro_async.sandbox.data.sample_leads import moment
from syncro_async.testing import sandbox_client
from syncro_async.testing.fake_clock import FakeClock
from tests.bulk.exporting.changing_list import Answering

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
OLD = "2026-01-01T00:00:00Z"
YOUNG = moment(NOW - timedelta(hours=5))
ONCE = (
    "each answer shows one moment of the account, and no id is given twice; no lead is restored,"
    " back-dated or without a date; all answers come from one consistent database; the clock that"
    " dates the leads does not run back, and is less than a day behind"
)
Way = list[tuple[str, int]]


class Book(Answering):
    """A sandbox with the clock that it uses."""

    clock: FakeClock


def book(leads: int, young: int = 0, **how: Any) -> Book:
    """A list of leads, of which the last so many are of today."""
    sandbox = Book(leads, clock=(clock := FakeClock()), **how)
    sandbox.clock = clock
    for lead_id in list(sandbox.leads)[leads - young :]:
        sandbox.leads[lead_id]["created_at"] = YOUNG
    return sandbox


def way(sandbox: Sandbox) -> Way:
    """Which pages of which part were requested."""
    asked = [parse_qs(arrival.query) for arrival in sandbox.arrivals]
    return [
        ("old" if "created_to" in q else "young" if "created_from" in q else "whole", int(number))
        for q in asked
        for number in q["page"]
    ]


async def export(
    sandbox: Book, folder: Path, *, page_size: int = 10, **how: Any
) -> tuple[ExportReceipt, set[int]]:
    file = folder / "leads.jsonl"
    async with sandbox_client(sandbox=sandbox, clock=sandbox.clock) as syncro:
        receipt = await syncro.bulk.export_leads(file, page_size=page_size, **how)
    ids = [json.loads(line)["id"] for line in file.read_text(encoding="utf-8").splitlines()]
    assert len(set(ids)) == len(ids) == receipt.written
    return receipt, set(ids)


def all_pages(part: str, leads: int, page_size: int = 10) -> Way:
    return [(part, number) for number in range(1, -(-leads // page_size) + 1)]


async def test_thirty_thousand_leads_take_half_the_requests(tmp_path: Path) -> None:
    # A tenth of that in pages of a tenth of 200: the same number of pages.
    sandbox = book(3_000, young=20)
    async with sandbox_client(sandbox=sandbox, clock=sandbox.clock) as syncro:
        plan = await syncro.bulk.plan_export(page_size=20)
        sandbox.arrivals.clear()
        receipt = await syncro.bulk.export_leads(tmp_path / "leads.jsonl", page_size=20)
    assert len(sandbox.arrivals) == 150 + 2 <= plan.requests <= 150 + 6
    assert (receipt.written, receipt.complete, receipt.proof) == (3_000, True, "once")
    assert receipt.assumption == ONCE


async def test_the_old_part_is_read_once_and_the_young_part_twice(tmp_path: Path) -> None:
    sandbox = book(100, young=15)
    receipt, ids = await export(sandbox, tmp_path)
    old, young = all_pages("old", 85), all_pages("young", 15)
    assert way(sandbox) == [("whole", 1), *old, *young, *young, ("whole", 1)]
    assert ids == set(sandbox.leads)
    assert (receipt.seen, receipt.total_at_start, receipt.total_at_end) == (100, 100, 100)
    assert (receipt.complete, receipt.proof) == (True, "once")
    filters = [parse_qs(arrival.query) for arrival in sandbox.arrivals]
    assert {value for q in filters for value in q.get("created_to", ())} == {"2026-06-28"}
    assert {value for q in filters for value in q.get("created_from", ())} == {"2026-06-29"}


async def test_a_lead_of_both_parts_is_counted_once(tmp_path: Path) -> None:
    sandbox = book(100)
    for lead_id in (3, 50, 51):
        sandbox.leads[lead_id]["created_at"] = "2026-06-28T10:00:00Z"
    receipt, ids = await export(sandbox, tmp_path)
    assert way(sandbox)[-2:] == [("young", 1), ("whole", 1)]
    assert (receipt.proof, ids) == ("once", set(sandbox.leads))


@pytest.mark.parametrize(
    ("filters", "proof"),
    [
        ({"created_from": date(2025, 9, 1)}, "once"),
        ({"created_to": date(2026, 6, 29)}, "once"),
        ({"created_to": date(2026, 6, 1)}, "once"),
        ({"include": ["owner"]}, "once"),
        ({"max_items": 500}, "once"),
        ({"updated_since": date(2020, 1, 1)}, "twice"),
        ({"stage_id": 5, "page_size": 1}, "twice"),
        ({"verify": "twice"}, "twice"),
        ({"page_size": 17}, "twice"),  # six pages
    ],
)
async def test_only_lists_of_dates_are_read_once(
    tmp_path: Path, filters: dict[str, Any], proof: str
) -> None:
    sandbox = book(100)
    receipt, ids = await export(sandbox, tmp_path, **filters)
    assert (receipt.complete, receipt.proof) == (True, proof)
    assert len(ids) == receipt.total_at_end > 10
    if "created_to" not in filters:
        assert (proof == "once") is any(part == "old" for part, _ in way(sandbox))


async def test_a_list_that_ends_in_the_past_is_old_as_a_whole(tmp_path: Path) -> None:
    sandbox = book(100)
    receipt, ids = await export(sandbox, tmp_path, created_to=date(2026, 1, 1))
    assert way(sandbox) == [("old", 1), *all_pages("old", 100)]
    assert (receipt.proof, ids) == ("once", set(sandbox.leads))


async def test_a_part_of_a_list_is_not_verified(tmp_path: Path) -> None:
    sandbox = book(100)
    receipt, _ = await export(sandbox, tmp_path, max_items=99)
    assert way(sandbox) == all_pages("whole", 100)
    assert (receipt.written, receipt.complete, receipt.proof) == (99, False, None)
    assert receipt.assumption is None


@pytest.mark.parametrize("reading", [(0, 0), (1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("age", [1, 13, 30, 40, 60, 66, 80, 90, 120])  # hours
@pytest.mark.parametrize("backwards", [False, True])
async def test_a_day_with_most_leads_takes_no_second_reading(
    tmp_path: Path, reading: tuple[int, int], age: int, *, backwards: bool
) -> None:
    # The server can take a date as the start or the end of its day, and list either end first.
    sandbox = book(150)
    sandbox.days_later = {"created_to": -reading[0], "created_from": reading[1]}
    for number, lead in enumerate(sandbox.leads.values()):
        at = NOW - timedelta(hours=age, minutes=149 - number if backwards else number)
        lead["created_at"] = moment(at)
    receipt, ids = await export(sandbox, tmp_path)
    assert (receipt.complete, ids) == (True, set(sandbox.leads))
    # Leads of today that are listed last were shown by no page before the first one was counted.
    readings = 2 if backwards and age < 24 else 1
    assert len(sandbox.arrivals) <= readings * 15 + 6, way(sandbox)


async def test_more_leads_than_dates_explain_take_a_second_reading(tmp_path: Path) -> None:
    # Leads that come with an old date make the dates no proof; the young part is read twice.
    sandbox = book(150, young=40)
    for number in range(111, 151):
        sandbox.leads[number]["created_at"] = "2026-06-29T02:00:00Z"

    def change(number: int) -> None:
        if number == 13:  # the first page of the young part was read
            sandbox.delete(150)
            sandbox.insert(created_at="2026-06-29T01:00:00Z")
            sandbox.insert(created_at="2026-06-29T01:00:00Z")

    sandbox.change = change
    receipt, ids = await export(sandbox, tmp_path)
    assert (receipt.complete, ids) == (True, set(sandbox.leads))


# ------------------------------------------------------------------- signs that it does not hold


async def test_a_total_of_the_old_part_that_moves_leads_to_the_whole_list(tmp_path: Path) -> None:
    sandbox = book(100, young=5)
    sandbox.change = lambda number: sandbox.delete(95) if number == 3 else None
    receipt, ids = await export(sandbox, tmp_path)
    assert (receipt.proof, ids) == ("twice", set(sandbox.leads))
    # What both parts showed counts as the first look at their leads.
    assert way(sandbox)[11:] == [("young", 1), *all_pages("whole", 99)]


async def test_a_total_that_moves_in_a_list_of_the_past_leads_to_a_second_reading(
    tmp_path: Path,
) -> None:
    sandbox = book(100)
    sandbox.change = lambda number: sandbox.delete(100) if number == 3 else None
    receipt, ids = await export(sandbox, tmp_path, created_to=date(2026, 6, 1))
    assert (receipt.proof, ids) == ("twice", set(sandbox.leads))
    assert len(sandbox.arrivals) == 1 + 10 + 10


async def test_an_ignored_filter_leads_to_the_whole_list(tmp_path: Path) -> None:
    sandbox = book(100, young=5)
    sandbox.ignored = frozenset({"created_to"})
    receipt, ids = await export(sandbox, tmp_path)
    assert (receipt.proof, ids) == ("twice", set(sandbox.leads))
    # Without the filter the old part is the whole list.
    whole = all_pages("whole", 100)
    assert way(sandbox) == [("whole", 1), *whole, ("young", 1), *whole]


@pytest.mark.parametrize("part", ["created_to", "created_from"])
async def test_a_part_that_promises_more_and_shows_nothing_leads_to_the_whole_list(
    tmp_path: Path, part: str
) -> None:
    sandbox = book(100, young=5)
    sandbox.promises_more_with = part
    receipt, ids = await export(sandbox, tmp_path)
    assert (receipt.proof, ids) == ("twice", set(sandbox.leads))


async def test_a_lead_in_neither_part_leads_to_the_whole_list(tmp_path: Path) -> None:
    sandbox = book(100)
    sandbox.undated = 42
    receipt, ids = await export(sandbox, tmp_path)
    assert (receipt.proof, ids) == ("twice", set(sandbox.leads))
    # Lead 42 is shown by the whole list only, so it takes two readings of it.
    # The young part begins on three days in turn, as the parts seem to leave a gap.
    assert way(sandbox)[11:] == [("young", 1)] * 3 + all_pages("whole", 100) * 2


@pytest.mark.parametrize("inserted", [False, True])
async def test_a_change_at_the_end_leads_to_the_whole_list(
    tmp_path: Path, *, inserted: bool
) -> None:
    sandbox = book(100, young=5)

    def change(number: int) -> None:
        if number == 12:  # the young part was read, the count comes next
            sandbox.insert() if inserted else sandbox.delete(7)

    sandbox.change = change
    receipt, ids = await export(sandbox, tmp_path)
    assert way(sandbox)[11:13] == [("young", 1), ("whole", 1)]
    assert way(sandbox)[13:15] == [("whole", 2), ("whole", 3)]
    assert (receipt.proof, ids) == ("twice", set(sandbox.leads))


async def test_new_leads_are_no_obstacle_until_the_count(tmp_path: Path) -> None:
    sandbox = book(100)
    sandbox.now = lambda: NOW
    sandbox.change = lambda number: sandbox.insert() if number <= 11 else None
    receipt, ids = await export(sandbox, tmp_path)
    assert (receipt.proof, ids) == ("once", set(sandbox.leads))
    assert (receipt.total_at_start, receipt.total_at_end) == (100, 111)


async def test_a_list_that_shrinks_to_one_page_is_proved_by_that_page(tmp_path: Path) -> None:
    sandbox = book(100, young=5)

    def change(number: int) -> None:
        if number == 12:
            for lead_id in range(4, 101):
                sandbox.delete(lead_id)

    sandbox.change = change
    receipt, ids = await export(sandbox, tmp_path)
    assert (receipt.proof, ids) == ("page", {1, 2, 3})


async def test_a_server_without_a_date_is_read_twice(tmp_path: Path) -> None:
    sandbox = book(100)
    sandbox.headers_left_out = frozenset({b"date"})
    receipt, _ = await export(sandbox, tmp_path)
    assert receipt.proof == "twice"
    assert way(sandbox) == all_pages("whole", 100) * 2


@pytest.mark.parametrize("days", [-3, 3])
async def test_of_two_clocks_the_earlier_one_says_what_the_past_is(
    tmp_path: Path, days: int
) -> None:
    sandbox = book(100)
    ours = FakeClock(wall=sandbox.clock.wall() + days * 86_400)
    async with sandbox_client(sandbox=sandbox, clock=ours) as syncro:
        receipt = await syncro.bulk.export_leads(tmp_path / "a.jsonl", page_size=10)
    assert receipt.proof == "once"
    bounds = {v for a in sandbox.arrivals for v in parse_qs(a.query).get("created_to", ())}
    assert bounds == {"2026-06-25" if days < 0 else "2026-06-28"}


async def test_a_young_part_that_does_not_come_to_rest_is_reported(tmp_path: Path) -> None:
    sandbox = book(100, young=15)

    def change(number: int) -> None:
        if number > 10:
            sandbox.delete(next(key for key in sandbox.leads if key > 85))
            sandbox.leads[sandbox.insert()]["created_at"] = YOUNG

    sandbox.change = change
    receipt, ids = await export(sandbox, tmp_path, page_size=10)
    assert (receipt.complete, receipt.proof, receipt.assumption) == (False, None, None)
    assert "25 readings" in (receipt.reason or "")
    assert set(range(1, 86)) <= ids


# ------------------------------------------------------------------------ stops, and the progress


@pytest.mark.parametrize("done", range(1, 15))
async def test_it_goes_on_where_it_was_stopped_in_either_part(tmp_path: Path, done: int) -> None:
    sandbox = book(100, young=15)
    for trouble in (*([Trouble()] * done), Trouble(status=403, body={"message": "Conta inativa."})):
        sandbox.script(trouble)
    with pytest.raises(PermissionDeniedError):
        await export(sandbox, tmp_path)
    before = way(sandbox)[:-1]
    sandbox.arrivals.clear()
    receipt, ids = await export(sandbox, tmp_path)
    assert (receipt.proof, ids) == ("once", set(sandbox.leads))
    assert len(before) + len(sandbox.arrivals) <= 15 + 8


async def test_what_one_reading_proved_is_not_used_for_two(tmp_path: Path) -> None:
    sandbox = book(100)
    for trouble in (*([Trouble()] * 11), Trouble(status=403, body={"message": "Conta inativa."})):
        sandbox.script(trouble)
    with pytest.raises(PermissionDeniedError):
        await export(sandbox, tmp_path)
    sandbox.arrivals.clear()
    receipt, _ = await export(sandbox, tmp_path, verify="twice")
    assert receipt.proof == "twice"
    assert way(sandbox) == all_pages("whole", 100) * 2


async def test_the_progress_shows_each_part(tmp_path: Path) -> None:
    sandbox = book(100, young=15)
    told: list[Progress] = []
    listen: Callable[[Progress], object] = told.append
    await export(sandbox, tmp_path, on_progress=listen)
    assert [(p.phase, p.done, p.total) for p in told] == [
        ("reading", 10, 100),
        ("reading", 10, 85),
        ("reading", 80, 85),
        ("reading", 85, 85),
        ("reading", 10, 15),
        ("reading", 15, 15),
        ("checking", 10, 15),
        ("checking", 15, 15),
        ("checking", 100, 100),
    ]
    assert told[-1].seconds_left == 0.0


async def test_a_part_of_no_leads_is_no_phase(tmp_path: Path) -> None:
    told: list[Progress] = []
    listen: Callable[[Progress], object] = told.append
    await export(book(100), tmp_path, on_progress=listen)
    assert all(progress.total for progress in told)
    assert (told[-1].phase, told[-1].done, told[-1].total) == ("checking", 100, 100)

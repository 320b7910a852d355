from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncro_async import ExportReceipt
from syncro_async.sandbox.data.sample_leads import moment
from syncro_async.testing import sandbox_client
from syncro_async.testing.fake_clock import FakeClock
from tests.bulk.exporting.changing_list import ChangingSandbox

# One for all: a limiter lives as long as its slots are taken, and nobody else moves these clocks.
CLOCK = FakeClock()
NOW = datetime.fromtimestamp(CLOCK.wall(), UTC)
ORDERS = ("oldest_first", "newest_first", "last_changed_first")
Change = Callable[[ChangingSandbox, int], object]


class Exported(NamedTuple):
    """A receipt, the leads of the file by id, and those that were there from start to end."""

    receipt: ExportReceipt
    leads: dict[int, dict[str, Any]]
    stayed: set[int]
    requests: int


async def export(
    folder: Path, sandbox: ChangingSandbox, *, page_size: int, **filters: Any
) -> Exported:
    before = set(sandbox.leads)
    async with sandbox_client(sandbox=sandbox, clock=CLOCK) as syncro:
        file = folder / "leads.jsonl"
        receipt = await syncro.bulk.export_leads(file, page_size=page_size, **filters)
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    leads = {row["id"]: row for row in rows}
    assert len(leads) == len(rows) == receipt.written, "a lead was written twice"
    return Exported(receipt, leads, before - sandbox.deleted, sandbox.answered)


async def changed(
    folder: Path, leads: int, change: Change, *, order: str = "oldest_first", page_size: int = 2
) -> Exported:
    sandbox = ChangingSandbox(leads, clock=CLOCK, order=order)
    sandbox.change = lambda number: change(sandbox, number)
    return await export(folder, sandbox, page_size=page_size)


def scheduled(seed: int) -> tuple[ChangingSandbox, int, int]:
    """A book of some size, changed at some rate for so many requests; read in pages of some size.

    Every twelfth schedule never ends.
    """
    luck = Random(seed)  # noqa: S311
    sandbox = ChangingSandbox(luck.randint(5, 40), clock=CLOCK, order=ORDERS[seed % 3])
    # Some leads are older than two days, some younger, and some on the days between.
    for lead in sandbox.leads.values():
        days = luck.choice((100, 100, luck.uniform(0.0, 5.0)))
        lead["created_at"] = moment(NOW - timedelta(days=days))
    lasts = 10_000 if seed % 12 >= 11 else luck.choice((10, 20, 40))
    often = luck.uniform(0.1, 1.0)

    def change(number: int) -> None:
        if number <= lasts and luck.random() < often:
            sandbox.at_random(luck)

    sandbox.change = change
    return sandbox, lasts, luck.randint(2, 7)


@pytest.mark.parametrize("first", range(0, 200, 50))
async def test_two_hundred_random_schedules_lose_no_lead_that_stayed(
    tmp_path: Path, first: int
) -> None:
    proofs: Counter[str | None] = Counter()
    for seed in range(first, first + 50):
        sandbox, lasts, page_size = scheduled(seed)
        receipt, leads, stayed, _ = await export(tmp_path, sandbox, page_size=page_size)
        proofs[receipt.proof] += 1
        if receipt.complete:
            assert stayed <= set(leads), f"seed {seed}: a lead was lost, and complete is a lie"
        else:
            assert receipt.reason
        # Once a book has come to rest, nothing is in the way of a proof.
        assert receipt.complete or lasts == 10_000, f"seed {seed}"
    assert proofs[None] <= 4
    assert proofs["once"] > 0
    assert proofs["twice"] > 0


async def test_ordinary_page_walks_lose_leads_under_the_same_schedules() -> None:
    losing = 0
    for seed in range(60):
        sandbox, _, page_size = scheduled(seed)
        before = set(sandbox.leads)
        async with sandbox_client(sandbox=sandbox, clock=CLOCK) as syncro:
            shown = {lead.id for lead in await syncro.leads.list(page_size=page_size).collect()}
        losing += not (before - sandbox.deleted <= shown)
    assert losing >= 10


step = st.sampled_from(("rest", "insert", "delete first", "delete last", "touch", "swap"))


def act(sandbox: ChangingSandbox, what: str) -> None:
    ids = list(sandbox.leads)
    if what in {"insert", "swap"} or not ids:
        sandbox.insert()
    elif what == "delete first":
        sandbox.delete(ids[0])
    elif what == "delete last":
        sandbox.delete(ids[-1])
    elif what == "touch":
        sandbox.update(ids[len(ids) // 2], name="Outra")
    if what == "swap" and ids:
        sandbox.delete(ids[0])


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(step, max_size=60),
    order=st.sampled_from(ORDERS),
    leads=st.integers(1, 12),
    page_size=st.integers(1, 4),
)
async def test_no_adversary_makes_it_claim_what_is_not_so(
    tmp_path: Path, steps: list[str], order: str, leads: int, page_size: int
) -> None:
    def change(sandbox: ChangingSandbox, number: int) -> None:
        if number <= len(steps):
            act(sandbox, steps[number - 1])

    got = await changed(tmp_path, leads, change, order=order, page_size=page_size)
    assert not got.receipt.complete or got.stayed <= set(got.leads)


async def test_two_read_leads_deleted_and_two_appended_do_not_fool_it(tmp_path: Path) -> None:
    def change(sandbox: ChangingSandbox, number: int) -> None:
        if number == 1:
            for lead_id in (1, 2):
                sandbox.delete(lead_id)
                sandbox.insert()

    receipt, leads, stayed, _ = await changed(tmp_path, 6, change)
    assert receipt.total_at_start == receipt.total_at_end == 6
    assert stayed == {3, 4, 5, 6}
    assert stayed <= set(leads)
    assert receipt.complete


async def test_the_same_trick_between_any_two_pages_ends_in_an_honest_no(tmp_path: Path) -> None:
    def change(sandbox: ChangingSandbox, number: int) -> None:
        sandbox.delete(next(iter(sandbox.leads)))
        sandbox.insert()

    receipt, leads, stayed, requests = await changed(tmp_path, 200, change, page_size=40)
    assert not receipt.complete
    assert "did not come to rest in 25 readings" in (receipt.reason or "")
    assert requests == 25 * 5
    assert stayed <= set(leads)  # all that could be had is written all the same


@pytest.mark.parametrize("order", ["oldest_first", "newest_first"])
async def test_leads_that_only_come_are_no_obstacle_however_many(
    tmp_path: Path, order: str
) -> None:
    got = await changed(tmp_path, 60, lambda sandbox, _: sandbox.insert(), order=order, page_size=9)
    assert got.receipt.complete
    assert set(range(1, 61)) <= set(got.leads)


async def test_changes_alone_are_no_obstacle_though_they_move_leads_about(tmp_path: Path) -> None:
    luck = Random(7)  # noqa: S311

    def change(sandbox: ChangingSandbox, number: int) -> None:
        sandbox.update(luck.choice(list(sandbox.leads)), name=f"Nome {number}")

    got = await changed(tmp_path, 40, change, order="last_changed_first", page_size=7)
    assert got.receipt.complete
    assert set(got.leads) == set(range(1, 41))


async def test_each_lead_is_written_as_it_was_shown_last(tmp_path: Path) -> None:
    def change(sandbox: ChangingSandbox, number: int) -> None:
        if number == 3:  # all three pages have been read once
            sandbox.update(1, name="Depois")

    got = await changed(tmp_path, 6, change)
    assert got.receipt.complete
    assert got.leads[1]["name"] == "Depois"


async def test_a_lead_that_is_proved_to_be_gone_is_not_written(tmp_path: Path) -> None:
    def change(sandbox: ChangingSandbox, number: int) -> None:
        if number == 3:
            sandbox.delete(6)

    receipt, leads, _, _ = await changed(tmp_path, 6, change)
    assert receipt.complete
    assert set(leads) == {1, 2, 3, 4, 5}
    assert (receipt.written, receipt.seen) == (5, 6)
    assert (receipt.total_at_start, receipt.total_at_end) == (6, 5)


async def test_a_lead_shown_twice_in_one_reading_is_counted_as_repeated(tmp_path: Path) -> None:
    def change(sandbox: ChangingSandbox, number: int) -> None:
        if number == 1:
            sandbox.insert()  # in front: lead 5 moves from the first page to the second

    receipt, leads, _, _ = await changed(tmp_path, 6, change, order="newest_first")
    assert receipt.complete
    assert receipt.repeated == 1
    assert len(leads) == 7


@pytest.mark.parametrize("seed", range(40))
async def test_leads_that_move_in_and_out_of_a_filter_do_not_fool_it(
    tmp_path: Path, seed: int
) -> None:
    luck = Random(seed)  # noqa: S311
    sandbox = ChangingSandbox(luck.randint(8, 30), clock=CLOCK, order=ORDERS[seed % 3])
    for lead in sandbox.leads.values():
        lead["source"] = luck.choice(("site", "evento"))
    left: set[int] = {key for key, lead in sandbox.leads.items() if lead["source"] != "site"}

    def change(number: int) -> None:
        lead_id = luck.choice(list(sandbox.leads))
        if number <= 40 and luck.random() < 0.6:
            away = sandbox.leads[lead_id]["source"] == "site"
            sandbox.update(lead_id, source="evento" if away else "site")
            left.update({lead_id} if away else ())

    sandbox.change = change
    page_size = luck.randint(2, 5)
    got = await export(tmp_path, sandbox, page_size=page_size, source="site")
    assert not got.receipt.complete or got.stayed - left <= set(got.leads)


async def test_a_filtered_list_at_rest_is_complete_after_two_readings(tmp_path: Path) -> None:
    sandbox = ChangingSandbox(30, clock=CLOCK)
    matching = {key for key, lead in sandbox.leads.items() if lead["source"] == "site"}
    assert len(matching) > 3
    got = await export(tmp_path, sandbox, page_size=3, source="site")
    assert got.receipt.complete
    assert set(got.leads) == matching
    assert got.requests == 2 * -(-len(matching) // 3)

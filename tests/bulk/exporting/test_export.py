from __future__ import annotations

import asyncio
import csv
import json
import sqlite3
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from syncro_async import AsyncClient, ExportReceipt, Lane, Plan, Progress, RateLimit
from syncro_async.bulk.exporting.spool import GOOD_FOR
from syncro_async.errors import ConfigurationError, PermissionDeniedError
from syncro_async.sandbox import READ_ONLY_KEY, Sandbox, Trouble
from syncro_async.testing import sandbox_client
from syncro_async.testing.fake_clock import FakeClock
from tests.bulk.exporting.changing_list import ChangingSandbox

REFUSED = Trouble(status=403, body={"message": "Conta inativa."})


def pages(sandbox: Sandbox) -> list[int]:
    return [int(parse_qs(arrival.query)["page"][0]) for arrival in sandbox.arrivals]


def leads_in(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def stop_after(number: int, syncro: AsyncClient, sandbox: ChangingSandbox, to: Path) -> None:
    """An export that ends in an error after so many pages."""
    for trouble in (*([Trouble()] * number), REFUSED):
        sandbox.script(trouble)
    with pytest.raises(PermissionDeniedError):
        await syncro.bulk.export_leads(to)
    sandbox.arrivals.clear()


# ------------------------------------------------------------------------------- what it writes


async def test_a_list_at_rest_is_proved_by_a_second_reading(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path
) -> None:
    receipt = await syncro.bulk.export_leads(tmp_path / "leads.jsonl")
    assert receipt == ExportReceipt(
        written=450,
        seen=450,
        repeated=0,
        total_at_start=450,
        total_at_end=450,
        complete=True,
        reason=None,
        proof="twice",
        assumption="each answer shows one moment of the account, and no id is given twice",
    )
    leads = leads_in(tmp_path / "leads.jsonl")
    assert [lead["id"] for lead in leads] == list(sandbox.leads)
    assert leads[6]["name"] == sandbox.leads[7]["name"]
    assert pages(sandbox) == [1, 2, 3, 1, 2, 3]
    assert names(tmp_path) == ["leads.jsonl"]


async def test_a_list_on_one_page_takes_one_request(tmp_path: Path) -> None:
    for leads in (0, 1, 200):
        clock = FakeClock()
        sandbox = Sandbox(leads, clock=clock)
        async with sandbox_client(sandbox=sandbox, clock=clock) as syncro:
            receipt = await syncro.bulk.export_leads(tmp_path / "leads.csv")
        assert receipt.complete
        assert receipt.written == leads
        assert len(sandbox.arrivals) == 1


@pytest.mark.parametrize("form", ["jsonl", "csv"])
async def test_the_format_may_be_given(syncro: AsyncClient, tmp_path: Path, form: Any) -> None:
    await syncro.bulk.export_leads(tmp_path / "leads", format=form, stage_id=5)
    first, *rest = (tmp_path / "leads").read_text(encoding="utf-8").splitlines()
    assert first.startswith("id,name," if form == "csv" else '{"id":')
    assert rest


async def test_filters_relations_and_page_size_reach_the_server(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path
) -> None:
    receipt = await syncro.bulk.export_leads(
        tmp_path / "leads.csv",
        tags=(tag for tag in ("vip", "frio")),
        include=(name for name in ("owner", "score")),
        created_from=datetime(2025, 9, 1, tzinfo=UTC),
        page_size=30,
    )
    expected = {k for k, lead in sandbox.leads.items() if {"vip", "frio"} & {*lead["tags"]}}
    with (tmp_path / "leads.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {int(row["id"]) for row in rows} == expected
    assert receipt.complete
    assert all(row["score"] for row in rows if row["id"] != "9")
    assert len({arrival.query.partition("&page")[0] for arrival in sandbox.arrivals}) == 1
    assert "per_page=30" in sandbox.arrivals[-1].query


async def test_max_items_cuts_the_list_and_the_receipt_says_so(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path
) -> None:
    receipt = await syncro.bulk.export_leads(tmp_path / "leads.jsonl", max_items=201)
    assert [lead["id"] for lead in leads_in(tmp_path / "leads.jsonl")] == list(range(1, 202))
    assert (receipt.written, receipt.complete) == (201, False)
    assert receipt.reason == "the export stopped at max_items=201"
    assert receipt.truncated
    assert pages(sandbox) == [1, 2]


async def test_no_items_need_no_request(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path
) -> None:
    receipt = await syncro.bulk.export_leads(tmp_path / "leads.jsonl", max_items=0)
    assert (receipt.written, receipt.seen, sandbox.arrivals) == (0, 0, [])
    assert names(tmp_path) == ["leads.jsonl"]


async def test_more_than_there_are_is_everything(syncro: AsyncClient, tmp_path: Path) -> None:
    receipt = await syncro.bulk.export_leads(tmp_path / "leads.jsonl", max_items=1000)
    assert (receipt.written, receipt.complete) == (450, True)


def odd_page(*items: object, total: int, page: int = 1, last: int = 1) -> Trouble:
    meta = {"total": total, "per_page": 2, "current_page": page, "last_page": last}
    body = {"success": True, "data": items, "meta": {**meta, "has_more": page < last}}
    return Trouble(status=200, body=body)


async def test_leads_that_cannot_be_read_are_kept_beside_and_it_is_not_complete(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path
) -> None:
    broken = {"id": 3, "name": ["no", "name"]}
    for _ in range(2):
        sandbox.script(odd_page({"id": 1}, broken, total=4, last=2))
        sandbox.script(odd_page({"id": 2}, {"id": "?"}, total=4, page=2, last=2))
    receipt = await syncro.bulk.export_leads(tmp_path / "leads.jsonl")
    assert [lead["id"] for lead in leads_in(tmp_path / "leads.jsonl")] == [1, 2]
    aside = tmp_path / "leads.jsonl.unreadable.jsonl"
    assert leads_in(aside) == [broken, {"id": "?"}]
    assert (receipt.written, receipt.seen, receipt.complete) == (2, 4, False)
    assert (receipt.unreadable, receipt.unreadable_file) == (2, str(aside))
    assert "2 leads could not be read; the first:" in (receipt.reason or "")
    # What an earlier run has set aside stays.
    assert (await syncro.bulk.export_leads(tmp_path / "leads.jsonl")).complete
    assert leads_in(aside) == [broken, {"id": "?"}]
    assert names(tmp_path) == ["leads.jsonl", aside.name]


async def test_a_lead_that_can_be_read_later_is_written(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path
) -> None:
    for name in (["no", "name"], "Ana"):
        sandbox.script(odd_page({"id": 1}, {"id": 3, "name": name}, total=3, last=2))
        sandbox.script(odd_page({"id": 2}, total=3, page=2, last=2))
    receipt = await syncro.bulk.export_leads(tmp_path / "leads.jsonl")
    assert (receipt.written, receipt.complete) == (3, True)


# ---------------------------------------------------------------------------- servers that lie


async def test_a_server_that_counts_more_than_it_shows_is_asked_25_times(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path
) -> None:
    for _ in range(25):
        sandbox.script(odd_page({"id": 1}, {"id": 2}, total=3))
    receipt = await syncro.bulk.export_leads(tmp_path / "leads.jsonl")
    assert not receipt.complete
    assert "of 3 leads the server counts, 1 at least could not" in (receipt.reason or "")
    assert (receipt.written, len(sandbox.arrivals)) == (2, 25)


async def test_a_server_that_counts_less_than_it_shows_is_not_believed(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path
) -> None:
    for _ in range(25):
        sandbox.script(odd_page({"id": 1}, {"id": 2}, {"id": 3}, total=2))
    receipt = await syncro.bulk.export_leads(tmp_path / "leads.jsonl")
    assert not receipt.complete
    assert "its count cannot be relied on" in (receipt.reason or "")


@pytest.mark.parametrize("current", [1, 99])
async def test_a_server_that_shows_one_page_for_ever_comes_to_an_end(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path, current: int
) -> None:
    stuck = odd_page({"id": 1}, {"id": 2}, total=999, page=current, last=500)
    sandbox.script(replace(stuck, times=2000))
    receipt = await syncro.bulk.export_leads(tmp_path / "leads.jsonl")
    assert (receipt.written, receipt.complete) == (2, False)
    # The first page, the old part, and 25 readings.
    assert len(sandbox.arrivals) <= 1 + 9 + 2 * 9 + 23 * 2


# -------------------------------------------------------------------------- going on after a stop


@pytest.mark.parametrize("done", [1, 2, 3, 4, 5])
async def test_it_goes_on_where_it_was_stopped(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path, done: int
) -> None:
    to = tmp_path / "leads.jsonl"
    await stop_after(done, syncro, sandbox, to)
    assert names(tmp_path) == ["leads.jsonl.resume"]
    assert (await syncro.bulk.export_leads(to)).complete
    assert pages(sandbox) == [1, 2, 3, 1, 2, 3][done:]
    assert {lead["id"] for lead in leads_in(to)} == set(sandbox.leads)
    assert names(tmp_path) == ["leads.jsonl"]


async def test_what_changed_while_it_was_stopped_is_no_obstacle_to_the_proof(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path
) -> None:
    to = tmp_path / "leads.jsonl"
    await stop_after(2, syncro, sandbox, to)
    for lead_id in (1, 2, 250):
        sandbox.delete(lead_id)
    new = [sandbox.insert() for _ in range(3)]
    receipt = await syncro.bulk.export_leads(to)
    assert receipt.complete
    assert {lead["id"] for lead in leads_in(to)} == {*range(1, 451), *new} - {1, 2, 250}


async def test_resume_false_begins_anew(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path
) -> None:
    await stop_after(2, syncro, sandbox, tmp_path / "leads.jsonl")
    await syncro.bulk.export_leads(tmp_path / "leads.jsonl", resume=False)
    assert pages(sandbox) == [1, 2, 3, 1, 2, 3]


@pytest.mark.parametrize(
    "other", [{"stage_id": 5}, {"page_size": 100}, {"include": "owner"}, {"max_items": 449}]
)
async def test_another_export_to_the_same_file_begins_anew(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path, other: dict[str, Any]
) -> None:
    await stop_after(2, syncro, sandbox, tmp_path / "leads.jsonl")
    await syncro.bulk.export_leads(tmp_path / "leads.jsonl", **other)
    assert pages(sandbox)[0] == 1


async def test_another_account_begins_anew(
    syncro: AsyncClient, sandbox: ChangingSandbox, clock: FakeClock, tmp_path: Path
) -> None:
    await stop_after(2, syncro, sandbox, tmp_path / "leads.jsonl")
    async with sandbox_client(sandbox=sandbox, clock=clock, api_key=READ_ONLY_KEY) as other:
        await other.bulk.export_leads(tmp_path / "leads.jsonl")
    assert pages(sandbox)[0] == 1


@pytest.mark.parametrize("age", [(GOOD_FOR - 1, 3), (GOOD_FOR, 1), (-60.0, 1)])
async def test_what_is_older_than_a_day_or_of_the_future_is_not_gone_on_with(
    syncro: AsyncClient,
    sandbox: ChangingSandbox,
    clock: FakeClock,
    tmp_path: Path,
    age: tuple[float, int],
) -> None:
    later, first = age
    await stop_after(2, syncro, sandbox, tmp_path / "leads.jsonl")
    clock.jump_wall(later)
    await syncro.bulk.export_leads(tmp_path / "leads.jsonl")
    assert pages(sandbox)[0] == first


async def test_what_another_version_has_left_is_not_gone_on_with(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path
) -> None:
    await stop_after(2, syncro, sandbox, tmp_path / "leads.jsonl")
    kept = sqlite3.connect(tmp_path / "leads.jsonl.resume")
    with kept:
        kept.execute("UPDATE state SET json = '{}'")
    kept.close()
    await syncro.bulk.export_leads(tmp_path / "leads.jsonl")
    assert pages(sandbox) == [1, 2, 3, 1, 2, 3]


async def test_what_was_proved_before_the_stop_needs_no_further_request(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path
) -> None:
    to = tmp_path / "leads.jsonl"
    (tmp_path / ".leads.jsonl.part").mkdir()  # the file cannot be written there yet
    with pytest.raises(OSError, match=r"\.part"):
        await syncro.bulk.export_leads(to)
    (tmp_path / ".leads.jsonl.part").rmdir()
    sandbox.arrivals.clear()
    assert (await syncro.bulk.export_leads(to)).complete
    assert sandbox.arrivals == []
    assert len(leads_in(to)) == 450


async def test_a_cancelled_export_can_be_gone_on_with_at_once(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path
) -> None:
    to = tmp_path / "leads.jsonl"
    threads = threading.active_count()
    export = asyncio.ensure_future(syncro.bulk.export_leads(to))
    sandbox.change = lambda number: export.cancel() if number == 3 else None
    with pytest.raises(asyncio.CancelledError):
        await export
    assert threading.active_count() == threads
    assert names(tmp_path) == ["leads.jsonl.resume"]
    sandbox.arrivals.clear()
    assert (await syncro.bulk.export_leads(to)).complete
    assert pages(sandbox)[0] in {2, 3}


async def test_it_can_be_cancelled_before_it_has_begun(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path
) -> None:
    for turns in range(1, 5):
        export = asyncio.ensure_future(syncro.bulk.export_leads(tmp_path / "leads.jsonl"))
        for _ in range(turns):
            await asyncio.sleep(0)
        export.cancel()
        with pytest.raises(asyncio.CancelledError):
            await export
    assert (await syncro.bulk.export_leads(tmp_path / "leads.jsonl")).complete


async def test_of_two_exports_to_one_file_the_second_is_refused(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path
) -> None:
    to = tmp_path / "leads.jsonl"
    refused: list[str] = []

    async def again() -> None:
        with pytest.raises(ConfigurationError, match="is in use: another run does the same job"):
            await syncro.bulk.export_leads(to)
        refused.append("here")

    others: list[asyncio.Task[None]] = []
    sandbox.change = lambda number: others.append(asyncio.ensure_future(again()))
    receipt = await syncro.bulk.export_leads(to)
    await asyncio.gather(*others[:3])
    assert receipt.complete
    assert refused[:3] == ["here"] * 3
    assert len(leads_in(to)) == 450


# --------------------------------------------------------------------- destinations that cannot be


@pytest.mark.parametrize("name", ["leads.ods", "leads", "folder.csv"])
async def test_a_destination_that_cannot_be_costs_no_request(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path, name: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ConfigurationError, match=name):
        await syncro.bulk.export_leads(tmp_path / name)
    assert sandbox.arrivals == []
    assert names(tmp_path) == ["folder.csv"]


@pytest.mark.parametrize(
    ("folder", "error"), [("missing", FileNotFoundError), ("a-file", NotADirectoryError)]
)
async def test_a_folder_that_is_none_costs_no_request(
    syncro: AsyncClient,
    sandbox: ChangingSandbox,
    tmp_path: Path,
    folder: str,
    error: type[OSError],
) -> None:
    (tmp_path / "a-file").touch()
    with pytest.raises(error, match=folder):
        await syncro.bulk.export_leads(tmp_path / folder / "leads.csv")
    assert sandbox.arrivals == []


async def test_a_file_of_somebody_else_under_the_name_of_ours_is_left_alone(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path
) -> None:
    theirs = tmp_path / "leads.csv.resume"
    theirs.write_text("their own notes " * 100, encoding="utf-8")
    with pytest.raises(OSError, match="not a database"):
        await syncro.bulk.export_leads(tmp_path / "leads.csv")
    assert theirs.read_text(encoding="utf-8").startswith("their own notes")
    assert sandbox.arrivals == []


@pytest.mark.parametrize(
    ("argument", "value"),
    [("page_size", 201), ("include", "events"), ("max_items", -1), ("verify", "thrice")],
)
async def test_an_argument_the_reference_rules_out_costs_no_request(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path, argument: str, value: Any
) -> None:
    with pytest.raises(ValueError, match=argument):
        await syncro.bulk.export_leads(tmp_path / "leads.csv", **{argument: value})
    with pytest.raises(ValueError, match=argument):
        await syncro.bulk.plan_export(**{argument: value})
    assert sandbox.arrivals == []
    assert names(tmp_path) == []


async def test_a_link_stays_a_link_and_all_is_kept_where_it_leads(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path
) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "leads.jsonl"
    link.symlink_to(tmp_path / "real" / "today.jsonl")
    await stop_after(1, syncro, sandbox, link)
    assert names(tmp_path / "real") == ["today.jsonl.resume"]
    await syncro.bulk.export_leads(link)
    assert link.is_symlink()
    assert names(tmp_path / "real") == ["today.jsonl"]


# ------------------------------------------------------------------------------ progress and plan


async def test_progress_is_told_after_each_group_of_pages(
    syncro: AsyncClient, tmp_path: Path
) -> None:
    told: list[Progress] = []
    await syncro.bulk.export_leads(
        tmp_path / "a.jsonl", page_size=50, verify="twice", on_progress=told.append
    )
    assert {progress.job for progress in told} == {"export"}
    facts = [(p.phase, p.done, p.total, p.requests) for p in told]
    assert facts == [
        ("reading", 50, 450, 1),
        ("reading", 400, 450, 8),  # seven pages side by side
        ("reading", 450, 450, 9),
        ("checking", 50, 450, 10),
        ("checking", 400, 450, 17),
        ("checking", 450, 450, 18),
    ]
    assert [p.seconds_left is not None and p.seconds_left >= 0 for p in told] == [True] * 6
    assert told[-1].seconds_left == 0.0


async def test_the_time_left_and_the_rate_are_those_of_the_budget(tmp_path: Path) -> None:
    clock = FakeClock()
    sandbox = Sandbox(100, clock=clock, per_minute=3)
    told: list[Progress] = []
    async with sandbox_client(
        sandbox=sandbox, clock=clock, rate_limit=RateLimit(3, 60.0)
    ) as syncro:
        plan = await syncro.bulk.plan_export(page_size=25)
        began = clock.monotonic()
        await syncro.bulk.export_leads(tmp_path / "a.csv", page_size=25, on_progress=told.append)
        took = clock.monotonic() - began
    assert plan.requests == 8
    assert plan.seconds == pytest.approx(took, rel=0.02)
    assert plan.finishes_at.timestamp() == pytest.approx(clock.wall(), abs=5)
    half = next(progress for progress in told if progress.requests == 4)
    assert half.seconds_left == pytest.approx(took - half.seconds, rel=0.05)
    assert half.rate == pytest.approx(100 / half.seconds)
    assert sandbox.refused == 0


@pytest.mark.parametrize(
    ("options", "requests"),
    [
        ({}, 6),
        ({"max_items": 150}, 1),
        ({"max_items": 420, "page_size": 20}, 42),
        ({"page_size": 50}, 12),
        ({"page_size": 50, "max_items": 450}, 12),
        ({"page_size": 50, "verify": "twice"}, 18),
        ({"page_size": 50, "updated_since": datetime(2020, 1, 1, tzinfo=UTC)}, 18),
        ({"q": "nobody"}, 1),
    ],
)
async def test_a_plan_costs_one_request_and_counts_all_readings(
    syncro: AsyncClient, sandbox: ChangingSandbox, options: dict[str, Any], requests: int
) -> None:
    plan = await syncro.bulk.plan_export(**options)
    assert isinstance(plan, Plan)
    assert plan.requests == requests
    assert plan.seconds < 1  # there is budget for all of them
    assert len(sandbox.arrivals) == 1


# ------------------------------------------------------------------------------------------ lanes


async def test_it_goes_in_the_bulk_lane_unless_told_otherwise(tmp_path: Path) -> None:
    lanes: set[str] = set()
    clock = FakeClock()

    def note(event: object) -> None:
        lane = getattr(event, "lane", None)
        if lane is not None:
            lanes.add(lane)

    chosen: tuple[Lane | None, ...] = (None, "interactive")
    for lane in chosen:
        lanes.clear()
        sandbox = Sandbox(30, clock=clock)
        rate = RateLimit(2, 60.0)
        async with sandbox_client(
            sandbox=sandbox, clock=clock, rate_limit=rate, observers=(note,)
        ) as syncro:
            view = syncro if lane is None else syncro.with_options(lane=lane)
            await view.bulk.export_leads(tmp_path / "a.csv", page_size=5)
        assert lanes == {lane or "bulk"}

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import pytest

from syncro_async import AsyncClient, Progress
from syncro_async.bulk.syncing.job import OVERLAP
from syncro_async.errors import ConfigurationError, PermissionDeniedError
from syncro_async.sandbox import READ_ONLY_KEY, Sandbox, Trouble
from syncro_async.testing import sandbox_client
from syncro_async.testing.fake_clock import FakeClock
from tests.bulk.exporting.changing_list import Answering, ChangingSandbox

START = datetime(2026, 6, 30, 12, tzinfo=UTC)
# When the newest of 450 sample leads was created: later nothing in them is dated.
NEWEST = datetime(2025, 9, 5, 9, 30, tzinfo=UTC)


@pytest.fixture(params=["crm.db", "crm.duckdb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / str(request.param)


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    return tmp_path / "crm.db"


def ask(database: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(connected(database)) as connection:
        return [tuple(row) for row in connection.execute(query).fetchall()]


def connected(database: Path) -> Any:
    if database.suffix == ".duckdb":
        return import_module("duckdb").connect(database)
    return sqlite3.connect(database, isolation_level=None)


def ids(database: Path, table: str = "leads") -> set[int]:
    return {row[0] for row in ask(database, f"SELECT id FROM {table}")}  # noqa: S608


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def pages(sandbox: Sandbox) -> list[int]:
    return [int(parse_qs(arrival.query)["page"][0]) for arrival in sandbox.arrivals]


def without(clock: FakeClock, seconds: float) -> None:
    """Let time pass while nobody does anything."""
    clock._now += seconds


# ---------------------------------------------------------------------------------- what it brings


async def test_the_first_run_brings_every_lead(
    syncro: AsyncClient, sandbox: ChangingSandbox, database: Path
) -> None:
    receipt = await syncro.bulk.sync_leads(database)
    assert (receipt.fetched, receipt.inserted, receipt.updated, receipt.deleted) == (450, 450, 0, 0)
    assert receipt.since is None
    assert receipt.until == NEWEST - OVERLAP
    assert receipt.complete
    assert ids(database) == set(sandbox.leads)
    assert pages(sandbox) == [1, 2, 3, 1, 2, 3]
    assert names(database.parent) == [database.name]


async def test_each_field_is_a_column_of_its_type_and_what_is_nested_is_json(
    syncro: AsyncClient, sandbox: ChangingSandbox, database: Path
) -> None:
    await syncro.bulk.sync_leads(database, include=["owner", "score"])
    bare, full = ask(
        database,
        "SELECT id, name, value, birthday, created_at, tags, custom_fields, stage, owner, score,"
        " products FROM leads WHERE id IN (9, 10) ORDER BY id",
    )
    lead = sandbox.leads[10]
    assert full[:3] == (10, lead["name"], 5000.0)
    if database.suffix == ".duckdb":
        assert full[3].isoformat() == lead["birthday"]
        assert full[4] == datetime.fromisoformat(lead["created_at"]).replace(tzinfo=None)
    else:
        assert full[3:5] == (lead["birthday"], lead["created_at"])
    assert [json.loads(text) for text in full[5:7]] == [lead["tags"], lead["custom_fields"]]
    assert json.loads(full[7])["id"] == lead["stage_id"]
    assert json.loads(full[8])["id"] == lead["assigned_to"]
    assert full[9] == lead["score"]
    assert full[10] is None  # was not asked for
    assert bare[:5] == (9, sandbox.leads[9]["name"], None, None, bare[4])
    [(size,)] = ask(database, "SELECT custom_fields ->> '$.tamanho_empresa' FROM leads WHERE id=10")
    assert size == "100+"


async def test_a_moment_is_kept_in_utc_whatever_its_time_zone(
    syncro: AsyncClient, sandbox: ChangingSandbox, database: Path
) -> None:
    sandbox.leads[1]["created_at"] = "2026-06-30T07:00:00-03:00"
    await syncro.bulk.sync_leads(database)
    [(moment,)] = ask(database, "SELECT created_at FROM leads WHERE id = 1")
    assert str(moment).replace("T", " ").removesuffix("Z") == "2026-06-30 10:00:00"


async def test_only_the_owner_can_read_a_new_database_and_an_old_one_stays_as_it_is(
    syncro: AsyncClient, sandbox: ChangingSandbox, database: Path
) -> None:
    modes: dict[str, int] = {}

    def change(_: int) -> None:
        modes.update({path.name: path.stat().st_mode & 0o777 for path in database.parent.iterdir()})

    sandbox.change = change
    await syncro.bulk.sync_leads(database)
    change(0)
    assert {database.name, f"{database.name}.leads.resume"} <= modes.keys()
    assert set(modes.values()) == {0o600}
    os.chmod(database, 0o640)  # noqa: PTH101  # as a user does
    await syncro.bulk.sync_leads(database)
    change(0)
    assert modes[database.name] == 0o640


async def test_the_second_run_at_once_costs_one_request_and_changes_nothing(
    syncro: AsyncClient, sandbox: ChangingSandbox, database: Path
) -> None:
    first = await syncro.bulk.sync_leads(database)
    sandbox.arrivals.clear()
    second = await syncro.bulk.sync_leads(database)
    assert len(sandbox.arrivals) == 1
    assert parse_qs(sandbox.arrivals[0].query)["updated_since"] == ["2025-09-05T09:25:00Z"]
    assert second.since == first.until
    # The newest lead is read again, because it is within the overlap.
    assert (second.fetched, second.inserted, second.updated) == (1, 0, 0)
    assert second.until == first.until


async def test_later_runs_bring_what_was_created_and_what_has_changed(
    syncro: AsyncClient, sandbox: ChangingSandbox, clock: FakeClock, database: Path
) -> None:
    await syncro.bulk.sync_leads(database)
    without(clock, 3600)
    lead = await syncro.leads.create(name="Nova", pipeline_id=1, stage_id=4)
    await syncro.leads.add_tags(7, ["novo"])
    receipt = await syncro.bulk.sync_leads(database)
    assert (receipt.fetched, receipt.inserted, receipt.updated) == (3, 1, 1)
    assert receipt.until is not None
    # The bulk lane is paced beside the interactive calls above, which takes some seconds.
    latest = START + timedelta(hours=1) - OVERLAP
    assert latest - timedelta(seconds=5) <= receipt.until <= latest
    assert lead.id in ids(database)
    [(tags,)] = ask(database, "SELECT tags FROM leads WHERE id = 7")
    assert "novo" in json.loads(tags)
    # They are read again while the overlap lasts, and nothing has changed since.
    receipt = await syncro.bulk.sync_leads(database)
    assert (receipt.fetched, receipt.inserted, receipt.updated) == (2, 0, 0)


async def test_a_full_run_removes_leads_that_are_gone(
    syncro: AsyncClient, sandbox: ChangingSandbox, database: Path
) -> None:
    await syncro.bulk.sync_leads(database)
    for lead_id in (3, 77, 450):
        sandbox.delete(lead_id)
    assert (await syncro.bulk.sync_leads(database)).deleted == 0
    assert 77 in ids(database)
    receipt = await syncro.bulk.sync_leads(database, full=True)
    assert (receipt.fetched, receipt.inserted, receipt.updated, receipt.deleted) == (447, 0, 0, 3)
    assert receipt.since is None
    assert ids(database) == set(sandbox.leads)


async def test_columns_and_tables_of_ones_own_stay_as_they_are(
    syncro: AsyncClient, database: Path
) -> None:
    await syncro.bulk.sync_leads(database, table="People_2026")
    ask(database, "ALTER TABLE People_2026 ADD COLUMN mine VARCHAR")
    ask(database, "UPDATE People_2026 SET mine = 'kept', name = 'old' WHERE id = 5")
    ask(database, "CREATE TABLE other AS SELECT 1 AS one")
    receipt = await syncro.bulk.sync_leads(database, table="People_2026", full=True)
    assert receipt.updated == 1
    [(mine, name)] = ask(database, "SELECT mine, name FROM People_2026 WHERE id = 5")
    assert mine == "kept"
    assert name != "old"
    assert ask(database, "SELECT one FROM other") == [(1,)]


async def test_two_tables_of_one_database_keep_their_own_time(
    syncro: AsyncClient, sandbox: ChangingSandbox, database: Path
) -> None:
    await syncro.bulk.sync_leads(database)
    receipt = await syncro.bulk.sync_leads(database, table="again")
    assert receipt.inserted == 450
    assert ids(database) == ids(database, "again")


async def test_a_column_that_the_table_does_not_have_yet_is_added(
    syncro: AsyncClient, database: Path
) -> None:
    await syncro.bulk.sync_leads(database)
    ask(database, "ALTER TABLE leads DROP COLUMN company")
    receipt = await syncro.bulk.sync_leads(database, full=True)
    assert receipt.updated > 300
    assert ask(database, "SELECT company FROM leads WHERE id = 10") == [("ACME",)]


async def test_relations_not_asked_for_before_are_brought_for_every_lead(
    syncro: AsyncClient, sandbox: ChangingSandbox, database: Path
) -> None:
    await syncro.bulk.sync_leads(database, include="score,owner")
    assert (await syncro.bulk.sync_leads(database, include=["owner", "score"])).fetched == 1
    assert (await syncro.bulk.sync_leads(database, include="owner")).fetched == 450
    assert (await syncro.bulk.sync_leads(database, include="owner")).fetched == 1


# ------------------------------------------------------------------------- nothing is left out


@pytest.mark.parametrize("seed", range(9))
async def test_leads_that_come_change_and_go_meanwhile_are_caught_up(
    sqlite_file: Path, clock: FakeClock, seed: int
) -> None:
    luck = Random(seed)  # noqa: S311
    order = ("oldest_first", "newest_first", "last_changed_first")[seed % 3]
    sandbox = ChangingSandbox(30, clock=clock, order=order)
    sandbox.now = lambda: datetime.fromtimestamp(clock.wall(), UTC)

    def change(number: int) -> None:
        if number % 40 < 12 and luck.random() < 0.7:
            sandbox.at_random(luck)

    async with sandbox_client(sandbox=sandbox, clock=clock) as syncro:
        sandbox.change = change
        for _ in range(4):
            await syncro.bulk.sync_leads(sqlite_file, page_size=4)
            without(clock, 300)
        sandbox.change = sandbox.stand_still
        assert (await syncro.bulk.sync_leads(sqlite_file, page_size=4)).complete
        names = dict(ask(sqlite_file, "SELECT id, name FROM leads"))
        for lead_id, lead in sandbox.leads.items():
            assert names.get(lead_id) == lead["name"]
        await syncro.bulk.sync_leads(sqlite_file, page_size=4, full=True)
    assert ids(sqlite_file) == set(sandbox.leads)


async def test_a_change_between_the_readings_of_a_run_is_in_the_next_one(
    syncro: AsyncClient, sandbox: ChangingSandbox, clock: FakeClock, sqlite_file: Path
) -> None:
    def change(number: int) -> None:
        without(clock, 120)  # a slow run: ten minutes and more
        if number == 6:  # after lead 1 has been read for the last time
            sandbox.leads[1]["name"] = "Depois"
            now = datetime.fromtimestamp(clock.wall(), UTC)
            sandbox.leads[1]["updated_at"] = f"{now:%Y-%m-%dT%H:%M:%SZ}"

    sandbox.change = change
    first = await syncro.bulk.sync_leads(sqlite_file)
    sandbox.change = sandbox.stand_still
    without(clock, 3600)
    second = await syncro.bulk.sync_leads(sqlite_file)
    assert second.since == first.until
    assert (second.fetched, second.updated) == (2, 1)
    assert ask(sqlite_file, "SELECT name FROM leads WHERE id = 1") == [("Depois",)]


MINUTES = 60.0
BOTH = (False, True)


class Clocks(NamedTuple):
    """How far three clocks are ahead of each other (s), and whether answers have a `Date`.

    `ours`: this machine's before the header's; `dates`: that which dates the leads before it.
    """

    ours: float = 0.0
    dates: float = 0.0
    header: bool = True


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize(
    "clocks",
    [
        Clocks(),
        Clocks(header=False),
        *(Clocks(ours=at * MINUTES, header=sent) for at in (11, -11, 60, -60) for sent in BOTH),
        *(Clocks(dates=at * MINUTES, header=sent) for at in (11, -11) for sent in BOTH),
        Clocks(ours=11 * MINUTES, dates=-11 * MINUTES),
        Clocks(ours=-11 * MINUTES, dates=11 * MINUTES),
    ],
)
async def test_no_change_is_skipped_whatever_the_clocks_say(
    sqlite_file: Path, clocks: Clocks, *, busy: bool
) -> None:
    theirs = FakeClock()
    ours = FakeClock(wall=theirs.wall() + clocks.ours)
    sandbox = Answering(30, clock=theirs)
    sandbox.headers_left_out = frozenset() if clocks.header else frozenset({b"date"})
    sandbox.now = lambda: datetime.fromtimestamp(theirs.wall() + clocks.dates, UTC)
    # It was dated by hand, and is the newest lead for years.
    sandbox.insert(created_at="2031-01-01T00:00:00Z", updated_at="2031-01-01T00:00:00Z")

    def change(number: int) -> None:
        for clock in (ours, theirs):
            without(clock, 50)
        if busy:
            sandbox.insert()
        sandbox.update(number % 30 + 1, name=f"Nome {number}")

    async with sandbox_client(sandbox=sandbox, clock=ours) as syncro:
        for _ in range(6):
            sandbox.change = change
            assert (await syncro.bulk.sync_leads(sqlite_file, page_size=12)).complete
            for clock in (ours, theirs):
                without(clock, 400)
        sandbox.change = sandbox.stand_still
        last = await syncro.bulk.sync_leads(sqlite_file, page_size=12)
    assert last.until is not None
    assert last.until <= datetime.fromtimestamp(theirs.wall() + clocks.dates, UTC) - OVERLAP
    names = dict(ask(sqlite_file, "SELECT id, name FROM leads"))
    assert names == {lead_id: lead["name"] for lead_id, lead in sandbox.leads.items()}


async def test_a_lead_dated_while_a_long_run_goes_on_does_not_move_the_mark_past_its_begin(
    sqlite_file: Path,
) -> None:
    clock = FakeClock()
    sandbox = ChangingSandbox(30, clock=clock)
    # The leads are dated 11 minutes behind the header.
    sandbox.now = lambda: datetime.fromtimestamp(clock.wall() - 660, UTC)

    def change(number: int) -> None:
        without(clock, 120)
        if number == 1:
            sandbox.update(1, name="Depois")  # it was read just before
        if number == 4:
            sandbox.insert()

    async with sandbox_client(sandbox=sandbox, clock=clock) as syncro:
        sandbox.change = change
        first = await syncro.bulk.sync_leads(sqlite_file, page_size=5)
        sandbox.change = sandbox.stand_still
        assert first.until is not None
        assert first.until <= START - timedelta(minutes=11) - OVERLAP
        await syncro.bulk.sync_leads(sqlite_file)
    assert ask(sqlite_file, "SELECT name FROM leads WHERE id = 1") == [("Depois",)]


async def test_without_a_date_in_any_lead_everything_is_read_again(sqlite_file: Path) -> None:
    clock = FakeClock()
    sandbox = ChangingSandbox(1, clock=clock)
    sandbox.delete(1)
    sandbox.now = lambda: datetime.fromtimestamp(clock.wall(), UTC)
    async with sandbox_client(sandbox=sandbox, clock=clock) as syncro:
        first = await syncro.bulk.sync_leads(sqlite_file)
        assert (first.complete, first.until) == (True, None)
        lead_id = sandbox.insert()
        second = await syncro.bulk.sync_leads(sqlite_file)
        assert (second.since, second.until) == (None, START - OVERLAP)
        # Nothing is newer: the mark stays, also when the lead is gone.
        sandbox.delete(lead_id)
        without(clock, 3600)
        assert (await syncro.bulk.sync_leads(sqlite_file)).until == START - OVERLAP


async def test_the_overlap_grows_with_the_difference_between_our_clock_and_the_server_s(
    sqlite_file: Path,
) -> None:
    theirs = FakeClock()
    sandbox = ChangingSandbox(1, clock=theirs)
    sandbox.now = lambda: START
    sandbox.insert()
    async with sandbox_client(sandbox=sandbox, clock=FakeClock(wall=theirs.wall() - 90)) as syncro:
        receipt = await syncro.bulk.sync_leads(sqlite_file)
    assert receipt.until == START - OVERLAP - timedelta(seconds=90)


async def test_a_list_that_does_not_come_to_rest_moves_no_mark_and_removes_nothing(
    syncro: AsyncClient, sandbox: ChangingSandbox, database: Path
) -> None:
    def change(number: int) -> None:
        sandbox.delete(next(iter(sandbox.leads)))
        sandbox.insert()

    sandbox.change = change
    first = await syncro.bulk.sync_leads(database)
    assert (first.complete, first.since, first.until) == (False, None, None)
    assert "did not come to rest" in (first.reason or "")
    assert 450 in ids(database)
    sandbox.change = sandbox.stand_still
    second = await syncro.bulk.sync_leads(database)
    assert second.since is None
    assert second.complete
    assert ids(database) == set(sandbox.leads)


async def test_a_lead_that_cannot_be_read_holds_the_mark_where_it_was(
    syncro: AsyncClient, sandbox: ChangingSandbox, sqlite_file: Path
) -> None:
    first = await syncro.bulk.sync_leads(sqlite_file)
    meta = {"total": 2, "per_page": 200, "current_page": 1, "last_page": 1, "has_more": False}
    data = [{"id": 7, "name": "Nova"}, {"id": 8, "name": ["?"]}]
    sandbox.script(Trouble(status=200, body={"success": True, "data": data, "meta": meta}))
    second = await syncro.bulk.sync_leads(sqlite_file)
    assert (second.fetched, second.updated, second.complete) == (2, 1, False)
    assert second.unreadable == 1
    assert "1 lead could not be read; the first: " in (second.reason or "")
    assert second.until == first.until
    assert (await syncro.bulk.sync_leads(sqlite_file)).since == first.until


async def test_a_run_that_was_stopped_is_gone_on_with(
    syncro: AsyncClient, sandbox: ChangingSandbox, database: Path
) -> None:
    for trouble in (Trouble(), Trouble(), Trouble(status=403, body={"message": "Conta inativa."})):
        sandbox.script(trouble)
    with pytest.raises(PermissionDeniedError):
        await syncro.bulk.sync_leads(database)
    assert names(database.parent) == [f"{database.name}.leads.resume"]
    sandbox.arrivals.clear()
    assert (await syncro.bulk.sync_leads(database)).inserted == 450
    assert pages(sandbox) == [3, 1, 2, 3]
    assert names(database.parent) == [database.name]


async def test_of_two_runs_at_once_the_second_ends_with_an_error(
    syncro: AsyncClient, sandbox: ChangingSandbox, database: Path
) -> None:
    others: list[asyncio.Future[Any]] = []
    sandbox.change = lambda number: others.append(
        asyncio.ensure_future(syncro.bulk.sync_leads(database))
    )
    assert (await syncro.bulk.sync_leads(database)).complete
    sandbox.change = sandbox.stand_still
    refused = await asyncio.gather(*others[:3], return_exceptions=True)
    assert [type(error) for error in refused] == [ConfigurationError] * 3
    assert "in use: another run does the same job" in str(refused[0])
    await asyncio.gather(*others[3:], return_exceptions=True)


# ------------------------------------------------------------------------- databases that cannot be


@pytest.mark.parametrize(
    "table",
    ["", 'x"; DROP TABLE leads; --', "1st", "a b", "ção", "x" * 64, "syncro_sync", "Sqlite_a", 7],
)
async def test_a_name_that_is_no_plain_name_of_a_table_is_refused(
    syncro: AsyncClient, sandbox: ChangingSandbox, sqlite_file: Path, table: Any
) -> None:
    for call in (syncro.bulk.sync_leads, syncro.bulk.plan_sync):
        with pytest.raises(ConfigurationError, match="table="):
            await call(sqlite_file, table=table)
    assert sandbox.arrivals == []
    assert names(sqlite_file.parent) == []


async def test_a_word_of_sql_is_a_name_like_any_other(syncro: AsyncClient, database: Path) -> None:
    assert (await syncro.bulk.sync_leads(database, table="select")).inserted == 450
    assert len(ask(database, 'SELECT id FROM "select"')) == 450


async def test_text_of_strangers_is_text(
    syncro: AsyncClient, sandbox: ChangingSandbox, database: Path
) -> None:
    evil = "Robert'); DROP TABLE leads; -- \" \\ \u0000 ?"
    sandbox.leads[1]["name"] = evil
    sandbox.leads[1]["custom_fields"] = {'"; DROP TABLE leads': evil}
    await syncro.bulk.sync_leads(database)
    [(name, fields)] = ask(database, "SELECT name, custom_fields FROM leads WHERE id = 1")
    assert name == evil
    assert json.loads(fields) == {'"; DROP TABLE leads': evil}


async def test_a_table_that_no_sync_has_made_is_left_alone(
    syncro: AsyncClient, sandbox: ChangingSandbox, database: Path
) -> None:
    ask(database, "CREATE TABLE Leads AS SELECT 1 AS one")
    with pytest.raises(ConfigurationError, match="that no sync has made"):
        await syncro.bulk.sync_leads(database)
    assert sandbox.arrivals == []
    assert ask(database, "SELECT one FROM leads") == [(1,)]
    assert names(database.parent) == [database.name]


async def test_a_table_that_somebody_has_dropped_is_filled_from_the_beginning(
    syncro: AsyncClient, database: Path
) -> None:
    await syncro.bulk.sync_leads(database)
    ask(database, "DROP TABLE leads")
    receipt = await syncro.bulk.sync_leads(database)
    assert (receipt.since, receipt.inserted) == (None, 450)
    assert len(ids(database)) == 450


async def test_a_table_of_another_account_is_left_alone(
    syncro: AsyncClient, sandbox: ChangingSandbox, clock: FakeClock, database: Path
) -> None:
    await syncro.bulk.sync_leads(database)
    sandbox.arrivals.clear()
    async with sandbox_client(sandbox=sandbox, clock=clock, api_key=READ_ONLY_KEY) as other:
        with pytest.raises(ConfigurationError, match="another account's leads"):
            await other.bulk.sync_leads(database)
        assert sandbox.arrivals == []
        ask(database, "DROP TABLE leads")
        assert (await other.bulk.sync_leads(database)).inserted == 450


@pytest.mark.parametrize("name", ["leads.csv", "leads.parquet", "folder.db"])
async def test_what_is_no_database_costs_no_request(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path, name: str
) -> None:
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(ConfigurationError, match=name):
        await syncro.bulk.sync_leads(tmp_path / name)
    assert sandbox.arrivals == []


async def test_a_folder_that_is_not_there_costs_no_request(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        await syncro.bulk.sync_leads(tmp_path / "missing" / "crm.db")
    assert sandbox.arrivals == []


@pytest.fixture
def no_database(database: Path) -> Path:
    database.write_text("no database at all " * 500, encoding="utf-8")
    return database


async def test_a_file_that_is_no_database_costs_no_request(
    syncro: AsyncClient, sandbox: ChangingSandbox, no_database: Path
) -> None:
    database = no_database
    with pytest.raises(OSError, match="database") as caught:
        await syncro.bulk.sync_leads(database)
    assert caught.value.filename == str(database)
    assert sandbox.arrivals == []
    assert names(database.parent) == [database.name]


async def test_a_merge_that_fails_leaves_the_table_as_it_was(
    syncro: AsyncClient, sandbox: ChangingSandbox, sqlite_file: Path
) -> None:
    await syncro.bulk.sync_leads(sqlite_file)
    ask(
        sqlite_file,
        "CREATE TRIGGER no_more BEFORE UPDATE ON leads WHEN new.id = 400"
        " BEGIN SELECT RAISE(ABORT, 'no more'); END",
    )
    before = ask(sqlite_file, "SELECT name FROM leads ORDER BY id")
    for lead_id in (1, 400):
        sandbox.leads[lead_id]["name"] = "Outro"
    with pytest.raises(OSError, match="no more"):
        await syncro.bulk.sync_leads(sqlite_file, full=True)
    assert ask(sqlite_file, "SELECT name FROM leads ORDER BY id") == before
    ask(sqlite_file, "DROP TRIGGER no_more")
    sandbox.arrivals.clear()
    assert (await syncro.bulk.sync_leads(sqlite_file, full=True)).updated == 2
    assert sandbox.arrivals == []  # what had been read was kept


async def test_without_its_library_duckdb_says_what_to_install(
    syncro: AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ConfigurationError, match=r"syncro-async\[duckdb\]"):
        await syncro.bulk.sync_leads(tmp_path / "crm.duckdb")


# -------------------------------------------------------------------------------- progress and plan


async def test_a_plan_counts_what_this_run_will_read(
    syncro: AsyncClient, sandbox: ChangingSandbox, database: Path
) -> None:
    assert (await syncro.bulk.plan_sync(database)).requests == 6
    assert names(database.parent) == []
    await syncro.bulk.sync_leads(database)
    sandbox.arrivals.clear()
    assert (await syncro.bulk.plan_sync(database)).requests == 1
    assert (await syncro.bulk.plan_sync(database, full=True, page_size=50)).requests == 18
    assert len(sandbox.arrivals) == 2


async def test_progress_is_told(syncro: AsyncClient, sqlite_file: Path) -> None:
    told: list[Progress] = []
    await syncro.bulk.sync_leads(sqlite_file, on_progress=told.append)
    assert [(p.job, p.phase, p.done) for p in told][-1] == ("sync", "checking", 450)

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from syncro_async.sandbox import FULL_KEY, Sandbox, Trouble
from tests.cli.run_cli import Run, Serve, finish, names, said, start
from tests.cli.test_export_sync import stalling


def ids(folder: Path, query: str = "SELECT id FROM leads") -> set[int]:
    with closing(sqlite3.connect(folder / "crm.db")) as database:
        return {row[0] for row in database.execute(query)}


def test_the_first_run_brings_everything_and_the_second_asks_once(
    run: Run, serve: Serve, folder: Path
) -> None:
    sandbox = Sandbox(leads=450)
    serve(sandbox)
    code, out, err = run("leads", "sync", "crm.db")
    assert (code, out, said(err)) == (0, "", ["450 leads read: 450 new, 0 changed, 0 gone"])
    assert ids(folder) == set(sandbox.leads)
    assert names(folder) == ["crm.db"]
    before = len(sandbox.arrivals)
    err = run("leads", "sync", "crm.db").err
    # The newest lead is read again.
    assert said(err) == ["1 lead read: 0 new, 0 changed, 0 gone"]
    assert len(sandbox.arrivals) - before == 1


def test_a_full_run_removes_what_is_gone(run: Run, serve: Serve, folder: Path) -> None:
    sandbox = Sandbox(leads=20)
    serve(sandbox)
    run("leads", "sync", "crm.db", "--table", "people")
    del sandbox.leads[5]
    words = ("leads", "sync", "crm.db", "--table", "people", "--full", "--include", "owner")
    assert said(run(*words).err) == ["19 leads read: 0 new, 18 changed, 1 gone"]
    assert ids(folder, "SELECT id FROM people") == set(sandbox.leads)


def test_the_plan_is_said_and_nothing_is_written(run: Run, serve: Serve, folder: Path) -> None:
    sandbox = Sandbox(leads=450)
    serve(sandbox)
    assert run("leads", "sync", "crm.db", "--plan").out.startswith("6 requests, 0 s, done at 2")
    assert (len(sandbox.arrivals), names(folder)) == (1, [])


def test_what_could_not_be_read_fails_the_run_but_not_the_others(
    run: Run, serve: Serve, folder: Path
) -> None:
    sandbox = Sandbox(leads=3)
    meta = {"total": 2, "per_page": 200, "current_page": 1, "last_page": 1, "has_more": False}
    page = {"success": True, "data": [{"id": 1}, {"id": "?"}], "meta": meta}
    sandbox.script(Trouble(status=200, body=page))
    serve(sandbox)
    code, _, err = run("leads", "sync", "crm.db")
    assert code == 1
    assert said(err)[0] == "2 leads read: 1 new, 0 changed, 0 gone"
    assert "not everything is in the table yet: 1 lead could not be read" in err
    assert ids(folder) == {1}


def test_what_another_run_keeps_is_not_told_as_ones_own(
    run: Run, serve: Serve, folder: Path
) -> None:
    serve(Sandbox(3))
    with closing(sqlite3.connect("crm.db.leads.resume", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        code, _, err = run("leads", "sync", "crm.db")
    assert code == 2
    assert "another run does the same job" in err
    assert "goes on from there" not in err


def test_ctrl_c_says_how_to_go_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with stalling() as server:
        monkeypatch.setenv("SYNCRO_API_KEY", FULL_KEY)
        monkeypatch.setenv("SYNCRO_BASE_URL", f"http://127.0.0.1:{server.server_port}/api/v1")
        process = start("leads", "sync", "crm.db")
        assert server.stalled.wait(30)
        process.send_signal(signal.SIGINT)
        code, _, err = finish(process)
    assert code == 130
    assert said(err) == [
        "syncro: what was read is kept in crm.db.leads.resume; the same command goes on from there",
        "syncro: interrupted",
    ]
    assert names(folder) == ["crm.db.leads.resume"]

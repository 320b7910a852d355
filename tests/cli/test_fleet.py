"""`syncro fleet run`: what it prints, where it writes, and how it ends."""

from __future__ import annotations

import io
import json
import signal
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from syncro_async import Progress
from syncro_async.cli.fleet import Row, View
from syncro_async.fleet import JobReceipt
from syncro_async.sandbox import FULL_KEY, SUSPENDED_KEY, Sandbox
from tests.cli.run_cli import Run, Serve, finish, said, start
from tests.cli.test_export_sync import stalling

RUN = ("fleet", "run", "accounts.toml", "--folder", "data")
GOOD = '[accounts.acme]\nkey_env = "ACME"\n[accounts.fine]\nkey_env = "FINE"\n'
BAD = '[accounts.bad]\nkey_env = "BAD"\n'


@pytest.fixture(autouse=True)
def accounts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ACME", FULL_KEY)
    monkeypatch.setenv("FINE", FULL_KEY)
    monkeypatch.setenv("BAD", SUSPENDED_KEY)
    file = folder / "accounts.toml"
    file.write_text(GOOD)
    return file


def test_every_account_has_its_database(run: Run, serve: Serve, folder: Path) -> None:
    serve(Sandbox(leads=30))
    code, out, err = run(*RUN)
    assert code == 0
    assert [line.split()[1:4:2] for line in out.splitlines()[3:5]] == [
        ["acme", "done"],
        ["fine", "done"],
    ]
    assert "2 accounts: 2 done" in out
    assert sorted(said(err)) == ["acme: done, 2 requests", "fine: done, 2 requests"]
    for account in ("acme", "fine"):
        with closing(sqlite3.connect(folder / "data" / account / "leads.db")) as db:
            assert db.execute("SELECT count(*) FROM leads").fetchone() == (30,)


def test_what_is_done_for_the_day_is_done_again_only_by_force(run: Run, serve: Serve) -> None:
    sandbox = Sandbox(leads=30)
    serve(sandbox)
    run(*RUN)
    asked = len(sandbox.arrivals)
    code, out, _ = run(*RUN)
    assert (code, len(sandbox.arrivals)) == (0, asked)
    assert "2 accounts: 2 done before" in out
    assert "2 accounts: 2 done" in run(*RUN, "--force").out
    assert len(sandbox.arrivals) > asked


def test_a_failed_account_is_named_with_its_reason(run: Run, serve: Serve, accounts: Path) -> None:
    accounts.write_text(GOOD + BAD)
    serve(Sandbox(leads=30))
    code, out, err = run(*RUN, "--json", "--job", "export")
    assert code == 1
    reason = "GET /account → 403: Conta inativa."
    assert said(err)[-2:] == [
        f"syncro: account bad: {reason}",
        "syncro: error: 1 of 3 accounts are not done",
    ]
    receipts = {each["account"]: each for each in json.loads(out)}
    assert receipts["bad"]["reason"] == reason
    assert receipts["acme"]["result"]["written"] == 30
    assert [each["outcome"] for each in receipts.values()] == ["done", "done", "failed"]


def test_ctrl_c_says_how_to_go_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with stalling() as server:
        monkeypatch.setenv("SYNCRO_BASE_URL", f"http://127.0.0.1:{server.server_port}/api/v1")
        process = start(*RUN)
        assert server.stalled.wait(30)
        process.send_signal(signal.SIGINT)
        code, _, err = finish(process)
    assert code == 130
    assert said(err)[-2:] == [
        "syncro: what was done is kept in data; the same command goes on",
        "syncro: interrupted",
    ]
    assert not (folder / "data" / "acme" / "receipt.json").exists()


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("[accounts.acme]\nkey = 'crm_1'", 2, "has the setting 'key'"),
        (None, 1, "accounts.toml: No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_used(
    run: Run, accounts: Path, text: str | None, code: int, message: str
) -> None:
    accounts.unlink()
    if text is not None:
        accounts.write_text(text)
    ended = run(*RUN)
    assert ended.code == code
    assert message in ended.err
    assert "crm_1" not in ended.err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_table(run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(Sandbox(leads=30))
    shown = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", shown)
        patch.setattr(sys, "stdout", Terminal())
        assert run(*RUN).code == 0
    assert "2 accounts: 2" in shown.getvalue()


def progress(done: int, total: int | None) -> Progress:
    return Progress("sync", "reading", done, total, 3, 61.0, 1.0, None)


def receipt(outcome: str, reason: str | None = None) -> JobReceipt:
    now = datetime(2026, 6, 30, tzinfo=UTC)
    later = now if outcome == "later" else None
    return JobReceipt("a", "sync", {}, now.date(), 1, outcome, now, reason, later)  # type: ignore[arg-type]


def drawn(view: View, most: int | None = None) -> list[list[str]]:
    console = Console(file=io.StringIO(), width=200)
    console.print(view.table(most))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    lines = [line for line in text.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines]


def test_a_short_table_has_the_accounts_that_are_at_work() -> None:
    view = View({name: Row() for name in ("waits", "ended", "works", "later")})
    view.take("ended", receipt("failed", "Conta\ninativa"))
    view.take("works", progress(200, 450))
    view.take("later", receipt("later", "down"))
    assert drawn(view, 2) == [
        ["works", "reading", "200/450", "3", "1 min 1 s", ""],
        ["later", "later", "", "0", "0 s", "down"],
    ]
    assert [line[0] for line in drawn(view)] == ["waits", "ended", "works", "later"]
    assert drawn(view)[1] == ["ended", "failed", "", "0", "0 s", "Conta inativa"]
    assert view.caption() == "4 accounts: 1 failed, 1 later, 1 reading, 1 waits"
    view.take("works", progress(200, None))
    assert drawn(view)[2][2] == "200"

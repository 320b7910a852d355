from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from syncro_async import AsyncClient, Budget
from syncro_async.cli.budget import line, picture
from syncro_async.sandbox import Sandbox
from tests.cli.run_cli import Run, Serve

ALONE = (
    "syncro: note: memory:// counts only the calls of this command; to see those of your programs,"
    " give the limiter that they share with --limiter or SYNCRO_LIMITER\n"
)


def drawn(budget: Budget) -> tuple[str, dict[str, str]]:
    """The bar, and the table under it."""
    console = Console(file=io.StringIO(), width=80)
    with console.capture() as capture:
        console.print(picture(budget))
    return read(capture.get())


def read(out: str) -> tuple[str, dict[str, str]]:
    bar, *rest = out.splitlines()
    cells = [row.split("│") for row in rest]
    return bar, {row[1].strip(): row[2].strip() for row in cells if len(row) > 2}


def test_the_budget_is_a_bar_and_a_table_and_costs_no_request(run: Run, serve: Serve) -> None:
    sandbox = Sandbox(leads=1)
    serve(sandbox)
    code, out, err = run("budget")
    assert (code, err) == (0, "")
    bar, table = read(out)
    assert bar == "░" * 60
    assert out.splitlines()[1].split() == ["█", "used", "▓", "in", "flight", "░", "free"]
    assert table == {
        "limit": "60 in 60 s",
        "available": "60",
        "used": "0",
        "in flight": "0",
        "waiting": "0 interactive, 0 bulk",
        "next free in": "0.0 s",
    }
    assert sandbox.arrivals == []


def test_the_budget_is_json_when_asked_for_once_or_repeatedly(run: Run, serve: Serve) -> None:
    serve(Sandbox(leads=1))
    code, out, _ = run("budget", "--json")
    assert (code, json.loads(out)["available"]) == (0, 60)
    code, out, _ = run("budget", "--json", "--watch", "--every", "0.1", "--for", "0.05")
    assert [json.loads(line)["limit"] for line in out.splitlines()] == [60, 60]


def test_the_budget_is_that_of_the_address_asked_for(
    run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = serve(Sandbox(leads=1))
    assert run("leads", "export", "-").code == 0
    # All commands of a machine share a budget, and the export has used one slot of it.
    assert " 59 " in run("budget", "--base-url", url).out
    assert " 60 " in run("budget", "--base-url", "http://127.0.0.1:9/api/v1").out


def test_used_slots_those_in_flight_and_the_pause_can_be_seen() -> None:
    bar, table = drawn(
        Budget(60, 60.0, 0, 5, 9, 41.5, waiting_bulk=7, gate_closed_for=31.0, used=35)
    )
    assert bar == "█" * 35 + "▓" * 5 + "░" * 20
    assert table["waiting"] == "2 interactive, 7 bulk"
    assert table["next free in"] == "41.5 s"
    assert table["paused by a 429 for"] == "31.0 s"
    assert "reserved for other programs" not in table


def test_what_is_left_to_strangers_can_be_seen_and_a_wide_window_is_drawn_small() -> None:
    bar, table = drawn(Budget(1000, 60.0, 1000, 0, 0, 0.0, foreign_estimate=1000))
    assert bar.count("░") == 60
    assert table["reserved for other programs"] == "1000"


def test_a_line_has_the_counts_and_no_time() -> None:
    assert line(Budget(60, 60.0, 20, 5, 9, 41.5, waiting_bulk=7, used=35)) == (
        "35 used, 5 in flight, 20 available of 60; waiting: 2 interactive, 7 bulk;"
        " reserved for other programs: 0"
    )


def test_without_a_terminal_a_watch_says_what_has_changed_and_nothing_twice(
    run: Run, serve: Serve, tmp_path: Path
) -> None:
    limiter = f"sqlite://{tmp_path}/budget.db"
    serve(Sandbox(leads=1))
    use_one_slot(limiter)
    words = ("budget", "--limiter", limiter, "--watch", "--every", "0.1", "--for", "0.15")
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    assert out == (
        "1 used, 0 in flight, 59 available of 60; waiting: 0 interactive, 0 bulk;"
        " reserved for other programs: 0\n"
    )


def use_one_slot(limiter: str) -> None:
    async def work() -> None:
        async with AsyncClient(limiter=limiter) as syncro:
            await syncro.leads.get(1)

    asyncio.run(work())


def test_on_a_terminal_the_watch_draws_the_window(
    run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(Sandbox(leads=1))
    monkeypatch.setenv("FORCE_COLOR", "1")
    code, out, err = run("budget", "--watch", "--for", "0", "--limiter", "memory://")
    assert (code, err) == (0, ALONE)
    assert "░" * 60 in out
    assert "60 in 60 s" in out


def test_without_a_key_it_says_that_alone(run: Run) -> None:
    code, out, err = run("budget")
    assert (code, out) == (2, "")
    assert "set SYNCRO_API_KEY" in err
    assert "note" not in err


def test_a_limiter_that_is_none_is_wrong_usage(run: Run, serve: Serve) -> None:
    serve(Sandbox(leads=1))
    code, out, err = run("budget", "--limiter", "mysql://root:secret@host/x")
    assert (code, out) == (2, "")
    assert "limiter 'mysql' is not known" in err
    assert "secret" not in err

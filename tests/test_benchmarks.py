"""The committed benchmarks: each program runs, and prints its rows."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from benchmarks.harness import Row, middle, program, shown, table
from benchmarks.peers_at_work import windows
from benchmarks.pictures import spread
from benchmarks.report import QUESTIONS, main

ROOT = Path(__file__).parent.parent
FIRST_ROW = {
    "calls": "CPU a `leads.get` against raw httpx + msgspec",
    "engines": "CPU a `leads.get` against what `pip install httpx msgspec` gives",
    "stream": "CPU a lead streamed against msgspec alone",
    "import_time": "`import syncro_async` against `import httpx`",
    "budget_used": "429s in a full budget",
    "queueing": "a slot that is free",
    "lanes": "visitors refused beside bulk",
    "many_keys": "calls a second with many keys against one key without a limit",
    "peers_cost": "CPU a call, side by side",
    "peers_limit": "70 calls at a limit of 60 in 0.5 s: makespan",
    "peers_stream": "memory of a stream of 1,000 leads",
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_each_question_is_answered_with_rows(
    question: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = importlib.import_module(f"benchmarks.{question}")
    assert program(asked.__doc__, asked.ask, arguments=["--quick"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.match(r"Python 3\.\d+\.\d+, .+ cores, syncro_async \S+, httpx \S+, ", lines[0])
    first = [line for line in lines if line.startswith("| ")][2]
    assert first.startswith(f"| {FIRST_ROW[question]} | ")


def test_every_question_says_first_what_it_asks() -> None:
    for question in QUESTIONS:
        about = importlib.import_module(f"benchmarks.{question}").__doc__
        assert f"python -m benchmarks.{question} [--quick]" in (about or "")


def test_the_report_writes_its_tables_into_the_page(tmp_path: Path) -> None:
    assert main(["--quick", "--to", str(tmp_path), "budget_used"]) == 0
    written = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert "Bars: 2 pass, 0 near, 0 miss." in written
    assert written.count("| --- | --- | --- | --- | --- | --- |") == 1
    assert written.count("Not measured yet.") == len(QUESTIONS) - 1
    assert str(ROOT) not in written
    # What was found is kept, and can be written again without asking.
    (tmp_path / "benchmarks.md").unlink()
    assert main(["--draw", "--to", str(tmp_path)]) == 0
    assert (tmp_path / "benchmarks.md").read_text(encoding="utf-8") == written


def row(value: float, bar: float | None, *, noise: float = 0.0, at_least: bool = False) -> Row:
    return Row("what", "who", value, "ms", noise, bar, at_least)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (row(9.0, None), ""),
        (row(1.0, 1.0), "pass"),
        (row(1.01, 1.0), "near"),
        (row(1.2, 1.0), "miss"),
        (row(1.2, 1.0, noise=0.3), "near"),
        (row(0.95, 0.9, at_least=True), "pass"),
        (row(0.85, 0.9, at_least=True), "miss"),
        (row(0.85, 0.9, at_least=True, noise=0.06), "near"),
    ],
)
def test_a_bar_is_met_or_nearly_or_missed(found: Row, verdict: str) -> None:
    assert found.verdict == verdict


def test_figures_are_shown_with_their_noise_and_their_bar() -> None:
    assert table([row(0.3456, 0.35, noise=0.01)]).splitlines()[-1] == (
        "| what | who | 0.346 ± 0.01 ms | ≤ 0.35 | pass |  |"
    )
    assert [shown(value) for value in (0, 12345.6, 12.34, 1.234)] == ["0", "12,346", "12.3", "1.23"]
    assert middle([1.0, 2.0, 3.0, 4.0, 5.0]) == (3.0, 1.0)
    assert middle([1.0]) == (1.0, 0.0)


def test_windows_are_reckoned_as_the_server_does() -> None:
    # What arrives refused after a window's end still belongs to it: only a counted call opens one.
    seen = [(0.0, False), (0.1, False), (2.9, True), (3.1, True), (3.2, False), (6.1, False)]
    assert windows(seen, 3.0) == [(0.0, 2, 2), (3.2, 2, 0)]
    assert spread([1.0, 2.0, 30.0], 16) == [1.0, 17.0, 33.0]

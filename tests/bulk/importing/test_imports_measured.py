"""A smaller run of `benchmarks/imports.py`, which imports 50,000 rows when it is run by hand."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from benchmarks.imports import growth, main, measure


def test_an_import_uses_the_whole_budget_and_draws_no_429(tmp_path: Path) -> None:
    (new,) = asyncio.run(measure(1_500, journal=tmp_path / "rows.journal"))
    # One request binds the journal to the account, one reads the leads, one the stages.
    assert (new.summary.created, new.summary.requests, new.refused) == (1_500, 1_503, 0)
    assert 0.99 <= new.share <= 1.001


def test_with_nine_rows_in_ten_unchanged_at_most_12_percent_of_the_requests_are_sent() -> None:
    _, changed = asyncio.run(measure(800, again=True))
    said = changed.summary
    assert (said.updated, said.unchanged, changed.refused) == (80, 720, 0)
    assert said.requests <= 0.12 * 800


def test_the_memory_of_an_import_does_not_grow_with_its_rows() -> None:
    # 30 MB are allowed for 50,000 rows; what any import takes must leave room for that.
    assert asyncio.run(growth(200)) < 5.0


def test_the_program_prints_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--rows", "130", "--memory"])
    said = capsys.readouterr().out
    assert "| of new leads | 130 | 0 | 0 | 132 | 0 | " in said
    assert "| a tenth changed | 0 | 13 | 117 | 14 | 0 | " in said
    assert "The client's memory grew by " in said

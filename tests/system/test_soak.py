"""The committed soak: it runs, and it sees what must not be."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.soak import BEGUN, DONE, EMAIL, LEFT, NOT_DONE, UNKNOWN, Journal, Run, judge

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "soak.py"
ENOUGH = 600.0


def run_of(*writes: tuple[int, int], reported: tuple[int, ...] = ()) -> Run:
    """A run in which each write became known as the first, and was done as often as the second."""
    journal = Journal(begun=9, ended=9, written=len(writes))
    emails: list[str | None] = [None, "someone@else.example"]
    for number, (state, times) in enumerate(writes):
        journal.writes[number] = state
        journal.reported[number] = number in reported
        emails += [EMAIL.format(number)] * times
    memory = [(float(second), 50.0) for second in range(600)]
    return Run(ENOUGH, journal, emails, 7, 0, [], memory)


def failing(run: Run) -> list[str]:
    return [f"{finding.what}: {finding.how}" for finding in judge(run) if not finding.holds]


def test_it_runs_for_as_long_as_asked_and_all_holds() -> None:
    done = subprocess.run(
        [sys.executable, PROGRAM, "--seconds", "2", "--seed", "3"],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].endswith("2 s, seed 3")
    assert [line.partition(":")[0] for line in lines[2:]] == [
        "holds  every call ends as documented",
        "holds  every write once, or called unknown",
        "holds  no 429 of our own",
        "holds  nothing is left",
        "holds  memory is flat",
    ]


def test_writes_that_are_known_for_what_they_are_hold() -> None:
    known = [(DONE, 1), (NOT_DONE, 0), (UNKNOWN, 0), (UNKNOWN, 1), (LEFT, 0), (LEFT, 1)]
    assert failing(run_of(*known, reported=(5,))) == []


@pytest.mark.parametrize(
    ("write", "complaint"),
    [
        ((DONE, 2), "1 done 2 times"),
        ((UNKNOWN, 2), "1 done 2 times"),
        ((DONE, 0), "1 lost"),
        ((NOT_DONE, 1), "1 called refused, and done all the same"),
        ((LEFT, 1), "1 cancelled, done, and not reported"),
        ((BEGUN, 0), "1 never ended"),
    ],
)
def test_a_write_that_is_not_is_seen(write: tuple[int, int], complaint: str) -> None:
    assert failing(run_of((DONE, 1), write)) == [
        f"every write once, or called unknown: {complaint}"
    ]


def test_a_call_that_never_ends_or_ends_oddly_is_seen() -> None:
    run = run_of((DONE, 1))
    run.journal.begun += 1
    assert len(failing(run)) == 1
    run.journal.ended += 1
    run.journal.oddities["KeyError: 'id'"] += 1
    assert len(failing(run)) == 1


def test_what_is_overdrawn_or_left_is_seen() -> None:
    run = run_of((DONE, 1))
    assert failing(replace(run, overdrawn=1)) == [
        "no 429 of our own: 1 (and 6 that the sandbox made up)"
    ]
    assert failing(replace(run, left=["1 slots in flight"])) == [
        "nothing is left: 1 slots in flight"
    ]


@pytest.mark.parametrize("last", [56.0, 44.0])
def test_memory_that_grows_or_falls_is_seen(last: float) -> None:
    run = run_of((DONE, 1))
    warming_up = [(float(second), 30.0 + second / 3) for second in range(60)]
    steady = [*warming_up, *run.memory[60:]]
    assert failing(replace(run, memory=steady)) == []
    (complaint,) = failing(replace(run, memory=[*steady, (599.5, last)]))
    assert complaint.startswith("memory is flat: 50.0 MB after 60 s, then ")

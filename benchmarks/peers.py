"""Puts other clients beside this one, on the same loopback server and the same work.

    python -m benchmarks.peers [--quick]

Each is set up as its own documentation recommends (`contestants.py`), and works in processes of
its own. Asked is what a call costs (CPU, by the number of callers), what becomes of 300 calls at a
limit of 60 in 3 seconds that 1, 2 and 4 processes share (calls lost, 429s drawn, makespan), what a
stream of 100,000 leads costs and how much memory it takes, and which leads a walk through the
pages misses while others are being deleted.

The limit is a fixed window, opened by the first call counted; an answer takes 10 to 60 ms. A call
is lost when its caller gets an error instead of a lead.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from benchmarks.contestants import (
    ALL,
    AioMeter,
    ByHandDivided,
    Contestant,
    Ours,
    OursOverAiohttp,
    usable,
)
from benchmarks.harness import Report, Row, middle, program
from benchmarks.peers_at_work import Limited, at_the_limit, costs, missed, streamed

SIZES = {1: 100, 20: 100, 100: 200, 500: 500}
ROUNDS = 3
CALLS, WINDOW, LIMIT = 300, 3.0, 60
PROCESSES = (1, 2, 4)
LEADS = 100_000
DISTRIBUTIONS = (
    "aiolimiter",
    "tenacity",
    "aioamocrm",
    "aiometer",
    "GitHubKit",
    "hishel",
    "openai",
    "httpx2",
    "dlt",
    "pydantic",
    "httpx-aiohttp",
    "aiohttp",
)


def but(*left_out: type[Contestant]) -> list[str]:
    """Those that can be measured here, without some for which a question makes no sense."""
    return [name for name in usable() if ALL[name] not in left_out]


def cost_rows(found: dict[str, dict[int, list[float]]]) -> Iterable[Row]:
    """What a call costs."""
    for name, by_callers in found.items():
        for number, took in by_callers.items():
            spent, noise = middle([each * 1e3 for each in took])
            who = f"{name}, {number} caller{'s' * (number > 1)}"
            yield Row("CPU a call, side by side", who, spent, "ms", noise)


def limit_rows(runs: list[Limited], window: float) -> Iterable[Row]:
    """What became of the calls at the limit."""
    for run in sorted(runs, key=lambda run: run.processes):
        who = f"{run.name}, {run.processes} process{'es' * (run.processes > 1)}"
        beside = f"{run.refused} 429s, {run.lost} calls lost; {ALL[run.name].ABOUT}"
        question = f"{run.calls} calls at a limit of {LIMIT} in {window:g} s: makespan"
        yield Row(question, who, run.seconds, "s", beside=beside)


def ask(quick: bool) -> Report:
    """Ask all of them everything that makes sense."""
    names = [Ours.NAME] if quick else usable()
    sizes, rounds = ({1: 10}, 1) if quick else (SIZES, ROUNDS)
    # One share is all there is when there is one process, and cost knows no limits.
    cost = costs([name for name in but(ByHandDivided) if name in names], sizes, rounds)
    rows = list(cost_rows(cost))
    calls, window = (70, 0.5) if quick else (CALLS, WINDOW)
    waiting = [name for name in but(OursOverAiohttp) if name in names]
    runs = at_the_limit(waiting, (1,) if quick else PROCESSES, calls, LIMIT, window)
    rows += limit_rows(runs, window)
    walkers = [name for name in but(ByHandDivided, AioMeter) if name in names]
    for name in walkers:
        leads = 1_000 if quick else LEADS
        per_lead, grown = streamed(name, leads)
        beside = f"{per_lead * 1e6:.1f} µs of CPU a lead"
        rows.append(Row(f"memory of a stream of {leads:,} leads", name, grown, "MB", beside=beside))
    question = "leads missed by a walk while 10 others are deleted"
    rows += [Row(question, who, lost, "") for name in walkers for who, lost in missed(name)]
    series = {
        "calls": {
            name: {n: middle(took)[0] for n, took in by.items()} for name, by in cost.items()
        },
        "limit": [run.series() for run in runs],
    }
    return Report(rows, series)


if __name__ == "__main__":
    sys.exit(program(__doc__, ask, *DISTRIBUTIONS))

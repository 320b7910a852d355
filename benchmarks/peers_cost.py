"""Asks what a call costs with other clients, by the number of callers.

    python -m benchmarks.peers_cost [--quick]

Each is set up as its own documentation recommends (`contestants.py`), works in a process of its
own, and they take turns. The server has no limit here, and no limiter has to wait. One caller is
answered at once, several after 20 ms. Cost is CPU time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from benchmarks.contestants import DISTRIBUTIONS, ByHandDivided, Ours, but
from benchmarks.harness import Report, Row, middle, program
from benchmarks.peers_at_work import costs

SIZES = {1: 60, 20: 60, 100: 100, 500: 500}
ROUNDS = 3


def rows_of(found: dict[str, dict[int, list[float]]]) -> Iterable[Row]:
    """What a call costs."""
    for name, by_callers in found.items():
        for number, took in by_callers.items():
            spent, noise = middle([each * 1e3 for each in took])
            who = f"{name}, {number} caller{'s' * (number > 1)}"
            yield Row("CPU a call, side by side", who, spent, "ms", noise)


def ask(quick: bool) -> Report:
    """Ask all of them; a share of a limit makes no difference where there is none."""
    names = [Ours.NAME] if quick else but(ByHandDivided)
    found = costs(names, *(({1: 10}, 1) if quick else (SIZES, ROUNDS)))
    series = {
        name: {number: middle(took) for number, took in by_callers.items()}
        for name, by_callers in found.items()
    }
    return Report(list(rows_of(found)), {"calls": series})


if __name__ == "__main__":
    sys.exit(program(__doc__, ask, *DISTRIBUTIONS))

"""Asks what becomes of 300 calls at a limit, with other clients and with several processes.

    python -m benchmarks.peers_limit [--quick]

Each is set up as its own documentation recommends (`contestants.py`). 1, 2 and 4 processes make
300 calls between them, all at once, on one key. The server lets 60 through in a fixed window of
3 seconds, which the first call counted opens, and takes 10 to 60 ms. A call is lost when its caller
gets an error instead of a lead. The makespan is from the first call to the end of the last.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from benchmarks.contestants import ALL, DISTRIBUTIONS, Ours, OursOverAiohttp, but
from benchmarks.harness import Report, Row, program
from benchmarks.peers_at_work import Limited, at_the_limit

CALLS, WINDOW, LIMIT = 300, 3.0, 60
PROCESSES = (1, 2, 4)


def rows_of(runs: list[Limited], window: float) -> Iterable[Row]:
    """What became of the calls."""
    for run in runs:
        question = f"{run.calls} calls at a limit of {LIMIT} in {window:g} s: makespan"
        who = f"{run.name}, {run.processes} process{'es' * (run.processes > 1)}"
        beside = f"{run.refused} 429s, {run.lost} calls lost; {ALL[run.name].ABOUT}"
        yield Row(question, who, run.seconds, "s", beside=beside)


def ask(quick: bool) -> Report:
    """Ask all of them; the transport makes no difference to who mostly waits."""
    names = [Ours.NAME] if quick else but(OursOverAiohttp)
    calls, window, processes = (70, 0.5, (1,)) if quick else (CALLS, WINDOW, PROCESSES)
    runs = at_the_limit(names, processes, calls, LIMIT, window)
    return Report(list(rows_of(runs, window)), {"limit": [run.series() for run in runs]})


if __name__ == "__main__":
    sys.exit(program(__doc__, ask, *DISTRIBUTIONS))

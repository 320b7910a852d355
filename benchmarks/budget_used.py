"""Asks how much of a budget is used, and how many calls are refused, over 10,000 calls.

    python -m benchmarks.budget_used [--quick]

In virtual time, against servers that count in three ways; `simulation.py` tells how, and has
more of it. The bound is 60 calls in W + guard + mean latency: who knows only when calls were sent
and answered can safely be no faster.
"""

from __future__ import annotations

import sys

from benchmarks.harness import Report, Row, program
from benchmarks.simulation import simulate

SERVERS = ("fixed window, milliseconds", "aligned windows", "sliding log")
LATENCIES = ("10-500 ms", "with a 5 s tail", "adversarial, 5 s tail")
BAR = 99.7


def ask(quick: bool) -> Report:
    """Simulate, and hold it against the bar."""
    calls = 600 if quick else 10_000
    rows = []
    for latency in LATENCIES[:1] if quick else LATENCIES:
        runs = [simulate(calls, server, latency) for server in SERVERS]
        refused = sum(run.refused for run in runs)
        worst = min(run.of_the_bound for run in runs)
        ideal = min(run.of_the_ideal for run in runs)
        beside = f"{calls:,} calls, three kinds of window; {ideal:.2%} of a client without latency"
        rows += [
            Row("429s in a full budget", latency, refused, "", bar=0, beside=beside),
            Row("share of the bound", latency, worst * 100, "%", bar=BAR, at_least=True),
        ]
    return Report(rows)


if __name__ == "__main__":
    sys.exit(program(__doc__, ask))

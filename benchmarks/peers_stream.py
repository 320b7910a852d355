"""Asks how other clients stream a list: memory, cost, and the leads they miss.

    python -m benchmarks.peers_stream [--quick]

Each is set up as its own documentation recommends (`contestants.py`), and pages of 200. 100,000
leads are streamed in a process of its own, whose growth after the second page is its memory. Then
4,000 leads are walked through while ten that were seen already are deleted, one after each of the
pages from the second on: every one shifts those that follow. Missed is what was there all along.
"""

from __future__ import annotations

import sys

from benchmarks.contestants import DISTRIBUTIONS, AioMeter, ByHandDivided, Ours, but
from benchmarks.harness import Report, Row, program
from benchmarks.peers_at_work import missed, streamed

LEADS, DELETED = 100_000, 10


def ask(quick: bool) -> Report:
    """Ask all of them but the scheduler, which knows no pages."""
    names = [Ours.NAME] if quick else but(ByHandDivided, AioMeter)
    leads = 1_000 if quick else LEADS
    rows = []
    for name in names:
        per_lead, grown = streamed(name, leads)
        beside = f"{per_lead * 1e6:.1f} µs of CPU a lead"
        rows.append(Row(f"memory of a stream of {leads:,} leads", name, grown, "MB", beside=beside))
    question = f"leads missed by a walk while {DELETED} others are deleted"
    rows += [
        Row(question, way, lost, "")
        for name in names
        for way, lost in missed(name, deleted=DELETED)
    ]
    return Report(rows)


if __name__ == "__main__":
    sys.exit(program(__doc__, ask, *DISTRIBUTIONS))

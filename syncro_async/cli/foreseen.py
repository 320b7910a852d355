"""Tells how long a job would take."""

from __future__ import annotations

import sys

from syncro_async import Plan
from syncro_async.cli.endings import DONE


def tell_plan(plan: Plan, bound: str = "") -> int:
    """Print the plan; `bound` says what kind of a number that of its requests is."""
    sys.stdout.write(
        f"{plan.requests} requests{bound}, {duration(plan.seconds)},"
        f" done at {plan.finishes_at.astimezone():%Y-%m-%d %H:%M}\n"
    )
    return DONE


def duration(seconds: float) -> str:
    """`1 h 1 min 34 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest, "s"))
    return " ".join(f"{value} {unit}" for value, unit in parts if value) or "0 s"

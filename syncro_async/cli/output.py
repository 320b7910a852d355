"""Prints plans, progress and logs of the command."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from syncro_async import OnProgress, Plan, ProgressBar
from syncro_async.cli.exits import DONE


@contextmanager
def show_progress() -> Iterator[OnProgress]:
    """Yield the `on_progress` of a job: it draws one line on stderr."""
    yield ProgressBar(sys.stderr)


@contextmanager
def configure_logging(*, debug: bool) -> Iterator[None]:
    """While the block runs the client's log goes to stderr (`debug`) or to nobody.

    Without a handler logging prints warnings by itself, and Ctrl-C would end in one for every
    request that was on its way.
    """
    logger = logging.getLogger("syncro_async")
    handler = logging.StreamHandler() if debug else logging.NullHandler()
    level = logger.level
    logger.addHandler(handler)
    if debug:
        logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


def print_plan(plan: Plan, bound: str = "") -> int:
    """Print the plan; `bound` says what kind of a number that of its requests is."""
    sys.stdout.write(
        f"{counted(plan.requests, 'request')}{bound}, {duration(plan.seconds)},"
        f" done at {plan.finishes_at.astimezone():%Y-%m-%d %H:%M}\n"
    )
    return DONE


def counted(number: int, noun: str) -> str:
    """Return the number and the noun, in the plural unless the number is 1: `"1 lead"`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """`1 h 1 min 34 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest, "s"))
    return " ".join(f"{value} {unit}" for value, unit in parts if value) or "0 s"

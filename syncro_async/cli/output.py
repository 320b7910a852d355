"""Prints plans, progress and logs of the command."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import msgspec

from syncro_async import AsyncClient, Budget, OnProgress, Plan, ProgressBar, SystemClock
from syncro_async.cli.exits import DONE

# A wait that is shorter needs no line in a log (s).
_WORTH_A_LINE = 5.0
_bar: ContextVar[ProgressBar | None] = ContextVar("_bar", default=None)


@contextmanager
def show_progress() -> Iterator[OnProgress]:
    """Yield the `on_progress` of a job: it draws one line on stderr."""
    bar = ProgressBar(sys.stderr)
    token = _bar.set(bar)
    try:
        yield bar
    finally:
        _bar.reset(token)


@asynccontextmanager
async def show_waits(client: AsyncClient, *, every: float = 1.0) -> AsyncIterator[None]:
    """While the block runs, print on stderr for what the client waits, and how long.

    `every`: the time between two looks at the budget (s).
    """
    bar = _bar.get() or ProgressBar(sys.stderr)
    task = asyncio.create_task(_show_waits(client, bar, every))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _show_waits(client: AsyncClient, bar: ProgressBar, every: float) -> None:
    clock, said = SystemClock(), False
    while True:
        await clock.sleep(every)
        wait = wait_of(client.budget())
        if wait is None:
            said = False
        elif bar.redraws or not (said or wait.seconds < _WORTH_A_LINE):
            said = True
            bar.note(f"waiting {wait.seconds:.0f} s: {wait.reason}")


class Wait(NamedTuple):
    """The reason for a wait, and the seconds until it ends."""

    reason: str
    seconds: float


def wait_of(budget: Budget) -> Wait | None:
    """The wait that the budget shows; None when no call waits."""
    if budget.gate_closed_for > 0:
        return Wait("the server answered 429", budget.gate_closed_for)
    if not budget.waiting:
        return None
    if not budget.available:
        calls = f"all {budget.limit} calls in {budget.window:g} s are used"
        return Wait(calls, budget.next_free_in)
    return Wait("interactive calls go first", budget.window / budget.limit)


@contextmanager
def configure_logging(*, debug: bool) -> Iterator[None]:
    """While the block runs, the client's log goes to stderr (`debug`) or is dropped.

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


def print_json(result: object) -> None:
    """Print a result as one line of JSON in ASCII, which every encoding can write."""
    sys.stdout.write(f"{json.dumps(msgspec.to_builtins(result))}\n")


def print_plan(plan: Plan, bound: str = "", *, as_json: bool = False) -> int:
    """Print the plan; `bound` says what kind of a number that of its requests is."""
    if as_json:
        print_json(plan)
        return DONE
    sys.stdout.write(
        f"{counted(plan.requests, 'request')}{bound}, {duration(plan.seconds)},"
        f" done at {plan.finishes_at.astimezone():%Y-%m-%d %H:%M}\n"
    )
    return DONE


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return the number and the noun, in the plural unless the number is 1: `"1 lead"`.

    `plural`: the plural of the noun where it does not end in `s` alone.
    """
    return f"{number} {noun}" if number == 1 else f"{number} {plural or f'{noun}s'}"


def duration(seconds: float) -> str:
    """`1 h 1 min 34 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest, "s"))
    return " ".join(f"{value} {unit}" for value, unit in parts if value) or "0 s"

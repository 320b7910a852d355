"""Prints plans, progress and logs of the command."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich import progress as rich_progress
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn
from rich.text import Text

from syncro_async import OnProgress, Plan, Progress, ProgressBar
from syncro_async.cli.exits import DONE


class TimeLeft(ProgressColumn):
    """Counts down to the moment the task's field `ends_at` names, on the bar's clock."""

    def render(self, task: Task) -> Text:
        """`0:01:23 left`, or blank before anything is known."""
        ends_at = task.fields["ends_at"]
        if task.finished or ends_at is None:
            return Text("")
        left = max(0, math.ceil(ends_at - task.get_time()))
        return Text(f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02} left", style="cyan")


@dataclass(frozen=True, slots=True)
class Bar:
    """A progress bar over the items of a list."""

    progress: rich_progress.Progress
    task: Any

    def advance(self, *, done: int, total: int | None, left: float) -> None:
        """Say that `done` items of `total` are there; the rest needs about `left` seconds."""
        ends_at = self.progress.get_time() + left
        self.progress.update(self.task, completed=done, total=total, ends_at=ends_at)


@contextmanager
def bar(
    *,
    console: Console | None = None,
    now: Callable[[], float] | None = None,
) -> Iterator[Bar]:
    """A bar on stderr while the block runs."""
    progress = rich_progress.Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeLeft(),
        console=console or Console(file=sys.stderr),
        get_time=now,
        refresh_per_second=4,
    )
    with progress:
        yield Bar(progress, progress.add_task("", total=None, ends_at=None))


@contextmanager
def show_progress() -> Iterator[OnProgress]:
    """What is to be told of the job's progress while the block runs."""
    if not sys.stderr.isatty():
        yield ProgressBar(sys.stderr)
        return
    with bar() as shown:
        phase = ""

        def tell(progress: Progress) -> None:
            nonlocal phase
            if progress.phase != phase:
                phase = progress.phase
                shown.progress.reset(shown.task, description=phase)
            left = progress.seconds_left or 0.0
            shown.advance(done=progress.done, total=progress.total, left=left)

        yield tell


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

"""Draws how far a job is, on stderr, and when it will end."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text


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

    progress: Progress
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
    progress = Progress(
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

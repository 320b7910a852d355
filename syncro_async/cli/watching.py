"""Shows a bulk job's progress: a bar in a terminal, elsewhere one line a minute."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from syncro_async import Progress
from syncro_async.cli.endings import say
from syncro_async.cli.progress import Bar, bar

_EVERY = 60.0


@contextmanager
def watched(what: str, *, shown: bool) -> Iterator[Callable[[Progress], None]]:
    """What to tell the progress to, while the block runs; `shown`: there is a terminal."""
    with bar(what, shown=shown) as it:
        yield _on_the_bar(what, it) if shown else _in_lines(what)


def _on_the_bar(what: str, it: Bar) -> Callable[[Progress], None]:
    phase = ""

    def tell(progress: Progress) -> None:
        nonlocal phase
        if progress.phase != phase:
            phase = progress.phase
            it.progress.reset(it.task, description=f"{phase} {what}")
        left = progress.seconds_left or 0.0
        it.advance(done=progress.done, total=progress.total, left=left)

    return tell


def _in_lines(what: str) -> Callable[[Progress], None]:
    due = _EVERY

    def tell(progress: Progress) -> None:
        nonlocal due
        if progress.seconds < due:
            return
        due = progress.seconds + _EVERY
        of = "" if progress.total is None else f" of {progress.total}"
        left = progress.seconds_left
        more = "" if left is None else f", about {_minutes(left)} to go"
        say(
            f"syncro: {progress.phase} {what}: {progress.done}{of},"
            f" {progress.requests} requests so far{more}"
        )

    return tell


def _minutes(seconds: float) -> str:
    return f"{max(1, round(seconds / 60))} min"

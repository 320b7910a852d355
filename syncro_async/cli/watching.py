"""Shows how far a job is: a bar in a terminal, a line a minute anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from syncro_async import OnProgress, Progress, ProgressBar
from syncro_async.cli.progress import bar


@contextmanager
def watching() -> Iterator[OnProgress]:
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

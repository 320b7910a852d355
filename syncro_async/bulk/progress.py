"""Draws a job's progress as one line of text, in a notebook, a terminal or a log."""

from __future__ import annotations

import html
import logging
import sys
from collections.abc import Callable
from typing import Any, TextIO

from syncro_async.bulk.estimates import seconds_for
from syncro_async.bulk.job import Job
from syncro_async.models import base

logger = logging.getLogger("syncro_async")


class Progress(base.Model, frozen=True):
    """How far a job is: a snapshot.

    `job` is `"import"`, `"export"`, `"sync"` or `"map"`, `phase` what it does now. `done` items of
    `total` (None: not known) are through. `requests` were sent and `seconds` have passed since the
    job began; `rate` is items a second in this phase so far. `seconds_left`, until the phase is
    over (in the first reading of an export or a sync: until the second is, too), comes from the
    budget and the lane as they are now; None where the total is not known.
    """

    job: str
    phase: str
    done: int
    total: int | None
    requests: int
    seconds: float
    rate: float
    seconds_left: float | None


OnProgress = Callable[[Progress], object]


class ProgressReporter:
    """Counts the items of a job and reports them; what a listener raises is logged."""

    def __init__(self, job: Job, name: str, on_progress: OnProgress | None) -> None:
        self._job = job
        self._name = name
        self._listener = on_progress
        self._clock = job.context.clock
        self._began = self._clock.monotonic()
        self.phase("", None)

    @property
    def seconds(self) -> float:
        """How long the job has been going on."""
        return self._clock.monotonic() - self._began

    @property
    def wall(self) -> float:
        """The present time by this machine's clock (unix time, s)."""
        return self._clock.wall()

    def phase(self, phase: str, total: int | None, done: int = 0) -> None:
        """Begin a phase of `total` items, of which `done` were through before."""
        self._phase, self._total = phase, total
        self._done = self._done_before = done
        self._phase_began = self._clock.monotonic()

    def advance(
        self, items: int = 1, *, total: int | None = None, requests_left: int | None = None
    ) -> None:
        """So many more items are through; a `total` learned meanwhile takes the place of the first.

        `requests_left` is what the rest of the phase needs: one for each item by default.
        """
        self.reach(self._done + items, total=total, requests_left=requests_left)

    def reach(
        self, done: int, *, total: int | None = None, requests_left: int | None = None
    ) -> None:
        """The phase has come so far; else as `advance`."""
        self._done = done
        if total is not None:
            self._total = total
        if self._listener is None:
            return
        try:
            self._listener(self._facts(requests_left))
        except Exception:
            logger.exception("the progress of the %s could not be reported", self._name)

    def _facts(self, requests_left: int | None) -> Progress:
        elapsed = self._clock.monotonic() - self._phase_began
        if requests_left is None and self._total is not None:
            requests_left = max(0, self._total - self._done)
        return Progress(
            job=self._name,
            phase=self._phase,
            done=self._done,
            total=self._total,
            requests=self._job.stats.sent,
            seconds=self.seconds,
            rate=(self._done - self._done_before) / elapsed if elapsed > 0 else 0.0,
            seconds_left=None if requests_left is None else self._seconds_for(requests_left),
        )

    def _seconds_for(self, requests: int) -> float:
        ground = self._job.context
        budget = ground.budget()
        # The job's own calls wait in the queue too: they are among those that are still to be sent.
        ahead = budget.waiting - budget.waiting_bulk if ground.lane == "bulk" else 0
        return seconds_for(requests, ground.rates, ground.latency, budget, ahead=ahead)


_WIDTH = 20
_PARTS = " ▏▎▍▌▋▊▉█"
# How often a log gets a line (s).
_MINUTE = 60.0
# How often the display of a notebook is updated (s).
_REDRAW_EVERY = 0.2


class ProgressBar:
    """For `on_progress`: `sending:  38%|███████▌            | 190/500 [03:10<05:10, 1.0/s]`.

    In a notebook it is one display that is updated, and in a terminal one line that is drawn anew.
    Anywhere else, in the log of a cron job say, there is a line a minute, and one at the end of
    each phase.

    `stream`: the stream to write to; the default is the notebook's display, or stderr.

        summary = await syncro.bulk.upsert_leads("leads.csv", on_progress=ProgressBar())

    - `stream`: where the line is written (None: standard error).
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        in_notebook = type(self._stream).__module__.startswith("ipyk")
        self._display = _Display() if in_notebook and stream is None else None
        self.redraws = in_notebook or self._stream.isatty()
        self._phase = ""
        self._line = ""
        self._reported_at = float("-inf")
        self._ended: tuple[str, str, int] | None = None
        self._width = 0

    def __call__(self, progress: Progress) -> None:
        """Draw it."""
        line, over = line_of(progress), progress.done == progress.total
        if self._display is not None:
            self._line = line
            if over or abs(progress.seconds - self._reported_at) >= _REDRAW_EVERY:
                self._reported_at = progress.seconds
                self._display.show(line)
        elif self.redraws:
            self._redraw(progress.phase, line, over=over)
        elif over or progress.seconds - self._reported_at >= _MINUTE:
            self._reported_at = progress.seconds
            self._log(progress, line, over=over)
        self._stream.flush()

    def _log(self, progress: Progress, line: str, *, over: bool) -> None:
        # A phase may report its end more than once.
        ended = (progress.job, progress.phase, progress.done) if over else None
        if ended is None or ended != self._ended:
            self._stream.write(f"{progress.job} {line}\n")
        self._ended = ended

    def _redraw(self, phase: str, line: str, *, over: bool) -> None:
        if self._phase not in {"", phase}:
            self._stream.write("\n")
            self._width = 0
        self._draw(line)
        self._phase, self._line = phase, line
        if over:
            self._stream.write("\n")
            self._phase, self._line, self._width = "", "", 0

    def note(self, text: str) -> None:
        """Show a `text` after the line until the next progress; in a log it is a line."""
        line = f"{self._line} {text}".lstrip()
        if self._display is not None:
            self._display.show(line)
        elif self.redraws:
            self._draw(line)
        else:
            self._stream.write(f"{text}\n")
        self._stream.flush()

    def _draw(self, line: str) -> None:
        self._stream.write(f"\r{line.ljust(self._width)}")
        self._width = len(line)


class _Display:
    """The display of a notebook: one output, whose text is replaced."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, line: str) -> None:
        from IPython import display  # noqa: PLC0415  # there in a notebook, and only there

        create: Any = display.display
        shown = {"text/plain": line, "text/html": f"<pre>{html.escape(line)}</pre>"}
        if self._handle is None:
            self._handle = create(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)


def line_of(progress: Progress) -> str:
    """The progress in one line."""
    passed = _clock(progress.seconds)
    if progress.total is None:
        return f"{progress.phase}: {progress.done} [{passed}, {progress.rate:.1f}/s]"
    share = progress.done / progress.total if progress.total else 1.0
    left = "?" if progress.seconds_left is None else _clock(progress.seconds_left)
    return (
        f"{progress.phase}: {share:4.0%}|{_drawn(min(1.0, share))}| {progress.done}/"
        f"{progress.total} [{passed}<{left}, {progress.rate:.1f}/s]"
    )


def _drawn(share: float) -> str:
    eighths = int(share * _WIDTH * 8)
    bar = "█" * (eighths // 8) + (_PARTS[eighths % 8] if eighths % 8 else "")
    return bar.ljust(_WIDTH)


def _clock(seconds: float) -> str:
    whole = round(seconds)
    hours = f"{whole // 3600}:" if whole >= 3600 else ""
    return f"{hours}{whole // 60 % 60:02}:{whole % 60:02}"

"""Draws a job's progress as one line of text, in a notebook, a terminal or a log."""

from __future__ import annotations

import sys
from typing import TextIO

from syncro_async.bulk.progress import Progress

_WIDTH = 20
_PARTS = " ▏▎▍▌▋▊▉█"
# How often a log gets a line (s).
_MINUTE = 60.0


class ProgressBar:
    """For `on_progress`: `sending:  38%|███████▌            | 190/500 [03:10<05:10, 1.0/s]`.

    In a terminal and in a notebook the line is drawn anew with every step; anywhere else, in the
    log of a cron job say, there is a line a minute, and one at the end of each phase.

        summary = await syncro.bulk.upsert_leads("leads.csv", on_progress=ProgressBar())
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._redraws = self._stream.isatty() or type(self._stream).__module__.startswith("ipyk")
        self._phase = ""
        self._told_at = float("-inf")
        self._width = 0

    def __call__(self, progress: Progress) -> None:
        """Draw it."""
        line, over = line_of(progress), progress.done == progress.total
        if self._redraws:
            begins_anew = "\n" if self._phase not in {"", progress.phase} else "\r"
            self._stream.write(begins_anew + line.ljust(self._width) + ("\n" if over else ""))
            self._phase = "" if over else progress.phase
            self._width = 0 if over else len(line)
        elif over or progress.seconds - self._told_at >= _MINUTE:
            self._told_at = progress.seconds
            self._stream.write(f"{progress.job} {line}\n")
        self._stream.flush()


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

"""Waiting in tests without sleeping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

_MOST = 100_000
# Without a pause of the interpreter the thread of a journal hardly gets a turn (s).
_PAUSE = 0.000_01


async def until(holds: Callable[[], object]) -> None:
    """Give other tasks their turns until it holds."""
    for _ in range(_MOST):
        if holds():
            return
        _let_threads_run()
        await asyncio.sleep(0)
    raise AssertionError("it never came to hold")


def _let_threads_run() -> None:
    time.sleep(_PAUSE)

"""Ends one attempt when its time is over, on our clock."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import cast

from syncro_async.clock import Clock


class Deadline:
    """Cancels the task that entered it at `over_at` (monotonic), and raises `TimeoutError` for it.

    httpx's own timeouts restart with every byte; this one does not, so a server that drips one
    byte a second is left in time.
    """

    __slots__ = ("_clock", "_expired", "_over_at", "_task", "_timer")

    def __init__(self, clock: Clock, over_at: float) -> None:
        self._clock = clock
        self._over_at = over_at
        self._expired = False

    def __enter__(self) -> None:
        self._task = cast("asyncio.Task[object]", asyncio.current_task())
        self._timer = self._clock.call_at(self._over_at, self._expire)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if self._expired and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise TimeoutError from None

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()

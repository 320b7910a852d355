"""Hands the progress of a job on, the latest only and not too often."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from types import TracebackType
from typing import Self

from syncro_async.bulk.progress import Progress
from syncro_async.clock import Clock

logger = logging.getLogger("syncro_async")

ProgressListener = Callable[[Progress], object | Awaitable[object]]
"""A function, sync or async, that is given the progress of a job."""

# The shortest time between two reports of a job (s): they may go over a network.
INTERVAL = 1.0


class ProgressRelay:
    """Calls a listener, sync or async, with the latest progress, at most once a second.

    What the listener raises is logged: a result store that is out of reach ends no job. `async
    with` starts and ends it; the last progress is reported at the end.
    """

    def __init__(self, listener: ProgressListener | None, clock: Clock) -> None:
        self._listener = listener
        self._clock = clock
        self._latest: Progress | None = None
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ends = False

    def __call__(self, progress: Progress) -> None:
        """Take note of the progress."""
        self._latest = progress
        self._changed.set()

    async def __aenter__(self) -> Self:
        if self._listener is not None:
            self._task = asyncio.create_task(self._relay())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._task is not None:
            # A library that the listener uses may swallow the cancellation.
            self._ends = True
            self._task.cancel()
            await asyncio.wait({self._task})
            if not isinstance(error, asyncio.CancelledError):
                await self._report()

    async def _relay(self) -> None:
        while True:
            await self._changed.wait()
            await self._report()
            self._check_end()
            await self._clock.sleep(INTERVAL)

    def _check_end(self) -> None:
        """Raise the cancellation again that the listener's library has swallowed."""
        if self._ends:
            raise asyncio.CancelledError

    async def _report(self) -> None:
        progress, self._latest = self._latest, None
        self._changed.clear()
        if progress is None or self._listener is None:
            return
        try:
            told = self._listener(progress)
            if isawaitable(told):
                await told
        except Exception:
            logger.exception("the progress of the %s could not be reported", progress.job)

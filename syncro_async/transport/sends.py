"""Owns the sends that are on the wire, so that none is cut in the middle or forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from syncro_async.clock import Clock

T = TypeVar("T")

# How long closing waits for sends whose callers have gone (s); a write's outcome is worth it.
CLOSING_GRACE = 5.0


class Sends:
    """The tasks of one event loop that hold a connection."""

    def __init__(self, clock: Clock, max_connections: int) -> None:
        self._clock = clock
        self._tasks: set[asyncio.Task[Any]] = set()
        # Few requests inside httpx: its work for each grows with the number of connections.
        self.places = asyncio.Semaphore(max_connections)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run it in a task of its own, which its caller's cancellation does not reach."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def aclose(self) -> None:
        """Wait for what is on the wire, for a while; then cancel it, and wait for that."""
        if not self._tasks:
            return
        over = self._clock.call_at(self._clock.monotonic() + CLOSING_GRACE, self._cancel)
        try:
            await asyncio.wait(set(self._tasks))
        finally:
            over.cancel()

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

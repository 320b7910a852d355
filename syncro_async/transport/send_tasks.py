"""Owns the sends that are on the wire, so that none is cut in the middle or forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar, cast

from syncro_async.clock import Clock
from syncro_async.errors import ConfigurationError

T = TypeVar("T")

# How long closing waits for sends whose callers have gone (s); a write's outcome is worth it.
CLOSING_GRACE = 5.0


class SendTasks:
    """The tasks of one event loop that hold a connection."""

    def __init__(self, clock: Clock, max_connections: int) -> None:
        self._clock = clock
        self._tasks: set[asyncio.Task[Any]] = set()
        self._queued: set[asyncio.Task[Any]] = set()
        self._called_away: set[asyncio.Task[Any]] = set()
        # Few requests inside httpx: its work for each grows with the number of connections.
        self.connection_slots = asyncio.Semaphore(max_connections)

    def start(self, work: Coroutine[Any, Any, T], over: asyncio.Future[None]) -> asyncio.Task[T]:
        """Run it in a task of its own, which its caller's cancellation does not reach.

        `over` is done when the task is: the work sees to it with its last step, so that who waits
        goes on in the next turn of the loop; for work that is cancelled before its first, it is
        seen to here.
        """
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, over))
        return task

    def _ended(self, over: asyncio.Future[None], task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved, because a caller that was cancelled does not
        notify(over)

    @contextmanager
    def waiting_for_budget(self) -> Iterator[None]:
        """The running task waits in the queue for budget; closing the client ends this wait.

        Raises `ConfigurationError` in it then: its turn may be a minute away, and nothing could
        be sent any more.
        """
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        cancelled_before = task.cancelling()
        self._queued.add(task)
        try:
            yield
        except asyncio.CancelledError:
            # The caller was cancelled as well, so the cancellation is raised.
            if task in self._called_away and task.uncancel() <= cancelled_before:
                raise ConfigurationError(
                    "the client was closed before the request was sent"
                ) from None
            raise
        finally:
            self._queued.discard(task)

    async def aclose(self) -> None:
        """Wait for what is on the wire, for a while; then cancel it, and wait for that."""
        self._called_away = set(self._queued)
        for task in self._called_away:
            task.cancel()
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


def notify(done: asyncio.Future[None]) -> None:
    """Wake the caller that waits for this attempt."""
    if not done.done():
        done.set_result(None)

"""Ends one attempt when its time is over, on our clock, over any transport."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import Any, TypeVar, cast

from syncro_async.clock import Clock

T = TypeVar("T")

# How long a transport may take to end a request that was cancelled (s).
ENDING_GRACE = 0.25
_MOST_CANCELLATIONS = 5


class Deadline:
    """Cancels the task that entered it at `over_at` (monotonic), and raises `TimeoutError` for it.

    httpx's own timeouts restart with every byte; this one does not, so a server that drips one
    byte a second is left in time. `before` is called just before the cancellation, which is
    repeated while the task goes on: a transport may catch one, or wait while it cleans up.
    """

    __slots__ = ("_before", "_cancellations", "_clock", "_over_at", "_task", "_timer")

    def __init__(
        self, clock: Clock, over_at: float, before: Callable[[], object] | None = None
    ) -> None:
        self._clock = clock
        self._over_at = over_at
        self._before = before
        self._cancellations = 0

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
        if not self._cancellations:
            return
        for _ in range(self._cancellations):
            others = self._task.uncancel()
        if others == 0 and kind is asyncio.CancelledError:
            raise TimeoutError from None

    def _expire(self) -> None:
        if self._before is not None and not self._cancellations:
            self._before()
        self._cancellations += 1
        self._task.cancel()
        if self._cancellations < _MOST_CANCELLATIONS:
            again_at = self._clock.monotonic() + ENDING_GRACE
            self._timer = self._clock.call_at(again_at, self._expire)


class Stragglers:
    """Runs work of a caller's transport, which may not end when it is cancelled.

    A transport may catch a cancellation, or wait for ever while it cleans up. Its work then goes on
    in a task of its own, and nobody waits for that task any more.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left: set[asyncio.Task[Any]] = set()

    async def run(self, work: Coroutine[Any, Any, T], over_at: float) -> T:
        """The result of work that ends itself at `over_at` (monotonic s), by a `Deadline`.

        Raises `TimeoutError` when it has not ended soon after that, and `ConnectionAbortedError`
        when it was cancelled by somebody else than the caller.
        """
        loop = asyncio.get_running_loop()
        task = loop.create_task(work)
        over: asyncio.Future[None] = loop.create_future()
        task.add_done_callback(lambda _: _wake(over))
        timer = self._clock.call_at(over_at + ENDING_GRACE, partial(_wake, over))
        try:
            await over
        except asyncio.CancelledError:
            await self._cancel(task)
            raise
        finally:
            timer.cancel()
        if not task.done():
            self._leave(task)
            raise TimeoutError
        if task.cancelled():
            raise ConnectionAbortedError("the transport cancelled the request")
        return task.result()

    async def _cancel(self, task: asyncio.Task[Any]) -> None:
        """Cancel it, and give it a moment to end."""
        task.cancel()
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task.add_done_callback(lambda _: _wake(over))
        timer = self._clock.call_at(self._clock.monotonic() + ENDING_GRACE, partial(_wake, over))
        try:
            await over
        finally:
            timer.cancel()
            self._leave(task)

    def _leave(self, task: asyncio.Task[Any]) -> None:
        """Let it go on by itself; a loop holds its tasks weakly."""
        self._left.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._left.discard(task)
        # Nobody else asks for its exception, and asyncio would report that.
        _ = task.cancelled() or task.exception()


def _wake(over: asyncio.Future[None]) -> None:
    if not over.done():
        over.set_result(None)

"""Cancels a call at its first suspension, then at its second, and so on to its end."""

from __future__ import annotations

import asyncio
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Literal

Moment = Literal["as it begins to wait", "as its wait ends"]
MOMENTS: tuple[Moment, ...] = ("as it begins to wait", "as its wait ends")

_walk: ContextVar[Walk | None] = ContextVar("walk", default=None)


class Walk:
    """One call: each suspension of its task, and of the tasks it starts, is counted.

    At the one numbered `at` the caller's task is cancelled. The two moments are the ends of a
    wait: before anything can have come of it, and when its outcome is there but not yet heard of.
    """

    def __init__(self, at: int, moment: Moment) -> None:
        self.at = at
        self.moment = moment
        self.suspensions = 0
        self.tasks: list[asyncio.Task[Any]] = []

    async def take(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """Make the call and cancel it; what it ended with, the cancellation among it."""
        token = _walk.set(self)
        try:
            self.caller = asyncio.ensure_future(_of(call))
        finally:
            _walk.reset(token)
        ended = await asyncio.gather(self.caller, return_exceptions=True)
        return ended[0]

    @property
    def arrived(self) -> bool:
        """Whether the call was long enough to be cancelled."""
        return self.suspensions >= self.at

    def suspended(self, wait: asyncio.Future[Any] | None) -> None:
        """A task of the call is about to wait, for that or for its next turn."""
        self.suspensions += 1
        if self.suspensions != self.at:
            return
        if self.moment == "as it begins to wait":
            self.caller.cancel()
        elif wait is None:
            asyncio.get_running_loop().call_soon(self.caller.cancel)
        else:
            # Runs before the task itself hears of it.
            wait.add_done_callback(lambda _: self.caller.cancel())


async def _of(call: Callable[[], Awaitable[Any]]) -> Any:
    return await call()


@types.coroutine
def _watched(work: Coroutine[Any, Any, Any], walk: Walk) -> Generator[Any, Any, Any]:
    """The same coroutine; the walk hears of every suspension."""
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            wait = work.send(value) if error is None else work.throw(error)
        except StopIteration as end:
            return end.value
        value = error = None
        walk.suspended(wait)
        try:
            value = yield wait
        except BaseException as problem:  # noqa: BLE001 - it is the coroutine's to hear
            error = problem


def _start(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
    walk = _walk.get()
    if walk is None:
        return asyncio.Task(work, loop=loop, **options)
    task = asyncio.Task(_counted(work, walk), loop=loop, **options)
    walk.tasks.append(task)
    return task


async def _counted(work: Coroutine[Any, Any, Any], walk: Walk) -> Any:
    return await _watched(work, walk)


@asynccontextmanager
async def walking() -> AsyncIterator[None]:
    """Walks can be taken in this block: the loop counts for those tasks that belong to one."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(_start)
    try:
        yield
    finally:
        loop.set_task_factory(None)

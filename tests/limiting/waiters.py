"""Limiters on a clock moved by hand, calls that wait at them, and event loops in threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.limiting.protocol import Answered, Lane, NotCounted, Slot
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.testing.fake_clock import FakeClock

T = TypeVar("T")

HOUR = 3600.0


def still_clock() -> FakeClock:
    """A clock that only moves when it is told to."""
    return FakeClock(start=1000.0, autojump=False)


class Line:
    """Calls that wait for one limiter; `let_go` are those it let go, with the moment."""

    def __init__(self, clock: FakeClock, *rates: RateLimit) -> None:
        self.clock = clock
        self.limiter = InProcessLimiter(rates, clock)
        self.let_go: list[tuple[str, float]] = []
        self.slots: dict[str, Slot] = {}
        self.tasks: dict[str, asyncio.Task[Slot]] = {}

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.let_go]

    async def call(self, *names: str, lane: Lane = "interactive", requeued: bool = False) -> None:
        """Let these calls queue up, in this order, and see how far they come."""
        for name in names:
            self.tasks[name] = asyncio.create_task(self._wait(name, lane, requeued=requeued))
        await self.clock.advance(0)

    async def _wait(self, name: str, lane: Lane, *, requeued: bool) -> Slot:
        slot = await self.limiter.acquire(lane, requeued=requeued)
        self.slots[name] = slot
        self.let_go.append((name, self.clock.monotonic()))
        return slot

    async def answer(self, *names: str) -> None:
        """Their answers come now."""
        for name in names:
            await self.limiter.release(self.slots[name], Answered(self.clock.monotonic()))
        await self.clock.advance(0)

    async def hand_back(self, *names: str) -> None:
        """They are answered in a way that does not count."""
        for name in names:
            await self.limiter.release(self.slots[name], NotCounted())
        await self.clock.advance(0)

    async def cancel(self, *names: str) -> None:
        """Whoever made these calls leaves."""
        for name in names:
            self.tasks[name].cancel()
        await asyncio.gather(*(self.tasks[name] for name in names), return_exceptions=True)
        await self.clock.advance(0)


async def within_virtual_days(clock: FakeClock, work: Awaitable[T], days: float = 10.0) -> T:
    """The work's result; fails, instead of hanging, when virtual time passes and nothing ends."""
    working = asyncio.ensure_future(work)
    late = asyncio.ensure_future(clock.sleep(days * 24 * HOUR))
    await asyncio.wait([working, late], return_when=asyncio.FIRST_COMPLETED)
    assert working.done(), "stuck: nobody will ever be woken"
    late.cancel()
    await asyncio.gather(late, return_exceptions=True)
    return working.result()


class SharedClock:
    """A clock for the event loops of several threads; `advance` rings in each of them."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._timers: list[SharedTimer] = []

    def monotonic(self) -> float:
        return self._now

    def wall(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError

    def call_at(self, when: float, callback: Callable[[], object]) -> SharedTimer:
        timer = SharedTimer(when, asyncio.get_running_loop(), callback)
        self._timers.append(timer)
        self.advance(0)
        return timer

    def advance(self, seconds: float) -> None:
        self._now += seconds
        due = [timer for timer in self._timers if timer.when <= self._now]
        self._timers = [timer for timer in self._timers if timer not in due]
        for timer in due:
            if not timer.loop.is_closed():
                timer.loop.call_soon_threadsafe(timer.run)


class SharedTimer:
    """A callback that is still to come."""

    def __init__(
        self, when: float, loop: asyncio.AbstractEventLoop, callback: Callable[[], object]
    ) -> None:
        self.when = when
        self.loop = loop
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None

    def run(self) -> None:
        if self.callback is not None:
            self.callback()


class LoopThread:
    """An event loop that runs in a thread of its own."""

    def __enter__(self) -> Self:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin something there, and come back once it waits for the first time."""
        started = asyncio.run_coroutine_threadsafe(work, self.loop)
        self.catch_up()
        return started

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something there to its end."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=10)

    def catch_up(self) -> None:
        """Come back once everything has run there that was due."""
        self.run(_a_few_turns())


async def _a_few_turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)

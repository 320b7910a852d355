"""A clock that stops while any task works, then jumps to the next timer."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast
from weakref import WeakKeyDictionary

from syncro_async._internal.checks import is_number
from syncro_async._internal.plain_text import shown
from syncro_async.clock import SystemClock
from syncro_async.errors import InvalidArgumentError

# An idle loop still owes one poll of its sockets before nothing can be said to be under way.
_QUIET_TURNS = 3
# How many clocks take their turn in a loop: their callbacks are not work that they wait for.
_turning: WeakKeyDictionary[asyncio.AbstractEventLoop, int] = WeakKeyDictionary()


def _finite(name: str, value: float) -> float:
    """The same number; NaN or a text would stop the clock in the middle of a test."""
    if not (is_number(value) and math.isfinite(value)):
        raise InvalidArgumentError(
            f"{name}={shown(value)} must be a finite number of seconds", argument=name
        )
    return value


class FakeTimer:
    """A callback waiting for its moment on a `FakeClock`; it ends with its event loop."""

    __slots__ = ("_callback", "_loop")

    def __init__(
        self, callback: Callable[[], object], loop: asyncio.AbstractEventLoop | None
    ) -> None:
        self._callback: Callable[[], object] | None = callback
        self._loop = loop

    @property
    def callback(self) -> Callable[[], object] | None:
        """What is to be called; None once cancelled, or when the loop has been closed."""
        return None if self._loop is not None and self._loop.is_closed() else self._callback

    def cancel(self) -> None:
        """Make sure the callback does not run."""
        self._callback = None


class FakeClock:
    """Virtual time for tests: an hour of waiting passes in the time its callbacks take.

    With `autojump` (the default) time moves by itself, to the next timer, whenever every task of
    the event loop waits; without it, only `await advance(seconds)` moves it. `jump_wall(seconds)`
    moves the calendar and nothing else, as a daylight-saving bug or an NTP step would.

    It watches one asyncio event loop at a time, and several clocks may watch the same one. Work
    it cannot see (threads, other processes) counts as waiting, unless it is awaited inside
    `with clock.frozen():`.

        clock = FakeClock()
        await clock.sleep(3600)
        assert clock.monotonic() == 3600

    - `start`: the first value of `monotonic()` (s, default 0).
    - `wall`: the first value of `wall()`, a unix timestamp (default 2026-06-30 12:00 UTC).
    - `autojump`: whether time moves by itself (default True).

    Raises `InvalidArgumentError` for a time that is no finite number.
    """

    def __init__(
        self, *, start: float = 0.0, wall: float = 1_782_820_800.0, autojump: bool = True
    ) -> None:
        start, wall = _finite("start", start), _finite("wall", wall)
        self._now = start
        self._wall_offset = wall - start
        self._autojump = autojump
        self._timers: list[tuple[float, int, FakeTimer]] = []
        self._timers_made = 0
        self._watched: asyncio.AbstractEventLoop | None = None
        self._watch_number = 0
        self._quiet_turns = 0
        self._holders = 0

    def monotonic(self) -> float:
        """Virtual seconds."""
        return self._now

    def wall(self) -> float:
        """Virtual seconds since 1970-01-01 UTC; `2026-06-30T12:00:00Z` at the start by default."""
        return self._now + self._wall_offset

    def jump_wall(self, seconds: float) -> None:
        """Move the calendar, and not `monotonic()`.

        - `seconds`: how far; negative is backwards.
        """
        self._wall_offset += _finite("seconds", seconds)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Time does not jump while such a block runs, in whatever task, though all may wait."""
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1
            self._quiet_turns = 0
            loop = _running_loop()
            if not self._holders and self._timers and self._autojump and loop is not None:
                self._watch(loop)

    # The name of `frozen()` in earlier releases.
    standing_still = frozen

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time.

        - `seconds`: how long; zero or less gives other tasks one turn.
        """
        if seconds <= 0:
            await SystemClock().sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        timer = self.call_at(self._now + seconds, partial(woken.set_result, None))
        try:
            await woken
        finally:
            timer.cancel()

    def call_at(self, when: float, callback: Callable[[], object]) -> FakeTimer:
        """Call `callback` once virtual time reaches `when`."""
        loop = _running_loop()
        timer = FakeTimer(callback, loop)
        self._timers_made += 1
        heapq.heappush(self._timers, (when, self._timers_made, timer))
        if self._autojump and loop is not None and not self._holders:
            self._watch(loop)
        return timer

    async def advance(self, seconds: float) -> None:
        """Move time forward, and stop at each due timer until the tasks that it wakes have run.

        - `seconds`: how far.
        """
        end = self._now + _finite("seconds", seconds)
        await self._settle()
        while (when := self._next_at()) is not None and when <= end:
            self._fire_next()
            await self._settle()
        self._now = max(self._now, end)

    async def _settle(self) -> None:
        loop = asyncio.get_running_loop()
        quiet = 0
        while quiet < _QUIET_TURNS:
            await SystemClock().sleep(0)
            quiet = 0 if self._holders or _busy(loop) else quiet + 1

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._watched is not loop or loop.is_closed():
            self._watched = loop
            self._quiet_turns = 0
            self._watch_number += 1
            self._turn_soon(loop, self._watch_number)

    def _turn_soon(self, loop: asyncio.AbstractEventLoop, watch: int) -> None:
        _turning[loop] = _turning.get(loop, 0) + 1
        loop.call_soon(self._turn, loop, watch)

    def _turn(self, loop: asyncio.AbstractEventLoop, watch: int) -> None:
        _turning[loop] -= 1
        if watch != self._watch_number:
            return  # another loop has taken the clock over since
        if self._holders:
            self._watched = None
            return  # the last of them has it watched again
        self._quiet_turns = 0 if _busy(loop) else self._quiet_turns + 1
        try:
            if self._quiet_turns >= _QUIET_TURNS and self._next_at() is not None:
                self._quiet_turns = 0
                self._fire_next()
        finally:
            if self._next_at() is not None:
                self._turn_soon(loop, watch)
            else:
                self._watched = None

    def _next_at(self) -> float | None:
        """When the next timer is due; cancelled ones do not count."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def _fire_next(self) -> None:
        """Ring the first timer, which is not a cancelled one."""
        when, _, timer = heapq.heappop(self._timers)
        self._now = max(self._now, when)
        cast("Callable[[], object]", timer.callback)()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _busy(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether callbacks are ready to run (asyncio's own queue; other loops have none)."""
    return len(getattr(loop, "_ready", ())) > _turning.get(loop, 0)

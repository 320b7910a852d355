"""Time, and the only place that reads it or waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

# The longest time (s) until a timer looks at the clock again.
_LONGEST_TIMER = 5.0


class Timer(Protocol):
    """A callback that is still to come."""

    def cancel(self) -> None:
        """Make sure the callback does not run; harmless when it already has."""


class Clock(Protocol):
    """What the client, its limiter and the sandbox ask of time.

    All durations are seconds. `monotonic()` never goes backwards and decides every wait;
    `wall()` is the calendar (a unix timestamp) and is only ever compared with dates a server sent.
    """

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes backwards."""

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC; may jump either way."""

    async def sleep(self, seconds: float) -> None:
        """Wait.

        - `seconds`: how long; zero or less gives other tasks one turn.
        """

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call `callback` on the running event loop once `monotonic()` reaches `when`."""


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's own clock. All instances are equal, so clients with it share one limiter."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; they go on while the machine sleeps."""
        return _elapsed()

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC, from `time.time`."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait on the running event loop.

        - `seconds`: how long.
        """
        await asyncio.sleep(seconds)

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Set a timer on the running event loop; it is at most 5 s late after the machine slept.

        - `when`: the time of `monotonic()` at which `callback` is called.
        """
        return SystemTimer(when, callback, asyncio.get_running_loop(), _elapsed)


class SystemTimer:
    """A timer that looks at the clock every few seconds.

    The clock of an event loop stops while the machine sleeps; this one goes on.
    """

    __slots__ = ("_callback", "_elapsed", "_handle", "_loop", "_when")

    def __init__(
        self,
        when: float,
        callback: Callable[[], object],
        loop: asyncio.AbstractEventLoop,
        elapsed: Callable[[], float],
    ) -> None:
        self._when = when
        self._callback = callback
        self._loop = loop
        self._elapsed = elapsed
        self._start()

    def cancel(self) -> None:
        """Make sure that the callback does not run."""
        self._handle.cancel()

    def _start(self) -> None:
        left = self._when - self._elapsed()
        if left <= _LONGEST_TIMER:
            self._handle = self._loop.call_later(max(0.0, left), self._callback)
        else:
            self._handle = self._loop.call_later(_LONGEST_TIMER, self._start)


def clock_of_elapsed_time(system: Any = time) -> Callable[[], float]:
    """The system's clock that goes on during suspend, where it has one.

    Linux has CLOCK_BOOTTIME. CLOCK_MONOTONIC of macOS, and `time.monotonic` of Windows, go on too.
    """
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):
        number = getattr(system, name, None)
        if number is not None:
            return partial(system.clock_gettime, number)
    monotonic: Callable[[], float] = system.monotonic
    return monotonic


_elapsed = clock_of_elapsed_time()

"""Time, and the only place that reads it or waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


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
        """Seconds since an arbitrary moment, from `time.monotonic`."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC, from `time.time`."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait on the running event loop.

        - `seconds`: how long.
        """
        await asyncio.sleep(seconds)

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Set a timer on the running event loop, whose clock may start elsewhere.

        - `when`: the time of `monotonic()` at which `callback` is called.
        """
        loop = asyncio.get_running_loop()
        return loop.call_later(max(0.0, when - time.monotonic()), callback)

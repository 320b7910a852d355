"""Spreads a window's calls out: `RateLimit.burst` of them at once, the rest evenly after."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import cast

from aiolimiter import AsyncLimiter

from syncro_async.clock import Clock
from syncro_async.limiting.rate_limit import RateLimit

# A call may leave this early (s), or a rounding error would cost it a second wait.
_EARLY = 1e-6


class Pace(AsyncLimiter):
    """aiolimiter's leaky bucket, read on our clock.

    The limiter asks `has_capacity()` and then `spend()`s in one step, under its own lock; the
    bucket's own queue stays empty, because order and lanes are the limiter's business.
    """

    __slots__ = ("_timepiece", "interval")

    def __init__(self, rate: RateLimit, clock: Clock) -> None:
        burst = rate.burst if rate.burst is not None else rate.calls
        self.interval = rate.seconds / rate.calls
        self._timepiece = _ClockAdapter(clock)
        super().__init__(burst, burst * self.interval)

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        # All that the bucket's arithmetic asks of its loop is the time.
        return cast("asyncio.AbstractEventLoop", self._timepiece)

    def has_capacity(self, amount: float = 1) -> bool:
        """Whether that many calls may leave right now."""
        return super().has_capacity(amount - _EARLY / self.interval)

    def spend(self) -> None:
        """Take one call's worth; only right after `has_capacity()` said yes."""
        with suppress(StopIteration):
            self.acquire().send(None)

    def refund(self) -> None:
        """Return one call's worth: it was not sent after all."""
        self._leak()
        self._level = max(0.0, self._level - 1.0)

    def room(self) -> int:
        """How many calls may leave at once right now."""
        self._leak()
        return int(self.max_rate - self._level + _EARLY / self.interval)

    def leaves_at(self, now: float, place: int, start: float) -> float:
        """When the call with `place` others before it may leave, the first of them at `start`."""
        self._leak()
        level = max(0.0, self._level - (start - now) / self.interval)
        return start + max(0.0, level + place + 1 - self.max_rate) * self.interval


class _ClockAdapter:
    """The one method of an event loop that tells the time."""

    __slots__ = ("time",)

    def __init__(self, clock: Clock) -> None:
        self.time = clock.monotonic

"""Accepts limiter objects: those with the `Limiter` protocol, and aiolimiter's `AsyncLimiter`."""

from __future__ import annotations

import asyncio
from typing import Any

from aiolimiter import AsyncLimiter

from syncro_async.clock import Clock
from syncro_async.errors import ConfigurationError
from syncro_async.limiting.protocol import Budget, Lane, Limiter, Slot, SlotOutcome, Throttled
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.limiting.waiters import too_long

# The methods of the protocol that had other names in release 0.1.
_RENAMED = {"holds": "is_valid(slot)", "settle": "release(slot, outcome)"}


def limiter_object(given: Any, clock: Clock) -> Limiter:
    """The limiter to use for an object that was given as `limiter=`.

    Raises `ConfigurationError` for an object with the method names of release 0.1, and names the
    new ones.
    """
    if isinstance(given, AsyncLimiter):
        return AiolimiterAdapter(given, clock)
    for earlier, name in _RENAMED.items():
        if hasattr(given, earlier) and not hasattr(given, name.partition("(")[0]):
            raise ConfigurationError(
                f"limiter={type(given).__name__} has {earlier}(), which is now {name}; the"
                " protocol is acquire(lane, *, max_wait, requeued), is_valid(slot),"
                " release(slot, outcome), budget(), refresh() and rates"
            )
    limiter: Limiter = given
    return limiter


class AiolimiterAdapter:
    """A limiter over an `aiolimiter.AsyncLimiter`, which lets calls leave at an even rate.

    It knows neither answers nor lanes: all calls wait in one queue, and a slot returns with time
    and not with the answer. So a server that counts arrivals in a window can refuse some calls. A
    429 pauses all calls of this limiter. Only public methods of aiolimiter are used, and the
    limiter runs on the clock of the event loop.
    """

    def __init__(self, limiter: AsyncLimiter, clock: Clock) -> None:
        self._limiter = limiter
        self._clock = clock
        self._paused_until = 0.0
        self._in_flight = 0
        self._waiting = 0

    @property
    def rates(self) -> tuple[RateLimit, ...]:
        """The rate of the limiter, as one limit."""
        return (RateLimit(max(1, int(self._limiter.max_rate)), self._limiter.time_period),)

    async def acquire(
        self, lane: Lane, *, max_wait: float | None = None, requeued: bool = False
    ) -> Slot:
        """Wait for the end of a pause and for the limiter. See `Limiter.acquire`."""
        del lane, requeued  # aiolimiter has one queue
        self._waiting += 1
        try:
            await self._wait(max_wait)
        finally:
            self._waiting -= 1
        self._in_flight += 1
        return Slot(taken_at=self._clock.monotonic())

    async def _wait(self, max_wait: float | None) -> None:
        started = self._clock.monotonic()
        while (pause := self._paused_until - self._clock.monotonic()) > 0:
            if max_wait is not None and pause > started + max_wait - self._clock.monotonic():
                raise too_long(pause, max_wait)
            await self._clock.sleep(pause)
        if max_wait is None:
            await self._limiter.acquire()
            return
        taking = asyncio.ensure_future(self._limiter.acquire())
        timer = self._clock.call_at(started + max_wait, taking.cancel)
        try:
            await asyncio.wait({taking})
        finally:
            timer.cancel()
            taking.cancel()  # does nothing when it is done
        if taking.cancelled():
            interval = self._limiter.time_period / self._limiter.max_rate
            raise too_long(max(interval, max_wait), None)

    def is_valid(self, slot: Slot) -> bool:
        """Whether no pause has begun since the slot was taken."""
        return self._paused_until <= self._clock.monotonic() or slot.released

    async def release(self, slot: Slot, outcome: SlotOutcome) -> None:
        """Count the call as ended; a 429 pauses the limiter."""
        if slot.released:
            return
        slot.released = True
        self._in_flight -= 1
        if isinstance(outcome, Throttled):
            until = self._clock.monotonic() + outcome.pause
            self._paused_until = max(self._paused_until, until)

    def budget(self) -> Budget:
        """A snapshot; `available` is how many calls the limiter lets leave at once."""
        [rate] = self.rates
        pause = max(0.0, self._paused_until - self._clock.monotonic())
        free = next((n for n in range(rate.calls, 0, -1) if self._limiter.has_capacity(n)), 0)
        interval = 0.0 if free else rate.seconds / rate.calls
        return Budget(
            limit=rate.calls,
            window=rate.seconds,
            available=0 if pause else free,
            in_flight=self._in_flight,
            waiting=self._waiting,
            next_free_in=max(pause, interval),
            gate_closed_for=pause,
        )

    async def refresh(self) -> None:
        """Do nothing: `budget()` is always current."""

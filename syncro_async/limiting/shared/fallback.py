"""Uses a share of the budget while the shared store is out of reach."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from copy import copy
from typing import Any

from syncro_async._internal.per_loop import client_is_closed
from syncro_async.clock import Clock
from syncro_async.errors import SyncroError
from syncro_async.limiting.budget.messages import SyncResponse, limits_of
from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.limiting.protocol import Lane, NotCounted, Slot, SlotOutcome, Throttled
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.limiting.shared.session import StoreSession
from syncro_async.limiting.shared.store import Store, StoreUnreachableError
from syncro_async.limiting.waiters import too_long


class FallbackSession(StoreSession):
    """A session that grants slots of a local share while the store is out of reach.

    It does so after one window and guard of silence: until then the slots that other processes
    were granted can still count. The share of each limit is at least one call. What was sent
    before the outage counts against the share. What is sent during the outage is reported to the
    store afterwards, and the calls that still wait then join its queue.
    """

    def __init__(
        self,
        store: Store,
        key: str,
        rates: Sequence[RateLimit],
        timeout: float,
        clock: Clock,
        *,
        new_state_pause: float = 0.0,
        share: float,
    ) -> None:
        limits = limits_of(rates)
        super().__init__(store, key, limits, timeout, clock, new_state_pause=new_state_pause)
        self._rates = [_part(rate, share) for rate in rates]
        self._local: _LocalBudget | None = None

    async def acquire(self, lane: Lane, *, max_wait: float | None, requeued: bool) -> Slot:
        """Wait for a slot of the store, or of the share in an outage. See `Limiter.acquire`."""
        until = None if max_wait is None else self._clock.monotonic() + max_wait
        while True:
            if self.is_closed:  # the client was closed during the last wait
                raise client_is_closed()
            if until is not None:
                max_wait = max(0.0, until - self._clock.monotonic())
            if self.is_cut_off:
                outage = self._local or await self._begin()
                slot = await outage.acquire(lane, max_wait=max_wait, requeued=requeued)
                if slot is not None:
                    self.adopt(slot)
                    return slot
                continue
            try:
                return await super().acquire(lane, max_wait=max_wait, requeued=requeued)
            except StoreUnreachableError:
                if not self.is_cut_off:
                    raise

    def is_valid(self, slot: Slot) -> bool:
        """Whether a slot may still be used, as far as this process knows."""
        if self._local is None:
            return super().is_valid(slot)
        return slot.taken_at >= self._local.began_at and self._local.own.is_valid(slot)

    @property
    def _longest_outage(self) -> float:
        return max(limit.hold_seconds for limit in self._limits)

    def _on_unreachable(self, error: StoreUnreachableError) -> None:
        super()._on_unreachable(error)
        now = self._clock.monotonic()
        share_at = self._unreachable_since + self._longest_outage
        for waiter in self._queue.all():
            if waiter.gives_up_at < share_at:
                allowed = max(0.0, waiter.gives_up_at - now)
                self._reject(waiter, too_long(share_at - now, allowed))

    async def release(self, slot: Slot, outcome: SlotOutcome) -> None:
        """Record the outcome of a slot, in an outage also for the share."""
        await super().release(slot, outcome)
        if self._local is not None:
            await self._local.own.release(slot, outcome)

    async def _begin(self) -> _LocalBudget:
        """Start the local share with what was sent before, and with the pause that still runs."""
        own = InProcessLimiter(self._rates, self._clock)
        own.preload(*self.counted())
        outage = self._local = _LocalBudget(own, self._clock.monotonic())
        pause = self.paused_for()
        if pause is not None:
            own.preload((), 1)
            await own.release(Slot(self._clock.monotonic()), Throttled(pause))
        self._restart_sync()
        return outage

    def _end(self, error: SyncroError | None) -> None:
        if self._local is not None:
            self._local.over.set_result(error)
            self._local = None

    def _apply(self, response: SyncResponse) -> None:
        self._end(None)
        super()._apply(response)

    def _fail_all(self, error: Exception) -> None:
        if isinstance(error, SyncroError):
            self._end(error)
        super()._fail_all(error)


class _LocalBudget:
    """The local share of a process; `over` is done when the store answers again or refuses."""

    def __init__(self, own: InProcessLimiter, began_at: float) -> None:
        self.own = own
        self.began_at = began_at
        self.over: asyncio.Future[SyncroError | None] = asyncio.get_running_loop().create_future()

    async def acquire(self, lane: Lane, *, max_wait: float | None, requeued: bool) -> Slot | None:
        """A slot of the share, or None when the outage ends first.

        Raises the error of a store that is back and refuses.
        """
        waiting = self.own.acquire(lane, max_wait=max_wait, requeued=requeued)
        taking = asyncio.ensure_future(waiting)
        ends: set[asyncio.Future[Any]] = {taking, self.over}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            slot = await _called_off(taking)
            if slot is not None:
                await self.own.release(slot, NotCounted())
            raise
        if taking.done():
            return taking.result()
        await _called_off(taking)
        error = self.over.result()
        if error is not None:
            raise copy(error)
        return None


async def _called_off(taking: asyncio.Future[Slot]) -> Slot | None:
    """Cancel an acquire; returns the slot when it was granted already."""
    taking.cancel()
    await asyncio.wait({taking})
    return None if taking.cancelled() or taking.exception() else taking.result()


def _part(rate: RateLimit, share: float) -> RateLimit:
    calls = max(1, int(rate.calls * share))
    burst = None if rate.burst is None else min(rate.burst, calls)
    return RateLimit(calls, rate.seconds, burst, rate.guard)

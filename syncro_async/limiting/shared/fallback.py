"""Lives on a part of the budget while the store of a shared one is unreachable."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from copy import copy
from typing import Any

from syncro_async._internal.per_loop import client_is_closed
from syncro_async.clock import Clock
from syncro_async.errors import SyncroError
from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.limiting.protocol import Lane, NotCounted, Slot, SlotOutcome, Throttled
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.limiting.shared.messages import SyncResponse, limits_of
from syncro_async.limiting.shared.session import StoreSession
from syncro_async.limiting.shared.store import Store, StoreUnreachableError


class FallbackSession(StoreSession):
    """A desk that gives slots of its own in an outage: a share of each limit, at least one call.

    What was answered before the outage counts against the share, and what is sent in it is told
    to the store when that is back; who still waits then queues there.
    """

    def __init__(
        self,
        store: Store,
        key: str,
        rates: Sequence[RateLimit],
        timeout: float,
        clock: Clock,
        *,
        share: float,
    ) -> None:
        super().__init__(store, key, limits_of(rates), timeout, clock)
        self._rates = [_part(rate, share) for rate in rates]
        self._local: _LocalBudget | None = None

    async def acquire(self, lane: Lane, *, max_wait: float | None, requeued: bool) -> Slot:
        """Wait for a slot of the store's, or of the share in an outage. See `Limiter.acquire`."""
        until = None if max_wait is None else self._clock.monotonic() + max_wait
        while True:
            if self.is_closed:  # since the last time round
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
        """Whether a slot may still be used, as far as this process has heard."""
        return super().is_valid(slot) if self._local is None else self._local.own.is_valid(slot)

    async def release(self, slot: Slot, outcome: SlotOutcome) -> None:
        """Note what became of a slot, also for the share while there is an outage."""
        await super().release(slot, outcome)
        if self._local is not None:
            await self._local.own.release(slot, outcome)

    async def _begin(self) -> _LocalBudget:
        """Live on the share from now on, with all that was sent before, and in its pause."""
        own = InProcessLimiter(self._rates, self._clock)
        own.preload(*self.counted())
        outage = self._local = _LocalBudget(own)
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

    def _apply(self, ruling: SyncResponse) -> None:
        self._end(None)
        super()._apply(ruling)

    def _fail_all(self, error: Exception) -> None:
        if isinstance(error, SyncroError):
            self._end(error)
        super()._fail_all(error)


class _LocalBudget:
    """The share that a process lives on, until it is `over`: the store answers, or is none."""

    def __init__(self, own: InProcessLimiter) -> None:
        self.own = own
        self.over: asyncio.Future[SyncroError | None] = asyncio.get_running_loop().create_future()

    async def acquire(self, lane: Lane, *, max_wait: float | None, requeued: bool) -> Slot | None:
        """A slot of the share; None when the outage is over before there was one.

        Raises what the store said that is there again, and none for us.
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
    """End it; the slot, if it was there already."""
    taking.cancel()
    await asyncio.wait({taking})
    return None if taking.cancelled() or taking.exception() else taking.result()


def _part(rate: RateLimit, share: float) -> RateLimit:
    calls = max(1, int(rate.calls * share))
    burst = None if rate.burst is None else min(rate.burst, calls)
    return RateLimit(calls, rate.seconds, burst, rate.guard)

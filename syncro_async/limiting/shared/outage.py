"""Lives on a part of the budget while the store of a shared one is unreachable."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from copy import copy
from typing import Any

from syncro_async.clock import Clock
from syncro_async.errors import SyncroError
from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.limiting.limiter import Fate, HandedBack, Lane, Refused, Slot
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.limiting.shared.desk import Desk
from syncro_async.limiting.shared.store import Store, StoreUnreachableError
from syncro_async.limiting.shared.visits import Ruling, limits_of
from syncro_async.per_loop import client_is_closed


class FrugalDesk(Desk):
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
        self._outage: _Outage | None = None

    async def acquire(self, lane: Lane, *, patience: float | None, came_first: bool) -> Slot:
        """Wait for a slot of the store's, or of the share in an outage. See `Limiter.acquire`."""
        until = None if patience is None else self._clock.monotonic() + patience
        while True:
            if self.is_closed:  # since the last time round
                raise client_is_closed()
            if until is not None:
                patience = max(0.0, until - self._clock.monotonic())
            if self.is_cut_off:
                outage = self._outage or await self._begin()
                slot = await outage.acquire(lane, patience=patience, came_first=came_first)
                if slot is not None:
                    self.take_in(slot)
                    return slot
                continue
            try:
                return await super().acquire(lane, patience=patience, came_first=came_first)
            except StoreUnreachableError:
                if not self.is_cut_off:
                    raise

    def holds(self, slot: Slot) -> bool:
        """Whether a slot may still be used, as far as this process has heard."""
        return super().holds(slot) if self._outage is None else self._outage.own.holds(slot)

    async def settle(self, slot: Slot, fate: Fate) -> None:
        """Note what became of a slot, also for the share while there is an outage."""
        await super().settle(slot, fate)
        if self._outage is not None:
            await self._outage.own.settle(slot, fate)

    async def _begin(self) -> _Outage:
        """Live on the share from now on, with all that was sent before, and in its pause."""
        own = InProcessLimiter(self._rates, self._clock)
        own.inherit(*self.counted())
        outage = self._outage = _Outage(own)
        pause = self.paused_for()
        if pause is not None:
            own.inherit((), 1)
            await own.settle(Slot(self._clock.monotonic()), Refused(pause))
        self._call_clerk()
        return outage

    def _end(self, error: SyncroError | None) -> None:
        if self._outage is not None:
            self._outage.over.set_result(error)
            self._outage = None

    def _apply(self, ruling: Ruling) -> None:
        self._end(None)
        super()._apply(ruling)

    def _give_all_up(self, error: Exception) -> None:
        if isinstance(error, SyncroError):
            self._end(error)
        super()._give_all_up(error)


class _Outage:
    """The share that a process lives on, until it is `over`: the store answers, or is none."""

    def __init__(self, own: InProcessLimiter) -> None:
        self.own = own
        self.over: asyncio.Future[SyncroError | None] = asyncio.get_running_loop().create_future()

    async def acquire(self, lane: Lane, *, patience: float | None, came_first: bool) -> Slot | None:
        """A slot of the share; None when the outage is over before there was one.

        Raises what the store said that is there again, and none for us.
        """
        waiting = self.own.acquire(lane, patience=patience, came_first=came_first)
        taking = asyncio.ensure_future(waiting)
        ends: set[asyncio.Future[Any]] = {taking, self.over}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            slot = await _called_off(taking)
            if slot is not None:
                await self.own.settle(slot, HandedBack())
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

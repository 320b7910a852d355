"""Computes from a response when a call gets its turn, and the snapshot of the budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from syncro_async.limiting.budget.messages import Limit, SyncResponse
from syncro_async.limiting.budget.pause import PauseGate
from syncro_async.limiting.budget.slot_ledger import ReturnSchedule, sent_at
from syncro_async.limiting.protocol import Budget
from syncro_async.limiting.rate_limit import RateLimit

# So long (s) a process waits at most for the synchronisations of the processes before it.
_MOST_FOR_OTHERS = 0.25


@dataclass(frozen=True, slots=True)
class Forecast:
    """A response, received at `heard_at` (monotonic s), and the duration of a call (s)."""

    response: SyncResponse
    heard_at: float
    limits: Sequence[Limit]
    latency: float
    _schedules: list[ReturnSchedule] = field(init=False)
    # Its times are those since the response.
    _gate: PauseGate = field(init=False)

    def __post_init__(self) -> None:
        rounds = [self._round(index) for index in range(len(self.limits))]
        object.__setattr__(self, "_schedules", rounds)
        gate = PauseGate(
            self.response.gate_closed_for, self.response.half_open, self.response.probe
        )
        object.__setattr__(self, "_gate", gate)

    def foreign(self) -> int:
        """How many calls of the longest window other clients use."""
        return max(
            limit.calls - kept
            for limit, kept in zip(self.limits, self.response.limits, strict=True)
        )

    def due_at(self, lease_id: str) -> float:
        """When this call of the shared queue may be sent; infinity when an answer decides."""
        place = self.response.positions[lease_id]
        if self.response.half_open and (place or self.response.probe):
            return math.inf
        if any(place >= len(free_in) for free_in in self.response.seconds_until_free):
            return math.inf
        soonest = max(free_in[place] for free_in in self.response.seconds_until_free)
        held = self.response.not_before.get(lease_id, 0.0)
        return self.heard_at + max(soonest, held, self.response.gate_closed_for)

    def next_sync_at(self) -> float:
        """When to synchronise, because the first of the calls in the shared queue may be sent.

        When the slots of a window return together, calls of many processes are due at the same
        moment. Each process leaves those before it the time that a synchronisation takes.
        """
        at, first = math.inf, 0
        for lease_id, place in self.response.positions.items():
            at, first = min((at, first), (self.due_at(lease_id), place))
            if lease_id not in self.response.not_before:
                break  # the calls behind it are not due earlier
        return at if at == math.inf else max(at, self.heard_at + self._turn_in(first))

    def _turn_in(self, place: int) -> float:
        """After how many seconds the processes with calls before this place have synchronised.

        Each of them does so when the slot of its call returns. Slots that return one after another
        leave enough time, and those that return together do not.
        """
        seen = self.response.seen
        others = 0 if seen is None else min(place, len(seen.alive) - 1)
        if seen is None or not others:
            return 0.0
        # A synchronisation that grants a slot reads and writes: twice the way to the store.
        took = 2 * (seen.heard_at - seen.asked_at)
        free_in = self.response.seconds_until_free
        returns: list[float] = [max(times) for times in zip(*free_in, strict=False)]
        turn = returns[place - others]
        for at in returns[place - others + 1 : place + 1]:
            turn = max(at, turn + took)
        return min(turn, returns[place] + _MOST_FOR_OTHERS)

    def wait(self, place: int, now: float, lease_id: str = "") -> float:
        """An estimate: in how many seconds the call with that many before it is sent."""
        passes = max(
            self._gate.next_pass_at(0.0, place, self.latency),
            self.response.not_before.get(lease_id, 0.0),
        )
        at = sent_at(place, self._schedules, lambda _: passes)
        return max(0.0, self.heard_at + at - now)

    def budget(self, rates: Sequence[RateLimit], waiting: int, now: float) -> Budget:
        """A snapshot; `waiting` calls of this process are not in the shared queue yet."""
        passed = now - self.heard_at
        idle = [sum(s <= passed for s in free_in) for free_in in self.response.seconds_until_free]
        kept = self.response.limits
        tightest = min(range(len(rates)), key=lambda index: (idle[index], kept[index]))
        closed_for = max(0.0, self.response.gate_closed_for - passed)
        most = min(idle)
        if self.response.at_once is not None:
            most = min(most, self.response.at_once)
        return Budget(
            limit=kept[tightest],
            window=rates[tightest].seconds,
            available=self._gate.available(passed, most),
            in_flight=self.response.leases_held,
            waiting=self.response.waiting + waiting,
            next_free_in=self.wait(0, now),
            waiting_bulk=self.response.waiting_bulk,
            gate_closed_for=closed_for,
            foreign_estimate=max(self.foreign(), self.response.foreign_booked),
            used=max(0, kept[tightest] - self.response.leases_held - idle[tightest]),
        )

    def _round(self, index: int) -> ReturnSchedule:
        limit, calls = self.limits[index], self.response.limits[index]
        again = self.latency + limit.hold_seconds
        back = [*self.response.seconds_until_free[index], *[again] * self.response.leases_held]
        return ReturnSchedule(again, back[-calls:])

"""Computes from a response when a call gets its turn, and the snapshot of the budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from syncro_async.limiting.budget.slot_ledger import ReturnSchedule, sent_at
from syncro_async.limiting.protocol import Budget
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.limiting.shared.messages import Limit, SyncResponse


@dataclass(frozen=True, slots=True)
class Forecast:
    """A response, received at `heard_at` (monotonic s), and the duration of a call (s)."""

    response: SyncResponse
    heard_at: float
    limits: Sequence[Limit]
    latency: float
    _schedules: list[ReturnSchedule] = field(init=False)

    def __post_init__(self) -> None:
        rounds = [self._round(index) for index in range(len(self.limits))]
        object.__setattr__(self, "_schedules", rounds)

    def foreign(self) -> int:
        """How many calls of the longest window other clients use."""
        return max(
            limit.calls - kept
            for limit, kept in zip(self.limits, self.response.limits, strict=True)
        )

    def due_at(self, place: int) -> float | None:
        """When the call with that many calls before it may be sent.

        None when only the answer to another call decides.
        """
        if self.response.half_open and (place or self.response.probe):
            return None
        if any(place >= len(free_in) for free_in in self.response.seconds_until_free):
            return None
        soonest = max(free_in[place] for free_in in self.response.seconds_until_free)
        return self.heard_at + max(soonest, self.response.gate_closed_for)

    def wait(self, place: int, now: float) -> float:
        """An estimate: in how many seconds the call with that many before it is sent."""
        probe = self.latency if place or self.response.probe else 0.0
        passes = self.response.gate_closed_for + (probe if self.response.half_open else 0.0)
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
        if self.response.half_open:
            most = min(most, int(not closed_for and not self.response.probe))
        return Budget(
            limit=kept[tightest],
            window=rates[tightest].seconds,
            available=0 if closed_for else most,
            in_flight=self.response.leases_held,
            waiting=self.response.waiting + waiting,
            next_free_in=self.wait(0, now),
            waiting_bulk=self.response.waiting_bulk,
            gate_closed_for=closed_for,
            foreign_estimate=self.foreign(),
            used=max(0, kept[tightest] - self.response.leases_held - idle[tightest]),
        )

    def _round(self, index: int) -> ReturnSchedule:
        limit, calls = self.limits[index], self.response.limits[index]
        again = self.latency + limit.hold_seconds
        back = [*self.response.seconds_until_free[index], *[again] * self.response.leases_held]
        return ReturnSchedule(again, back[-calls:])

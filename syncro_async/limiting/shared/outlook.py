"""What a ruling says about the time after it: when a call's turn comes, how the budget stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from syncro_async.limiting.limiter import Budget
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.limiting.shared.visits import Limit, Ruling
from syncro_async.limiting.slots import Round, sent_at


@dataclass(frozen=True, slots=True)
class Outlook:
    """A ruling, heard at `heard_at` (monotonic s), and what one call takes (s)."""

    ruling: Ruling
    heard_at: float
    limits: Sequence[Limit]
    latency: float
    _rounds: list[Round] = field(init=False)

    def __post_init__(self) -> None:
        rounds = [self._round(index) for index in range(len(self.limits))]
        object.__setattr__(self, "_rounds", rounds)

    def foreign(self) -> int:
        """How many calls of the longest window are left to strangers."""
        return max(
            limit.calls - kept for limit, kept in zip(self.limits, self.ruling.limits, strict=True)
        )

    def due_at(self, place: int) -> float | None:
        """When the call with that many before it may go; None while only an answer can tell."""
        if self.ruling.half_open and (place or self.ruling.opener):
            return None
        if any(place >= len(free_in) for free_in in self.ruling.free_in):
            return None
        soonest = max(free_in[place] for free_in in self.ruling.free_in)
        return self.heard_at + max(soonest, self.ruling.gate_closed_for)

    def wait(self, place: int, now: float) -> float:
        """In how many seconds the call with that many before it would be sent: an estimate."""
        opener = self.latency if place or self.ruling.opener else 0.0
        passes = self.ruling.gate_closed_for + (opener if self.ruling.half_open else 0.0)
        at = sent_at(place, self._rounds, lambda _: passes)
        return max(0.0, self.heard_at + at - now)

    def budget(self, rates: Sequence[RateLimit], waiting: int, now: float) -> Budget:
        """A snapshot; `waiting` calls of this process have not joined the shared queue yet."""
        passed = now - self.heard_at
        idle = [sum(s <= passed for s in free_in) for free_in in self.ruling.free_in]
        kept = self.ruling.limits
        tightest = min(range(len(rates)), key=lambda index: (idle[index], kept[index]))
        closed_for = max(0.0, self.ruling.gate_closed_for - passed)
        most = min(idle)
        if self.ruling.half_open:
            most = min(most, int(not closed_for and not self.ruling.opener))
        return Budget(
            limit=kept[tightest],
            window=rates[tightest].seconds,
            available=0 if closed_for else most,
            in_flight=self.ruling.flying,
            waiting=self.ruling.waiting + waiting,
            next_free_in=self.wait(0, now),
            waiting_bulk=self.ruling.waiting_bulk,
            gate_closed_for=closed_for,
            foreign_estimate=self.foreign(),
            used=max(0, kept[tightest] - self.ruling.flying - idle[tightest]),
        )

    def _round(self, index: int) -> Round:
        limit, calls = self.limits[index], self.ruling.limits[index]
        again = self.latency + limit.hold
        back = [*self.ruling.free_in[index], *[again] * self.ruling.flying]
        return Round(again, back[-calls:])

"""The arithmetic of the budget: which slots are free, and when the next one is.

The rule. A server counts arrivals in windows of W seconds; a client knows only when it sent and
when the answer's headers came. So a slot is taken from the send until W + guard after the answer:
send at time t only if fewer than `calls` requests are in flight or were answered after
t − W − guard.

Why it is safe. Let a request be refused at time a. Then `calls` others were counted in
(a − W − guard, a]. Of all of these let Z be the one sent last. Every other one was sent before Z
and answered no earlier than it was counted, so at the moment Z was sent `calls` requests were in
flight or too fresh, and the rule forbade Z. Nothing is assumed of latencies, of order, or of the
kind of window (fixed, aligned, sliding), only that nobody else uses the key, and that a request
whose answer never comes is counted within five seconds of being given up (`LATE_ARRIVAL`).

Why it is the best possible. Knowing no more than send and answer times, no safe rule can send
earlier. The rate is calls / (W + guard + mean latency).

No clock is read here and nothing waits; every function takes the time it is to decide for.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from syncro_async.limiting.budget.foreign_usage import (
    OwnShare,
    counted_for_others,
    decrement,
    recover,
    reduce_after_429,
)
from syncro_async.limiting.budget.pacing import Pace, pace_of
from syncro_async.limiting.rate_limit import RateLimit

# How much of the latency that forecasts count with the newest answer decides.
NEWEST = 0.2


def free_slots(calls: int, in_flight: int, returning: int) -> int:
    """The slot rule: how many requests may be sent now.

    - `calls`: how many the limit allows in a window
    - `in_flight`: how many are sent and not answered
    - `returning`: how many were answered less than W + guard ago

    Below zero when the limit was lowered meanwhile.
    """
    return calls - in_flight - returning


class SlotLedger:
    """The slots of one key, under one or several limits that hold at once.

    Of the longest window, where other clients of the key are estimated, only our share may be used.
    """

    __slots__ = (
        "_booked",
        "_foreign_returns",
        "_has_left_little",
        "_longest",
        "_returns",
        "_share",
        "in_flight",
        "pace",
        "rates",
    )

    def __init__(self, rates: Sequence[RateLimit]) -> None:
        self.rates = tuple(rates)
        self.in_flight = 0
        self._returns: list[list[float]] = [[] for _ in self.rates]
        self._longest = max(
            range(len(self.rates)), key=lambda index: self.rates[index].hold_seconds
        )
        self._booked = 0
        self._foreign_returns: list[float] = []
        self._has_left_little = False
        self._share: OwnShare | None = None
        self.pace = self._pace()  # kept, because each grant needs it

    def take(self) -> int:
        """A request is about to be sent; the mark says what may be counted in its window."""
        mark = self.in_flight + len(self._returns[self._longest]) - self._booked
        self.in_flight += 1
        self._booked += 1
        return mark

    def return_unused(self) -> None:
        """The server did not count it: the slot is free again at once."""
        self.in_flight -= 1

    def mark_answered(self, at: float) -> None:
        """Its answer came at `at`: the slot returns one window and one guard later."""
        self.in_flight -= 1
        self._count(at)

    def count_foreign(self, at: float, mark: int, left: int) -> None:
        """The server would count `left` more after a request taken with that mark, answered then.

        What it has counted besides ours is booked, as if we had sent it: this only ever lowers
        what is free. See `leaves_little` for an answer that leaves next to nothing.
        """
        calls = self.calls(self._longest)
        ours = mark + self._booked
        foreign, self._has_left_little = counted_for_others(
            calls, left, ours, had_left_little=self._has_left_little
        )
        for _ in range(foreign):
            self._booked += 1
            self._count(at)
            heapq.heappush(self._foreign_returns, at + self.longest)

    def learn_from_429(self, until: float) -> None:
        """Somebody else uses the key: spend no more than the server let through. See `foreign`."""
        rate = self.rates[self._longest]
        through = self.in_flight + len(self._returns[self._longest])
        self._share = reduce_after_429(
            self._share, rate.calls, rate.hold_seconds, through, until=until
        )
        self.pace = self._pace()

    def learn_uncounted(self) -> None:
        """A request that was in flight at that refusal was not counted either."""
        self._share = decrement(self._share)
        self.pace = self._pace()

    def foreign(self, now: float) -> int:
        """How many calls of the longest window other clients use."""
        self._forget(now)
        return self.foreign_now

    @property
    def foreign_now(self) -> int:
        """The same at the last time that anything was asked for."""
        share = self._share
        return 0 if share is None else self.rates[self._longest].calls - share.calls

    def foreign_estimate(self, now: float) -> int:
        """The same, with the calls of others that the server has counted in this window."""
        while self._foreign_returns and self._foreign_returns[0] <= now:
            heapq.heappop(self._foreign_returns)
        return max(self.foreign(now), len(self._foreign_returns))

    def has_free(self, now: float) -> bool:
        """Whether a request may be sent right now."""
        self._forget(now)
        for index, returns in enumerate(self._returns):
            if free_slots(self.calls(index), self.in_flight, len(returns)) <= 0:
                return False
        return True

    def free_of_each(self, now: float) -> list[int]:
        """The same for each limit on its own, in their order."""
        self._forget(now)
        return [
            free_slots(self.calls(index), self.in_flight, len(returns))
            for index, returns in enumerate(self._returns)
        ]

    def calls(self, index: int) -> int:
        """How many calls of that limit's window are ours."""
        share = self._share if index == self._longest else None
        return self.rates[index].calls if share is None else share.calls

    @property
    def longest(self) -> float:
        """How long the longest window and its guard last (s)."""
        return self.rates[self._longest].hold_seconds

    def used(self, index: int) -> int:
        """How many slots of that limit are to return after an answer."""
        return len(self._returns[index])

    def next_free_at(self, now: float) -> float | None:
        """When the next slot is free: `now`, later, or None while only an answer can tell."""
        latest = now
        for index, (free, returns) in enumerate(
            zip(self.free_of_each(now), self._returns, strict=True)
        ):
            if free > 0:
                continue
            soonest = _nth(returns, -free)
            if self._share is not None and index == self._longest:
                # The calls of other clients may return before any slot of ours.
                soonest = min(soonest, self._share.raise_at)
            latest = max(latest, soonest)
        return None if latest == math.inf else latest

    def is_idle(self, now: float) -> bool:
        """Whether every slot is free, so that this ledger holds nothing worth keeping."""
        self._forget(now)
        return not self.in_flight and not any(self._returns)

    def forecast(
        self, now: float, place: int, latency: float, leaves_at: Callable[[int], float]
    ) -> float:
        """When the request with `place` others before it (0: the next) would be sent.

        An estimate: requests in flight and those still to be sent are taken to be answered after
        `latency` seconds. `leaves_at` tells for each place what holds it up besides the slots.
        """
        self._forget(now)
        rounds = []
        for index, (rate, returns) in enumerate(zip(self.rates, self._returns, strict=True)):
            back = [*returns, *[now + latency + rate.hold_seconds] * self.in_flight]
            calls = self.calls(index)
            back.extend([now] * (calls - len(back)))
            rounds.append(ReturnSchedule(rate.hold_seconds + latency, sorted(back)[-calls:]))
        return sent_at(place, rounds, leaves_at)

    def _count(self, at: float) -> None:
        for rate, returns in zip(self.rates, self._returns, strict=True):
            heapq.heappush(returns, at + rate.hold_seconds)

    def _forget(self, now: float) -> None:
        for returns in self._returns:
            while returns and returns[0] <= now:
                heapq.heappop(returns)
        if self._share is not None:
            rate = self.rates[self._longest]
            self._share = recover(self._share, rate.calls, rate.hold_seconds, now)
            self.pace = self._pace()

    def _pace(self) -> Pace:
        return pace_of(
            (self.calls(index), rate.hold_seconds) for index, rate in enumerate(self.rates)
        )


def _nth(heap: list[float], place: int) -> float:
    """What comes out of it after so many others; never, where there are not as many."""
    if place >= len(heap):
        return math.inf
    return heapq.nsmallest(place + 1, heap)[-1] if place else heap[0]


class ReturnSchedule(NamedTuple):
    """What one limit does to a queue: when each slot is back, and how long until it is again."""

    seconds: float
    back: list[float]


def sent_at(place: int, rounds: list[ReturnSchedule], leaves_at: Callable[[int], float]) -> float:
    """When the request with `place` others before it would be sent.

    Whole rounds of each limit, and what the other limits make of the places left over.
    """
    latest = leaves_at(place)
    for chosen in rounds:
        whole, rest = divmod(place, len(chosen.back))
        others = [other for other in rounds if other is not chosen]
        first = max(chosen.back[rest], sent_at(rest, others, leaves_at))
        latest = max(latest, first + whole * chosen.seconds)
    return latest

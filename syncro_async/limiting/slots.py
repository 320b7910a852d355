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
from collections.abc import Callable, Sequence
from typing import NamedTuple

from syncro_async.limiting.rate_limit import RateLimit


class SlotLedger:
    """The slots of one key, under one or several limits that hold at once."""

    __slots__ = ("_returns", "in_flight", "rates")

    def __init__(self, rates: Sequence[RateLimit]) -> None:
        self.rates = tuple(rates)
        self.in_flight = 0
        self._returns: list[list[float]] = [[] for _ in self.rates]

    def take(self) -> None:
        """A request is about to be sent."""
        self.in_flight += 1

    def hand_back(self) -> None:
        """The server did not count it: the slot is free again at once."""
        self.in_flight -= 1

    def start_clock(self, at: float) -> None:
        """Its answer came at `at`: the slot returns one window and one guard later."""
        self.in_flight -= 1
        for rate, returns in zip(self.rates, self._returns, strict=True):
            heapq.heappush(returns, at + rate.hold)

    def free(self, now: float) -> int:
        """How many requests may be sent right now; never below 0."""
        return max(0, min(self.free_of_each(now)))

    def free_of_each(self, now: float) -> list[int]:
        """The same for each limit on its own, in their order."""
        self._forget(now)
        return [
            rate.calls - self.in_flight - len(returns)
            for rate, returns in zip(self.rates, self._returns, strict=True)
        ]

    def next_free_at(self, now: float) -> float | None:
        """When the next slot is free: `now`, later, or None while only an answer can tell."""
        latest = now
        for free, returns in zip(self.free_of_each(now), self._returns, strict=True):
            if free > 0:
                continue
            if free < 0 or not returns:
                return None
            latest = max(latest, returns[0])
        return latest

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
        for rate, returns in zip(self.rates, self._returns, strict=True):
            back = [*returns, *[now + latency + rate.hold] * self.in_flight]
            back.extend([now] * (rate.calls - len(back)))
            rounds.append(_Round(rate.hold + latency, sorted(back)))
        return _sent_at(place, rounds, leaves_at)

    def _forget(self, now: float) -> None:
        for returns in self._returns:
            while returns and returns[0] <= now:
                heapq.heappop(returns)


class _Round(NamedTuple):
    """What one limit does to a queue: when each slot is back, and how long until it is again."""

    seconds: float
    back: list[float]


def _sent_at(place: int, rounds: list[_Round], leaves_at: Callable[[int], float]) -> float:
    """Whole rounds of each limit, and what the other limits make of the places left over."""
    latest = leaves_at(place)
    for chosen in rounds:
        whole, rest = divmod(place, len(chosen.back))
        others = [other for other in rounds if other is not chosen]
        first = max(chosen.back[rest], _sent_at(rest, others, leaves_at))
        latest = max(latest, first + whole * chosen.seconds)
    return latest

"""Foresees how many requests the reading of a list takes, and how long the budget makes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from syncro_async.bulk.plan import Plan
from syncro_async.bulk.workplace import Workplace
from syncro_async.limiting.limiter import Budget
from syncro_async.limiting.rate_limit import RateLimit

# What an answer takes where none has been measured (s); against a minute it hardly counts.
USUAL_LATENCY = 0.3


def requests_for(total: int, page_size: int) -> int:
    """One request for a list on one page, else two readings of all pages (see `passes`)."""
    pages = max(1, math.ceil(total / page_size))
    return pages if pages == 1 else 2 * pages


def seconds_for(
    requests: int, budget: Budget, rates: Sequence[RateLimit], latency: float = USUAL_LATENCY
) -> float:
    """How long that many requests take from now on, behind those that already wait (s).

    What finds no free slot goes in rounds of `calls`: a slot returns a window and a guard after
    the answer it paid for, so a round takes seconds + guard + latency. The slowest rate decides.
    """
    if requests <= 0:
        return 0.0
    waiting = requests + budget.waiting - budget.available
    if waiting <= 0:
        return budget.gate_closed_for + latency
    return latency + max(_rounds(waiting, budget, rate, latency) for rate in rates)


def plan_for(requests: int, place: Workplace) -> Plan:
    """What so many requests mean now, if nobody else asks for more."""
    seconds = seconds_for(requests, place.budget(), place.rates)
    now = datetime.fromtimestamp(place.clock.wall(), UTC)
    return Plan(requests, seconds, now + timedelta(seconds=seconds))


def _rounds(waiting: int, budget: Budget, rate: RateLimit, latency: float) -> float:
    """How long the last of those waiting has to wait for its slot (s)."""
    cycle = rate.seconds + rate.guard + latency
    # A slot that is free now has to be used and to return before it helps one that waits.
    first = cycle if budget.available else budget.next_free_in
    return first + (math.ceil(waiting / rate.calls) - 1) * cycle

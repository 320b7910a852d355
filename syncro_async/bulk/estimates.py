"""Foresees how many requests the reading of a list takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from syncro_async._internal.checks import is_int
from syncro_async._internal.plain_text import shown
from syncro_async.bulk.exporting.split import EXTRA_REQUESTS
from syncro_async.bulk.job import JobContext
from syncro_async.errors import InvalidArgumentError
from syncro_async.limiting.protocol import Budget, Lane
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.models import base
from syncro_async.models.types import Moment


class Plan(base.Model, frozen=True):
    """A forecast: so many `requests` take `seconds`, which is until `finishes_at` (aware, UTC).

    It counts on this client's share of the budget alone: what others send meanwhile, and
    interactive calls still to come, make it later.
    """

    requests: int
    seconds: float
    finishes_at: Moment


def make_plan(requests: int, context: JobContext) -> Plan:
    """Return the plan of so many requests with the present budget. Nothing is sent.

    Raises `InvalidArgumentError` for what is no number of requests.
    """
    budget = context.budget()
    seconds = seconds_for(
        checked_requests(requests),
        context.rates,
        context.latency,
        budget,
        ahead=ahead_of(context.lane, budget),
    )
    return plan_for(requests, seconds, context.clock.wall())


def plan_for(requests: int, seconds: float, wall: float) -> Plan:
    """The plan that begins at `wall` (unix time). An end past year 9999 is an error."""
    try:
        return Plan(requests, seconds, datetime.fromtimestamp(wall + seconds, UTC))
    except (OverflowError, ValueError, OSError) as error:
        raise InvalidArgumentError(
            f"requests={shown(requests)} would not be done before year 9999", argument="requests"
        ) from error


def checked_requests(requests: int) -> int:
    """The same number. Raises `InvalidArgumentError` for what is no number of requests."""
    if not (is_int(requests) and 0 <= requests < _MOST):
        raise InvalidArgumentError(
            f"requests={shown(requests)} must be a whole number, 0 or more", argument="requests"
        )
    return requests


# More are not done before year 9999, and overflow a float.
_MOST = 10**15


def ahead_of(lane: Lane, budget: Budget) -> int:
    """How many of those in the queue go before a call that joins this lane now."""
    return budget.waiting if lane == "bulk" else budget.waiting - budget.waiting_bulk


def seconds_for(
    requests: int,
    rates: Sequence[RateLimit],
    latency: float,
    budget: Budget,
    *,
    ahead: int = 0,
) -> float:
    """How long it takes until the last of so many requests is answered (s), 0.0 for none.

    A slot returns window + guard after its answer (`limiting.slots`), so n requests of which c fit
    a window need (n − 1) // c rounds of window + guard + latency. The first round is what the
    budget has left now; the slots in use are taken to return evenly until it is over.
    """
    if requests < 1:
        return 0.0
    place = requests + ahead - 1
    from_idle = max(_sent_after(place, rate, latency) for rate in rates)
    from_now = _sent_after_now(place, rates, latency, budget)
    return max(from_idle, from_now, budget.gate_closed_for) + latency


def _sent_after(place: int, rate: RateLimit, latency: float) -> float:
    """When the request with `place` others before it goes, all slots of the limit being free."""
    rounds = place // rate.calls * (rate.hold_seconds + latency)
    if rate.burst is None:
        return rounds
    return max(rounds, (place + 1 - rate.burst) * rate.seconds / rate.calls)


def _sent_after_now(
    place: int, rates: Sequence[RateLimit], latency: float, budget: Budget
) -> float:
    waiting = place - budget.available
    if waiting < 0:
        return 0.0
    hold = max((rate.hold_seconds for rate in rates if rate.seconds == budget.window), default=0.0)
    period = max(hold, budget.window) + latency
    limit = max(1, budget.limit)
    taken = max(0, limit - budget.available)
    rounds, part = divmod(waiting, limit)
    if part >= taken:
        return (rounds + 1) * period
    # While a slot is free, nothing tells when the next of those in use returns.
    first = period / (taken + 1) if budget.available else min(budget.next_free_in, period)
    return rounds * period + first + (period - first) * part / taken


def requests_for(total: int, page_size: int, *, once: bool = False) -> int:
    """Return how many requests the complete reading of a list of `total` leads takes.

    A list on one page takes one, any other list two for each page. With `once` a long list takes
    one for each page, and three: the first and the last look at the whole list, and the young part.
    """
    pages = max(1, math.ceil(total / page_size))
    if once and pages > EXTRA_REQUESTS:
        return pages + 3
    return pages if pages == 1 else 2 * pages

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from syncro_async import AsyncClient, Budget, RateLimit
from syncro_async.bulk.estimates import seconds_for
from syncro_async.testing import FakeClock, sandbox_client

MINUTE = (RateLimit(60, 60.0),)


def budget(available: int, next_free_in: float = 0.0, **more: Any) -> Budget:
    return Budget(60, 60.0, available, 0, more.pop("waiting", 0), next_free_in, **more)


@pytest.mark.parametrize(
    ("requests", "now", "seconds"),
    [
        (0, budget(60), 0.0),
        (1, budget(60), 0.5),
        (60, budget(60), 0.5),
        (61, budget(60), 60.75 + 0.5),
        (50_000, budget(60), 833 * 60.75 + 0.5),
        (10, budget(10), 0.5),
        (11, budget(10), 60.75 / 51 + 0.5),  # the first of fifty that return evenly
        (61, budget(10), 60.75 + 0.5),  # those of now, once more
        (1, budget(0, 20.0), 20.0 + 0.5),  # the next slot that returns
        (31, budget(0, 20.0), 20.0 + 30 / 60 * 40.75 + 0.5),  # they return one after the other
        (61, budget(0, 20.0), 60.75 + 20.0 + 0.5),
        (1, budget(0, 0.0, gate_closed_for=90.0), 90.5),
    ],
)
def test_a_plan_is_the_bound_of_the_budget_as_it_is_now(
    requests: int, now: Budget, seconds: float
) -> None:
    assert seconds_for(requests, MINUTE, 0.5, now) == pytest.approx(seconds)


def test_of_several_limits_the_slowest_decides_and_a_burst_spreads_the_rest() -> None:
    both = (RateLimit(60, 60.0), RateLimit(5, 1.0))
    assert seconds_for(31, both, 0.0, budget(60)) == pytest.approx(6 * 1.25)
    gentle = (RateLimit(60, 60.0, burst=10),)
    assert seconds_for(50, gentle, 0.0, budget(60)) == pytest.approx(40.0)


def test_what_waits_ahead_goes_first() -> None:
    assert seconds_for(1, MINUTE, 0.0, budget(60), ahead=60) == pytest.approx(60.25)


async def test_the_client_plans_from_now_on_its_clock() -> None:
    clock = FakeClock()
    async with sandbox_client(leads=1, clock=clock) as syncro:
        plan = syncro.bulk.plan(601)
        assert plan.requests == 601
        assert plan.seconds == pytest.approx(10 * (60.25 + 0.3) + 0.3)
        began = datetime.fromtimestamp(clock.wall(), UTC)
        assert plan.finishes_at == began + timedelta(seconds=plan.seconds)
        await syncro.leads.get(1)  # answered at once: from now on the latency is known
        assert syncro.bulk.plan(660).seconds == pytest.approx(10.5 * 60.25)
        assert syncro.with_options(lane="interactive").bulk.plan(1).seconds < 1


@pytest.mark.parametrize("requests", [-1, 1.5, True, 10**13])
async def test_what_is_no_number_of_requests_is_refused(requests: Any) -> None:
    async with AsyncClient("key", clock=FakeClock()) as syncro:
        with pytest.raises(ValueError, match="requests="):
            syncro.bulk.plan(requests)

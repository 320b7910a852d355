from __future__ import annotations

import pytest

from syncro_async import Budget, RateLimit
from syncro_async.bulk.export_plan import requests_for, seconds_for

MINUTE = (RateLimit(60, 60.0),)


def a_budget(
    available: int, *, waiting: int = 0, next_free_in: float = 0.0, closed: float = 0.0
) -> Budget:
    return Budget(
        60,
        60.0,
        available,
        in_flight=0,
        waiting=waiting,
        next_free_in=next_free_in,
        gate_closed_for=closed,
    )


@pytest.mark.parametrize(
    ("total", "requests"), [(0, 1), (1, 1), (200, 1), (201, 4), (400, 4), (50_000, 500)]
)
def test_one_page_is_read_once_and_any_other_list_twice(total: int, requests: int) -> None:
    assert requests_for(total, 200) == requests


@pytest.mark.parametrize(
    ("requests", "budget", "seconds"),
    [
        (0, a_budget(0, next_free_in=30.0), 0.0),
        (2, a_budget(2), 0.5),  # two slots are free
        (2, a_budget(2, closed=9.0), 9.5),  # once the pause is over
        (3, a_budget(2), 61.25),  # the third waits for one of the two to return
        (3, a_budget(2, waiting=60), 121.5 + 0.5),  # behind all who stand there already
        (1, a_budget(0, next_free_in=12.0), 12.5),
        (60, a_budget(0, next_free_in=12.0), 12.5),  # one full round
        (61, a_budget(0, next_free_in=12.0), 73.25),  # and one request of the next
    ],
)
def test_the_time_is_what_the_budget_makes_of_it(
    requests: int, budget: Budget, seconds: float
) -> None:
    assert seconds_for(requests, budget, MINUTE, latency=0.5) == pytest.approx(seconds)


def test_the_slowest_of_several_rates_decides() -> None:
    rates = (*MINUTE, RateLimit(1000, 3600.0))
    assert seconds_for(1001, a_budget(0), rates) == pytest.approx(3600.25 + 0.6)

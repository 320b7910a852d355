"""The pace of the bulk lane, as pure functions."""

from __future__ import annotations

import pytest

from syncro_async.limiting.budget.pacing import (
    INTERACTIVE_MEMORY,
    Pace,
    bulk_available_at,
    pace_of,
    paced_after,
    refund,
    spend,
    within_pace,
)

SECOND = Pace(1.0, 0.5, 10)


def test_the_pace_is_that_of_the_tightest_limit() -> None:
    assert pace_of([(60, 60.25)]) == Pace(60.25 / 60, 60.25 / 120, 10)
    assert pace_of([(60, 60.25), (10, 20.0)]) == Pace(2.0, 1.0, 1)


def test_a_small_limit_leaves_the_order_of_the_lanes_as_it_is() -> None:
    assert pace_of([(5, 60.25)]).advance == 0


def test_a_high_limit_allows_for_late_timers() -> None:
    assert pace_of([(600, 1.2)]) == Pace(0.002, 0.05, 100)


def test_a_bulk_lane_alone_is_not_paced() -> None:
    next_at = spend(SECOND, 0.0, 100.0)
    assert bulk_available_at(SECOND, 0.0, next_at, 100.0, place=50) == 100.0
    assert within_pace(SECOND, 0.0, next_at, 100.0, 50) == 50


def test_an_interactive_call_paces_the_bulk_lane_for_ten_minutes() -> None:
    until = paced_after(100.0)
    assert until == 100.0 + INTERACTIVE_MEMORY == 700.0
    next_at = spend(SECOND, 0.0, 100.0)
    at = [bulk_available_at(SECOND, until, next_at, 100.0, place=place) for place in range(3)]
    assert at == [100.5, 101.5, 102.5]
    assert bulk_available_at(SECOND, until, next_at, 102.0) == 102.0
    assert bulk_available_at(SECOND, until, next_at, 102.0, place=1000) == 700.0
    assert bulk_available_at(SECOND, until, next_at, 701.0, place=1000) == 701.0


def test_calls_of_both_lanes_use_up_the_pace() -> None:
    next_at = 0.0
    for _ in range(10):
        next_at = spend(SECOND, next_at, 100.0)
    assert bulk_available_at(SECOND, 700.0, next_at, 100.0) == 109.5


def test_a_call_that_was_not_counted_does_not_delay_the_next_one() -> None:
    next_at = refund(SECOND, spend(SECOND, 0.0, 100.0))
    assert bulk_available_at(SECOND, 700.0, next_at, 100.0) == 100.0


@pytest.mark.parametrize("pace", [SECOND, Pace(0.002, 0.05, 100), Pace(15.0, 7.5, 0)], ids=repr)
@pytest.mark.parametrize("next_at", [0.0, 99.0, 99.96, 100.0, 100.0305, 100.5, 101.0, 160.0])
def test_as_many_are_due_as_are_available_now(pace: Pace, next_at: float) -> None:
    at = [bulk_available_at(pace, 700.0, next_at, 100.0, place) for place in range(40)]
    assert within_pace(pace, 700.0, next_at, 100.0, 40) == at.count(100.0)

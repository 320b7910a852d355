"""The waits between attempts, and the numbers they are made of."""

from __future__ import annotations

import math
from typing import Any

import pytest

from syncro_async.errors import ConfigurationError
from syncro_async.retrying.policy import RetryPolicy, backoff

ALMOST_ONE = math.nextafter(1.0, 0.0)


def longest() -> float:
    return ALMOST_ONE


def test_the_longest_wait_doubles_with_each_attempt_up_to_the_cap() -> None:
    policy = RetryPolicy(base_delay=0.5, max_delay=30.0, random=longest)
    waits = [backoff(policy, attempts) for attempts in range(1, 10)]
    assert waits == pytest.approx([0.5, 1, 2, 4, 8, 16, 30, 30, 30])
    assert max(waits) < 30.0


def test_a_wait_may_be_as_short_as_nothing() -> None:
    policy = RetryPolicy(random=lambda: 0.0)
    assert backoff(policy, 5) == 0.0


def test_the_jitter_covers_the_whole_interval_evenly() -> None:
    policy = RetryPolicy(base_delay=8.0, max_delay=8.0)
    waits = [backoff(policy, 1) for _ in range(4000)]
    assert 0.0 <= min(waits) < 0.1
    assert 7.9 < max(waits) < 8.0
    assert sum(waits) / len(waits) == pytest.approx(4.0, abs=0.2)


@pytest.mark.parametrize("attempts", [61, 1000, 10**9])
def test_very_many_attempts_wait_no_longer_than_the_cap(attempts: int) -> None:
    assert backoff(RetryPolicy(random=longest), attempts) <= 30.0


def test_no_delay_at_all_is_a_policy_too() -> None:
    assert backoff(RetryPolicy(base_delay=0.0, random=longest), 100) == 0.0


@pytest.mark.parametrize(
    ("numbers", "named"),
    [
        ({"attempts": 0}, "attempts=0"),
        ({"attempts": -1}, "attempts=-1"),
        ({"attempts": 2.5}, "attempts=2.5"),
        ({"attempts": True}, "attempts=True"),
        ({"base_delay": True}, "base_delay=True"),
        ({"max_elapsed": None}, "max_elapsed=None"),
        ({"base_delay": -0.1}, "base_delay=-0.1"),
        ({"base_delay": math.nan}, "base_delay=nan"),
        ({"max_delay": -1}, "max_delay=-1"),
        ({"max_elapsed": -1}, "max_elapsed=-1"),
        ({"max_elapsed": math.nan}, "max_elapsed=nan"),
    ],
)
def test_numbers_that_make_no_sense_are_refused_by_name(
    numbers: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigurationError, match=named):
        RetryPolicy(**numbers)


def test_a_policy_may_never_try_again_or_never_give_up() -> None:
    assert RetryPolicy(attempts=1).attempts == 1
    assert RetryPolicy(max_elapsed=math.inf).max_elapsed == math.inf

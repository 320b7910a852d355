"""What a `RateLimit` may say."""

from __future__ import annotations

import math
from typing import Any

import pytest

from syncro_async.errors import ConfigurationError
from syncro_async.limiting.rate_limit import RateLimit, as_rates


@pytest.mark.parametrize(
    ("numbers", "named"),
    [
        ((0, 60.0), "calls=0"),
        ((-1, 60.0), "calls=-1"),
        ((1.5, 60.0), "calls=1.5"),
        ((True, 60.0), "calls=True"),
        ((60, 0.0), "seconds=0.0"),
        ((60, -1.0), "seconds=-1.0"),
        ((60, math.inf), "seconds=inf"),
        ((60, math.nan), "seconds=nan"),
        ((60, "60"), "seconds='60'"),
        ((60, True), "seconds=True"),
        ((60, 60.0, None, None), "guard=None"),
        ((60, 60.0, 0), "burst=0"),
        ((60, 60.0, 61), "burst=61"),
        ((60, 60.0, 1.5), "burst=1.5"),
        ((60, 60.0, True), "burst=True"),
        ((60, 60.0, None, -0.1), "guard=-0.1"),
        ((60, 60.0, None, math.inf), "guard=inf"),
        ((60, 60.0, None, math.nan), "guard=nan"),
    ],
)
def test_a_limit_that_cannot_be_is_refused_by_name(numbers: tuple[Any, ...], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        RateLimit(*numbers)


def test_a_slot_is_held_for_the_window_and_the_guard() -> None:
    assert RateLimit(60, 60.0).hold_seconds == 60.25
    assert RateLimit(1, 2.0, burst=1, guard=1.1).hold_seconds == 3.1


def test_one_limit_or_several_become_a_tuple() -> None:
    minute, hour = RateLimit(60, 60.0), RateLimit(1000, 3600.0)
    assert as_rates(minute) == (minute,)
    assert as_rates([minute, hour]) == (minute, hour)


@pytest.mark.parametrize("nothing", [[], [60], [RateLimit(1, 1.0), None], 60, None])
def test_what_is_no_limit_is_refused(nothing: Any) -> None:
    with pytest.raises(ConfigurationError, match="RateLimit"):
        as_rates(nothing)

"""The burst of a limit, as pure functions."""

from __future__ import annotations

import msgspec
import pytest

from syncro_async.limiting.budget.burst import (
    BurstShape,
    available_at,
    burst_shape,
    refund,
    room,
    spend,
)

SHAPE = burst_shape(60, 60.0, 10)


def test_a_whole_burst_leaves_at_once_and_the_others_follow_evenly() -> None:
    tat, moments, now = 0.0, [], 1000.0
    for _ in range(13):
        now = available_at(SHAPE, tat, now)
        tat = spend(SHAPE, tat, now)
        moments.append(now)
    assert moments == pytest.approx([1000.0] * 10 + [1001.0, 1002.0, 1003.0])


def test_a_forecast_says_the_same_as_the_calls_themselves() -> None:
    assert [available_at(SHAPE, 0.0, 1000.0, place=place) for place in (0, 9, 10, 12)] == [
        1000.0,
        1000.0,
        1001.0,
        1003.0,
    ]


def test_the_room_shrinks_with_each_call_and_grows_with_time() -> None:
    tat = 0.0
    assert room(SHAPE, tat, 1000.0) == 10
    for left in range(9, -1, -1):
        tat = spend(SHAPE, tat, 1000.0)
        assert room(SHAPE, tat, 1000.0) == left
    assert available_at(SHAPE, tat, 1000.0) == 1001.0
    assert room(SHAPE, tat, 1003.0) == 3
    assert room(SHAPE, tat, 2000.0) == 10


def test_a_call_that_was_not_sent_is_given_back() -> None:
    assert room(SHAPE, refund(SHAPE, spend(SHAPE, 0.0, 1000.0)), 1000.0) == 10


def test_a_rounding_error_does_not_cost_a_second_wait() -> None:
    shape = burst_shape(977, 60.0, 1)
    tat = spend(shape, 0.0, 3e7 + 1 / 3)
    assert available_at(shape, tat, tat - 1e-9) == tat - 1e-9


def test_the_shape_can_be_stored() -> None:
    assert msgspec.json.decode(msgspec.json.encode(SHAPE), type=BurstShape) == SHAPE

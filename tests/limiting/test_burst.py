"""`RateLimit.burst`: some at once, the rest evenly after."""

from __future__ import annotations

from itertools import pairwise

import pytest

from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.limiting.protocol import NotCounted
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.testing.fake_clock import FakeClock
from tests.limiting.waiters import Line, still_clock


async def test_a_burst_leaves_at_once_and_the_others_follow_evenly() -> None:
    line = Line(still_clock(), RateLimit(60, 60.0, burst=3))
    await line.call(*(f"call {number}" for number in range(7)))
    await line.clock.advance(4)
    assert [at for _, at in line.let_go] == [1000, 1000, 1000, 1001, 1002, 1003, 1004]


async def test_a_bucket_partly_drained_lets_the_next_one_go_as_soon_as_it_can() -> None:
    line = Line(still_clock(), RateLimit(60, 60.0, burst=1))
    await line.call("a")
    await line.clock.advance(0.75)
    await line.call("b")
    await line.clock.advance(10)
    assert line.let_go[1] == ("b", 1001.0)


@pytest.mark.parametrize("start", [0.1, 1234.567, 3e7 + 1 / 3])
@pytest.mark.parametrize("calls", [7, 13, 60, 977])
async def test_rounding_never_costs_a_second_wait(start: float, calls: int) -> None:
    line = Line(FakeClock(start=start, autojump=False), RateLimit(calls, 60.0, burst=1))
    names = [f"call {number}" for number in range(calls)]
    await line.call(*names)
    await line.clock.advance(60.1)
    assert line.names == names
    interval = 60.0 / calls
    gaps = [later - earlier for (_, earlier), (_, later) in pairwise(line.let_go)]
    assert gaps == pytest.approx([interval] * (calls - 1), abs=1e-4)


async def test_the_windows_slots_hold_on_top_of_the_pace() -> None:
    line = Line(still_clock(), RateLimit(4, 4.0, burst=2, guard=0.5))
    await line.call(*"abcdef")
    await line.answer("a", "b")
    await line.clock.advance(20)
    assert line.let_go[:4] == [("a", 1000), ("b", 1000), ("c", 1001), ("d", 1002)]
    assert line.let_go[4:] == [("e", 1004.5), ("f", 1004.5)]


async def test_each_of_several_limits_has_its_own_pace() -> None:
    line = Line(still_clock(), RateLimit(6, 6.0, burst=3), RateLimit(5, 10.0, burst=4))
    await line.call(*"abcdef")
    await line.clock.advance(5)
    assert [at for _, at in line.let_go] == [1000, 1000, 1000, 1001, 1002]


async def test_a_call_that_was_not_sent_gives_its_place_in_the_pace_back() -> None:
    limiter = InProcessLimiter([RateLimit(60, 60.0, burst=2)], still_clock())
    for _ in range(30):
        slot = await limiter.acquire("interactive", max_wait=0.0)
        await limiter.release(slot, NotCounted())
    assert limiter.budget().available == 2

"""The pause after a 429, and how calls come back after it."""

from __future__ import annotations

import asyncio

import pytest

from syncro_async.errors import BudgetWaitError
from syncro_async.limiting.protocol import Answered, Throttled, Unknown
from syncro_async.limiting.rate_limit import RateLimit
from tests.limiting.waiters import Line, still_clock

TEN = RateLimit(10, 60.0, guard=0.0)


async def closed_line(*rates: RateLimit, pause: float = 30.0) -> Line:
    """A line whose call "refused" was answered 429 at 1000.0."""
    line = Line(still_clock(), *(rates or (TEN,)))
    await line.call("refused")
    await line.limiter.release(line.slots["refused"], Throttled(pause))
    return line


async def test_a_429_pauses_every_call_then_one_goes_alone_then_the_othersin_order() -> None:
    line = await closed_line()
    await line.call("a", "b", "c")
    await line.clock.advance(29.9)
    assert line.names == ["refused"]
    await line.clock.advance(0.1)
    assert line.let_go[1:] == [("a", 1030.0)]
    await line.clock.advance(5)
    assert line.names == ["refused", "a"]
    await line.answer("a")
    assert line.let_go[2:] == [("b", 1035.0), ("c", 1035.0)]


async def test_a_429_takes_no_slot() -> None:
    line = await closed_line()
    await line.clock.advance(30)
    await line.call("a")
    await line.answer("a")
    assert line.limiter.budget().available == 9


async def test_a_call_that_comes_to_a_gate_half_open_waits_for_the_opener() -> None:
    line = await closed_line()
    await line.clock.advance(31)
    await line.call("a")
    await line.call("b")
    assert line.names == ["refused", "a"]
    assert line.limiter.budget().available == 0
    await line.answer("a")
    assert line.names == ["refused", "a", "b"]


async def test_the_refused_call_is_the_first_to_go_again() -> None:
    line = await closed_line()
    await line.call("a")
    await line.call("refused again", requeued=True)
    await line.clock.advance(30)
    assert line.names == ["refused", "refused again"]


async def test_an_opener_that_is_refused_closes_the_gate_again() -> None:
    line = await closed_line()
    await line.call("a", "b")
    await line.clock.advance(30)
    await line.limiter.release(line.slots["a"], Throttled(10.0))
    await line.clock.advance(9.9)
    assert line.names == ["refused", "a"]
    await line.clock.advance(0.1)
    assert line.let_go[2:] == [("b", 1040.0)]


@pytest.mark.parametrize("lost", [True, False])
async def test_an_opener_without_an_answer_leaves_the_next_one_to_open(*, lost: bool) -> None:
    line = await closed_line()
    await line.call("a", "b", "c")
    await line.clock.advance(30)
    if lost:
        await line.limiter.release(line.slots["a"], Unknown())
        await line.clock.advance(0)
    else:
        await line.hand_back("a")
    assert line.names == ["refused", "a", "b"]
    await line.answer("b")
    assert line.names == ["refused", "a", "b", "c"]


async def test_an_opener_cancelled_before_it_runs_leaves_the_next_one_to_open() -> None:
    line = await closed_line()
    await line.call("a", "b", "c")
    line.clock._now += 30  # the timer is due, and both are still to run
    line.clock._fire_next()
    await line.cancel("a")
    assert line.names == ["refused", "b"]


async def test_a_429_that_comes_late_closes_the_gate_under_the_opener() -> None:
    line = Line(still_clock(), TEN)
    await line.call("early", "refused")
    await line.limiter.release(line.slots["refused"], Throttled(30.0))
    await line.call("a", "b")
    await line.clock.advance(31)
    assert line.names == ["early", "refused", "a"]
    await line.limiter.release(line.slots["early"], Throttled(30.0))
    await line.answer("a")
    await line.clock.advance(29.9)
    assert line.names == ["early", "refused", "a"]
    await line.clock.advance(0.1)
    assert line.let_go[3:] == [("b", 1061.0)]
    await line.call("c")
    assert line.names[-1] == "b"  # "b" opens, alone
    await line.answer("b")
    assert line.names[-1] == "c"


async def test_a_late_429_that_asks_for_less_does_not_shorten_the_pause() -> None:
    line = Line(still_clock(), TEN)
    await line.call("early", "refused")
    await line.limiter.release(line.slots["refused"], Throttled(30.0))
    await line.limiter.release(line.slots["early"], Throttled(1.0))
    await line.call("a")
    await line.clock.advance(29)
    assert line.names == ["early", "refused"]
    await line.clock.advance(1)
    assert line.names == ["early", "refused", "a"]


async def test_an_answer_to_a_call_from_before_the_pause_opens_nothing() -> None:
    line = Line(still_clock(), TEN)
    await line.call("early", "refused")
    await line.limiter.release(line.slots["refused"], Throttled(30.0))
    await line.call("a", "b")
    await line.answer("early")
    assert line.names == ["early", "refused"]
    await line.clock.advance(30)
    assert line.names == ["early", "refused", "a"]


async def test_a_closed_gate_and_full_slots_and_a_pace_all_have_their_say() -> None:
    limits = (RateLimit(2, 60.0, guard=0.0), RateLimit(10, 10.0, burst=1))
    line = Line(still_clock(), *limits)
    await line.call("x")
    await line.answer("x")
    await line.clock.advance(1)
    await line.call("y")
    await line.limiter.release(line.slots["y"], Throttled(5.0))
    await line.call("a", "b", "c", "d")
    await line.clock.advance(5)
    assert line.let_go[2:] == [("a", 1006.0)]
    await line.answer("a")
    await line.clock.advance(54)
    assert line.let_go[3:] == [("b", 1060.0)]
    await line.clock.advance(7)
    assert line.let_go[4:] == [("c", 1066.0)]
    await line.answer("b")
    await line.clock.advance(60)
    assert line.let_go[5:] == [("d", 1127.0)]


async def test_who_cannot_outwait_the_pause_is_told_at_once() -> None:
    line = await closed_line()
    with pytest.raises(BudgetWaitError) as caught:
        await line.limiter.acquire("interactive", max_wait=29.0)
    assert caught.value.wait_needed == 30.0
    assert line.limiter.budget().waiting == 0


async def test_a_new_opener_is_waited_for_when_the_forecast_is_made() -> None:
    line = Line(still_clock(), TEN)
    await line.call("slow", "refused")
    await line.clock.advance(10)
    await line.answer("slow")  # latency is taken to be 2 s from now on
    await line.limiter.release(line.slots["refused"], Throttled(30.0))
    await line.call("a")
    with pytest.raises(BudgetWaitError) as caught:
        await line.limiter.acquire("interactive", max_wait=0.0)
    assert caught.value.wait_needed == pytest.approx(32.0)
    await line.clock.advance(30)
    with pytest.raises(BudgetWaitError) as caught:
        await line.limiter.acquire("interactive", max_wait=0.0)
    assert caught.value.wait_needed == pytest.approx(2.0)


async def test_a_limiter_with_a_pause_to_keep_is_not_idle() -> None:
    line = await closed_line()
    assert not line.limiter.is_idle()
    await line.clock.advance(30)
    assert line.limiter.is_idle()


async def test_many_refusals_at_once_end_in_one_pause_and_one_opener() -> None:
    line = Line(still_clock(), TEN)
    names = [f"call {number}" for number in range(10)]
    await line.call(*names)
    for name in names:
        await line.limiter.release(line.slots[name], Throttled(5.0))
    await line.call(*(f"{name} again" for name in names), requeued=True)
    await line.clock.advance(5)
    assert line.names[10:] == ["call 0 again"]
    await line.limiter.release(line.slots["call 0 again"], Answered(line.clock.monotonic()))
    await asyncio.sleep(0)
    await line.clock.advance(0)
    assert line.names[10:] == [f"{name} again" for name in names]


async def test_a_slot_holds_until_a_429_closes_the_gate_behind_it() -> None:
    line = Line(still_clock(), RateLimit(5, 60.0))
    await line.call("a", "b")
    assert line.limiter.is_valid(line.slots["b"])

    await line.limiter.release(line.slots["a"], Throttled(30.0))

    assert not line.limiter.is_valid(line.slots["b"])
    await line.hand_back("b")
    await line.call("opener")
    await line.clock.advance(30.0)
    assert line.limiter.is_valid(line.slots["opener"])

"""`budget()`: a snapshot that says what may be done now."""

from __future__ import annotations

from syncro_async.limiting.protocol import Budget, Throttled
from syncro_async.limiting.rate_limit import RateLimit
from tests.limiting.waiters import Line, still_clock


async def test_an_unused_budget_is_all_there() -> None:
    line = Line(still_clock(), RateLimit(60, 60.0))
    assert line.limiter.budget() == Budget(60, 60.0, 60, 0, 0, 0.0, 0, 0.0)
    assert line.limiter.rates == (RateLimit(60, 60.0),)


async def test_calls_in_flight_waiting_and_slots_used_are_told_apart() -> None:
    line = Line(still_clock(), RateLimit(4, 60.0, guard=0.5))
    await line.call("a", "b", "c", "d")
    await line.call("e")
    await line.call("f", "g", lane="bulk")
    await line.clock.advance(2)
    await line.answer("a", "b")
    await line.clock.advance(3)
    budget = line.limiter.budget()
    assert budget == Budget(
        limit=4,
        window=60.0,
        available=0,
        in_flight=2,
        waiting=3,
        next_free_in=57.5,
        waiting_bulk=2,
        gate_closed_for=0.0,
        used=2,
    )


async def test_the_next_free_slot_is_estimated_while_all_are_in_flight() -> None:
    line = Line(still_clock(), RateLimit(2, 60.0))
    await line.call("a")
    await line.clock.advance(10)
    await line.answer("a")
    await line.clock.advance(100)
    await line.call("b", "c")
    # The first answer took 10 s; a fifth of that is believed so far.
    assert line.limiter.budget().next_free_in == 62.25


async def test_the_tightest_of_several_limits_is_shown() -> None:
    minute, hour = RateLimit(3, 60.0, guard=0.0), RateLimit(4, 3600.0, guard=0.0)
    line = Line(still_clock(), hour, minute)
    assert line.limiter.budget() == Budget(3, 60.0, 3, 0, 0, 0.0)
    await line.call("a", "b")
    await line.answer("a", "b")
    assert line.limiter.budget() == Budget(3, 60.0, 1, 0, 0, 0.0, used=2)
    await line.clock.advance(60)
    assert line.limiter.budget() == Budget(4, 3600.0, 2, 0, 0, 0.0, used=2)
    await line.call("c", "d")
    await line.answer("c", "d")
    assert line.limiter.budget() == Budget(4, 3600.0, 0, 0, 0, 3540.0, used=4)


async def test_of_two_limits_equally_used_up_the_smaller_is_the_tightest() -> None:
    line = Line(still_clock(), RateLimit(5, 3600.0), RateLimit(5, 60.0), RateLimit(4, 1.0))
    await line.call("a")
    budget = line.limiter.budget()
    assert (budget.limit, budget.window, budget.available) == (4, 1.0, 3)


async def test_a_closed_gate_leaves_nothing_to_use_until_one_may_open_it() -> None:
    line = Line(still_clock(), RateLimit(60, 60.0))
    await line.call("refused")
    await line.limiter.release(line.slots["refused"], Throttled(30.0))
    await line.clock.advance(10)
    budget = line.limiter.budget()
    assert (budget.available, budget.gate_closed_for, budget.next_free_in) == (0, 20.0, 20.0)
    await line.clock.advance(20)
    budget = line.limiter.budget()
    assert (budget.available, budget.gate_closed_for, budget.next_free_in) == (1, 0.0, 0.0)
    await line.call("opener")
    assert line.limiter.budget().available == 0
    await line.answer("opener")
    assert line.limiter.budget().available == 59


async def test_of_a_paced_budget_only_the_burst_may_be_used_at_once() -> None:
    line = Line(still_clock(), RateLimit(60, 60.0, burst=2))
    assert line.limiter.budget().available == 2
    await line.call("a", "b")
    await line.clock.advance(0.25)
    budget = line.limiter.budget()
    assert (budget.available, budget.next_free_in) == (0, 0.75)
    await line.clock.advance(0.75)
    assert line.limiter.budget().available == 1

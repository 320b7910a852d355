"""Who goes next: first come, first served in each lane, and what cancelling changes."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise

import pytest

from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.limiting.protocol import Answered, Lane, NotCounted, Unknown
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.testing.fake_clock import FakeClock
from tests.limiting.waiters import Line, still_clock, within_virtual_days

# One slot, back 10 s after its answer.
ONE = RateLimit(1, 10.0, guard=0.0)
TWO = RateLimit(2, 10.0, guard=0.0)


async def test_all_calls_of_a_window_leave_at_once_and_the_next_waits_for_a_slot() -> None:
    line = Line(still_clock(), RateLimit(3, 60.0))
    await line.call("a", "b", "c", "d")
    assert line.let_go == [("a", 1000.0), ("b", 1000.0), ("c", 1000.0)]
    await line.clock.advance(2)
    await line.answer("b")
    await line.clock.advance(60.2)
    assert line.names == ["a", "b", "c"]
    await line.clock.advance(0.1)
    assert line.let_go[3] == ("d", 1062.25)


async def test_calls_go_in_the_order_in_which_they_came() -> None:
    line = Line(still_clock(), ONE)
    names = [f"call {number}" for number in range(6)]
    await line.call(*names)
    for name in names:
        await line.answer(name)
        await line.clock.advance(10)
    assert line.let_go == [(name, 1000.0 + 10 * i) for i, name in enumerate(names)]


async def test_a_newcomer_never_overtakes_the_queue_when_a_slot_falls_free() -> None:
    line = Line(still_clock(), ONE)
    await line.call("a", "b")
    # The slot is free, but "b" has not been woken yet when "c" asks for it.
    newcomer = asyncio.create_task(line.limiter.acquire("interactive"))
    await line.hand_back("a")
    assert line.names == ["a", "b"]
    newcomer.cancel()


async def test_a_lost_request_starts_its_clock_five_seconds_later() -> None:
    line = Line(still_clock(), ONE)
    await line.call("a", "b")
    await line.clock.advance(3)
    await line.limiter.release(line.slots["a"], Unknown())
    await line.clock.advance(14.9)
    assert line.names == ["a"]
    await line.clock.advance(0.1)
    assert line.let_go[1] == ("b", 1018.0)


async def test_a_slot_is_settled_only_once() -> None:
    line = Line(still_clock(), TWO)
    await line.call("a")
    for _ in range(3):
        await line.hand_back("a")
    assert line.limiter.budget().available == 2
    assert line.limiter.budget().in_flight == 0


async def test_several_limits_are_all_kept() -> None:
    line = Line(still_clock(), RateLimit(2, 10.0, guard=0.0), RateLimit(3, 100.0, guard=0.0))
    await line.call("a", "b", "c", "d")
    await line.answer("a", "b")
    await line.clock.advance(10)
    await line.answer("c")
    await line.clock.advance(80)
    assert line.names == ["a", "b", "c"]
    await line.clock.advance(10)
    assert line.let_go[2:] == [("c", 1010.0), ("d", 1100.0)]


# ------------------------------------------------------------------------------------------ lanes


async def order_of(line: Line, *, turns: int) -> list[str]:
    """Who goes in the next turns, one at a time."""
    first = len(line.names)
    for _ in range(turns):
        await line.hand_back(line.names[-1])
    return line.names[first:]


async def test_interactive_calls_go_before_bulk_calls_that_came_earlier() -> None:
    line = Line(still_clock(), ONE)
    await line.call("first")
    await line.call("bulk 1", "bulk 2", lane="bulk")
    await line.call("interactive 1", "interactive 2")
    expected = ["interactive 1", "interactive 2", "bulk 1", "bulk 2"]
    assert await order_of(line, turns=4) == expected


async def test_every_fifth_slot_is_for_bulk_calls_while_they_wait() -> None:
    line = Line(still_clock(), ONE)
    await line.call("first")
    await line.call(*(f"b{number}" for number in range(3)), lane="bulk")
    await line.call(*(f"i{number}" for number in range(14)))
    order = await order_of(line, turns=17)
    assert order == [
        *("i0", "i1", "i2", "i3", "b0"),
        *("i4", "i5", "i6", "i7", "b1"),
        *("i8", "i9", "i10", "i11", "b2"),
        *("i12", "i13"),
    ]


async def test_turns_that_nobody_in_the_bulk_lane_waited_for_do_not_count() -> None:
    line = Line(still_clock(), ONE)
    await line.call("first")
    await line.call(*(f"i{number}" for number in range(9)))
    assert await order_of(line, turns=4) == ["i0", "i1", "i2", "i3"]
    await line.call("b0", lane="bulk")
    assert await order_of(line, turns=6) == ["i4", "i5", "i6", "i7", "b0", "i8"]


async def test_a_bulk_call_that_is_cancelled_leaves_its_turn_to_the_next_one() -> None:
    line = Line(still_clock(), ONE)
    await line.call("first")
    await line.call("b0", "b1", lane="bulk")
    await line.call(*(f"i{number}" for number in range(9)))
    assert await order_of(line, turns=4) == ["i0", "i1", "i2", "i3"]
    await line.limiter.release(line.slots["i3"], NotCounted())  # "b0" is woken …
    await line.cancel("b0")  # … and is gone before it gets to run
    assert line.names[-1] == "b1"
    assert await order_of(line, turns=2) == ["i4", "i5"]


async def test_a_bulk_call_cancelled_right_before_its_turn_does_not_use_it_up() -> None:
    line = Line(still_clock(), ONE)
    await line.call("first")
    await line.call("b0", "b1", lane="bulk")
    await line.call(*(f"i{number}" for number in range(9)))
    assert await order_of(line, turns=4) == ["i0", "i1", "i2", "i3"]
    line.tasks["b0"].cancel()  # still in the queue when the turn comes
    assert await order_of(line, turns=1) == ["b1"]


async def test_an_interactive_call_that_is_cancelled_leaves_its_turn_to_the_next_one() -> None:
    line = Line(still_clock(), ONE)
    await line.call("first")
    await line.call("b0", lane="bulk")
    await line.call(*(f"i{number}" for number in range(9)))
    assert await order_of(line, turns=3) == ["i0", "i1", "i2"]
    await line.limiter.release(line.slots["i2"], NotCounted())
    await line.cancel("i3")
    assert line.names[-1] == "i4"
    assert await order_of(line, turns=2) == ["b0", "i5"]


async def test_calls_that_came_first_stand_before_the_others_in_the_order_they_came_back() -> None:
    line = Line(still_clock(), ONE)
    await line.call("first")
    await line.call("a", "b")
    await line.call("refused 1", "refused 2", requeued=True)
    assert await order_of(line, turns=4) == ["refused 1", "refused 2", "a", "b"]


@pytest.mark.parametrize("seed", range(3))
def test_bulk_is_never_starved_whoever_comes_and_goes(seed: int) -> None:
    asyncio.run(come_and_go(random.Random(seed)))  # noqa: S311


async def come_and_go(dice: random.Random) -> None:
    clock = FakeClock()
    limiter = InProcessLimiter([RateLimit(3, 1.0, guard=0.0)], clock)
    used: list[tuple[Lane, bool]] = []

    async def call(lane: Lane, max_wait: float) -> None:
        waiting = asyncio.ensure_future(limiter.acquire(lane))
        done, _ = await asyncio.wait(
            [waiting, asyncio.ensure_future(clock.sleep(max_wait))],
            return_when=asyncio.FIRST_COMPLETED,
        )
        if waiting not in done:
            waiting.cancel()
            return
        used.append((lane, limiter.budget().waiting_bulk > 0))
        await limiter.release(waiting.result(), Answered(clock.monotonic()))

    calls = []
    for _ in range(300):
        lane: Lane = "bulk" if dice.random() < 0.3 else "interactive"
        calls.append(asyncio.ensure_future(call(lane, dice.choice([5.0, 50.0, 500.0]))))
        await clock.sleep(dice.random() * 0.2)
    await within_virtual_days(clock, asyncio.gather(*calls))
    in_a_row = longest = 0
    for lane, bulk_waits in used:
        in_a_row = in_a_row + 1 if lane == "interactive" and bulk_waits else 0
        longest = max(longest, in_a_row)
    assert longest == 4
    assert limiter.budget().waiting == 0


# ------------------------------------------------------------------------------------ cancellation


async def test_a_call_cancelled_in_the_middle_of_its_lane_changes_nothing_for_the_others() -> None:
    line = Line(still_clock(), ONE)
    await line.call("first")
    await line.call("a", "b", "c")
    await line.cancel("b")
    assert line.limiter.budget().waiting == 2
    assert await order_of(line, turns=2) == ["a", "c"]


async def test_the_timer_of_a_cancelled_call_still_wakes_the_next_one() -> None:
    line = Line(still_clock(), ONE)
    await line.call("first")
    await line.answer("first")
    await line.call("a", "b")
    await line.cancel("a")
    await line.clock.advance(10)
    assert line.let_go[1:] == [("b", 1010.0)]


async def test_a_call_that_comes_after_all_waiters_were_cancelled_is_woken_in_time() -> None:
    line = Line(still_clock(), ONE)
    await line.call("first")
    await line.answer("first")
    await line.call("a", "b")
    await line.cancel("a", "b")
    await line.clock.advance(4)
    await line.call("c")
    await line.clock.advance(6)
    assert line.let_go[1:] == [("c", 1010.0)]


async def test_a_timer_that_nobody_waits_for_any_more_rings_in_vain() -> None:
    line = Line(still_clock(), ONE)
    await line.call("first")
    await line.answer("first")
    await line.call("a")
    await line.cancel("a")
    await line.clock.advance(100)
    assert line.names == ["first"]
    assert line.limiter.is_idle()


async def test_a_call_cancelled_just_when_its_slot_comes_hands_it_on() -> None:
    line = Line(still_clock(), ONE)
    await line.call("first")
    await line.call("a", "b")
    await line.limiter.release(line.slots["first"], NotCounted())
    await line.cancel("a")
    assert line.names == ["first", "b"]
    await line.hand_back("b")
    assert line.limiter.budget().available == 1


async def test_all_waiters_cancelled_at_once_leave_the_slot_free() -> None:
    line = Line(still_clock(), ONE)
    await line.call("first")
    await line.call("a", "b")
    await line.call("c", lane="bulk")
    for name in "abc":
        line.tasks[name].cancel()
    await line.hand_back("first")
    assert line.names == ["first"]
    assert line.limiter.budget().available == 1
    assert line.limiter.budget().waiting == 0


def test_ten_thousand_cancelled_calls_lose_no_slot() -> None:
    asyncio.run(ten_thousand_cancels(random.Random(20)))  # noqa: S311


async def ten_thousand_cancels(dice: random.Random) -> None:
    clock = FakeClock()
    limiter = InProcessLimiter([RateLimit(5, 1.0, guard=0.0)], clock)
    sends: list[float] = []

    async def call() -> None:
        slot = await limiter.acquire(dice.choice(("interactive", "bulk")))
        sends.append(clock.monotonic())
        try:
            await clock.sleep(dice.random())
        finally:
            await limiter.release(slot, Answered(clock.monotonic()))

    async def leave(task: asyncio.Task[None]) -> None:
        # At the very moments at which slots come back, too.
        await clock.sleep(dice.choice([0.0, dice.random(), 1.0, dice.random() * 9]))
        task.cancel()

    cancelled = 0
    while cancelled < 10_000:
        calls = [asyncio.create_task(call()) for _ in range(200)]
        leaving = [asyncio.create_task(leave(task)) for task in calls]
        ends = await within_virtual_days(clock, asyncio.gather(*calls, return_exceptions=True))
        await asyncio.gather(*leaving)
        cancelled += sum(isinstance(end, asyncio.CancelledError) for end in ends)
    budget = limiter.budget()
    assert (budget.in_flight, budget.waiting) == (0, 0)
    await clock.sleep(1.0)
    assert limiter.budget().available == 5
    assert len(sends) > 500
    assert all(later - earlier >= 1.0 for earlier, later in zip(sends, sends[5:], strict=False))
    assert all(earlier <= later for earlier, later in pairwise(sends))

"""How long a call would have to wait: judged against the whole queue, before it joins."""

from __future__ import annotations

import asyncio
import random

import pytest

from syncro_async.errors import BudgetWaitError
from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.limiting.protocol import Answered, Lane, Throttled
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.testing.fake_clock import FakeClock
from tests.limiting.waiters import Line, still_clock, within_virtual_days

MINUTE = RateLimit(60, 60.0)


async def wait_needed(limiter: InProcessLimiter, lane: Lane = "interactive") -> float:
    """What a call would be told that joined now and had no patience at all."""
    with pytest.raises(BudgetWaitError) as caught:
        await limiter.acquire(lane, max_wait=0.0)
    return caught.value.wait_needed


async def test_a_call_without_patience_goes_when_a_slot_is_free() -> None:
    limiter = InProcessLimiter([MINUTE], still_clock())
    slot = await limiter.acquire("interactive", max_wait=0.0)
    assert slot.taken_at == 1000.0


async def test_too_long_a_wait_is_refused_at_once_and_spends_nothing() -> None:
    line = Line(still_clock(), RateLimit(2, 60.0))
    await line.call("a", "b", "c")
    await line.answer("a", "b")
    before = line.limiter.budget()
    with pytest.raises(BudgetWaitError, match=r"60\.2 s away, 60\.0 s are allowed; nothing") as it:
        await line.limiter.acquire("interactive", max_wait=60.0)
    assert it.value.wait_needed == 60.25
    assert line.limiter.budget() == before
    await line.clock.advance(0)
    assert line.clock.monotonic() == 1000.0


async def test_a_wait_that_fits_is_waited_for() -> None:
    line = Line(still_clock(), RateLimit(1, 60.0))
    await line.call("a")
    await line.answer("a")
    waiting = asyncio.create_task(line.limiter.acquire("interactive", max_wait=60.25))
    await line.clock.advance(60.25)
    assert waiting.result().taken_at == 1060.25


async def test_the_queue_ahead_counts_not_only_the_next_free_slot() -> None:
    line = Line(still_clock(), RateLimit(1, 10.0, guard=0.0))
    await line.call("first")
    await line.answer("first")
    await line.call("a", "b")
    assert await wait_needed(line.limiter) == 30.0
    await line.cancel("a")
    assert await wait_needed(line.limiter) == 20.0


async def test_a_call_that_came_first_stands_before_the_queue() -> None:
    line = Line(still_clock(), RateLimit(1, 10.0, guard=0.0))
    await line.call("first")
    await line.answer("first")
    await line.call("a", "b")
    await line.call("back again", requeued=True)
    with pytest.raises(BudgetWaitError) as caught:
        await line.limiter.acquire("interactive", max_wait=1.0, requeued=True)
    assert caught.value.wait_needed == 20.0


async def test_each_lane_knows_who_of_the_other_goes_before_it() -> None:
    line = Line(still_clock(), RateLimit(1, 1.0, guard=0.0))
    await line.call("first")
    await line.answer("first")
    await line.call(*(f"b{number}" for number in range(3)), lane="bulk")
    assert await wait_needed(line.limiter, "interactive") == 1.0
    assert await wait_needed(line.limiter, "bulk") == 4.0
    await line.call(*(f"i{number}" for number in range(6)))
    assert await wait_needed(line.limiter, "interactive") == 6 + 1 + 1.0
    assert await wait_needed(line.limiter, "bulk") == 3 + 6 + 1.0


# ------------------------------------------------------------------ the estimate against the truth


class Crowd:
    """Calls that join one by one; each is told its wait before it waits for real."""

    def __init__(self, limits: list[RateLimit], latency: tuple[float, float], seed: int) -> None:
        self.clock = FakeClock(start=77.7)
        self.limiter = InProcessLimiter(limits, self.clock)
        self.latency = latency
        self.dice = random.Random(seed)  # noqa: S311
        self.told_and_true: dict[Lane, list[tuple[float, float]]] = {"interactive": [], "bulk": []}

    async def warm_up(self, calls: int = 20) -> None:
        """The latency is learned, and all slots are free again."""
        for _ in range(calls):
            slot = await self.limiter.acquire("interactive")
            await self.clock.sleep(self.dice.uniform(*self.latency))
            await self.limiter.release(slot, Answered(self.clock.monotonic()))
        await self.clock.sleep(1000)

    async def call(self, lane: Lane) -> None:
        asked_at = self.clock.monotonic()
        try:
            slot = await self.limiter.acquire(lane, max_wait=0.0)
            told = 0.0
        except BudgetWaitError as error:
            told = error.wait_needed
            slot = await self.limiter.acquire(lane)
        self.told_and_true[lane].append((told, slot.taken_at - asked_at))
        await self.clock.sleep(self.dice.uniform(*self.latency))
        await self.limiter.release(slot, Answered(self.clock.monotonic()))

    async def come(self, number: int, lane: Lane = "bulk", every: float = 0.0) -> None:
        calls = []
        for _ in range(number):
            calls.append(asyncio.ensure_future(self.call(lane)))
            await self.clock.sleep(every)
        await within_virtual_days(self.clock, asyncio.gather(*calls))

    def is_told_well(self, number: int, lane: Lane = "bulk") -> bool:
        """Whether all these calls were told their wait to a fifth, or to the length of one call."""
        pairs = self.told_and_true[lane]
        assert len(pairs) == number
        _, longest = self.latency
        return all(abs(told - true) <= max(0.2 * true, longest) for told, true in pairs)


LATENCIES = [(0.0, 0.0), (0.01, 0.5), (4.0, 6.0)]


@pytest.mark.parametrize("latency", LATENCIES)
@pytest.mark.parametrize(
    "limits",
    [
        [MINUTE],
        [RateLimit(60, 60.0, burst=1)],
        [RateLimit(60, 60.0, burst=10)],
        [RateLimit(60, 60.0, burst=50)],
        [RateLimit(60, 60.0), RateLimit(5, 1.0)],
        [RateLimit(60, 60.0, burst=5), RateLimit(300, 600.0)],
    ],
    ids=repr,
)
async def test_the_wait_foretold_is_within_a_fifth_of_the_truth(
    limits: list[RateLimit], latency: tuple[float, float]
) -> None:
    crowd = Crowd(limits, latency, seed=4)
    await crowd.warm_up()
    await crowd.come(500)
    assert crowd.is_told_well(500)


@pytest.mark.parametrize("latency", LATENCIES)
async def test_it_is_so_for_calls_that_come_one_after_the_other(
    latency: tuple[float, float],
) -> None:
    crowd = Crowd([MINUTE], latency, seed=5)
    await crowd.warm_up()
    await crowd.come(400, every=0.3)
    assert crowd.is_told_well(400)


@pytest.mark.parametrize("burst", [None, 5])
@pytest.mark.parametrize("number", [1, 2, 50, 200])
async def test_it_is_so_behind_a_closed_gate(number: int, burst: int | None) -> None:
    crowd = Crowd([RateLimit(60, 60.0, burst=burst)], (1.0, 2.0), seed=6)
    await crowd.warm_up()
    slot = await crowd.limiter.acquire("interactive")
    await crowd.limiter.release(slot, Throttled(61.0))
    await crowd.come(number)
    assert min(told for told, _ in crowd.told_and_true["bulk"]) >= 61.0
    assert crowd.is_told_well(number)


async def test_interactive_calls_are_told_of_the_bulk_calls_that_go_between() -> None:
    crowd = Crowd([MINUTE], (0.1, 0.2), seed=7)
    await crowd.warm_up()
    bulk = asyncio.ensure_future(crowd.come(300))
    await crowd.clock.sleep(0.001)
    await crowd.come(200, "interactive")
    assert crowd.is_told_well(200, "interactive")
    assert crowd.told_and_true["interactive"][-1][0] > 2 * 60.25
    await bulk


async def test_who_cannot_outwait_a_pause_is_told_at_once_and_the_others_stay() -> None:
    line = Line(still_clock(), RateLimit(1, 60.0))
    await line.call("a")
    hasty = asyncio.create_task(line.limiter.acquire("interactive", max_wait=100.0))
    patient = asyncio.create_task(line.limiter.acquire("interactive", max_wait=4000.0))
    await line.clock.advance(0)

    await line.limiter.release(line.slots["a"], Throttled(3601.0))
    await line.clock.advance(0)

    with pytest.raises(BudgetWaitError) as caught:
        hasty.result()
    assert caught.value.wait_needed == 3601.0
    await line.clock.advance(3601.0)
    assert patient.result().taken_at == 4601.0


async def test_nobody_stands_longer_than_allowed_when_answers_are_slow() -> None:
    line = Line(still_clock(), RateLimit(1, 60.0))
    await line.call("slow")
    waiting = asyncio.create_task(line.limiter.acquire("interactive", max_wait=61.0))
    await line.clock.advance(60.9)
    assert not waiting.done()

    await line.clock.advance(0.2)

    with pytest.raises(BudgetWaitError):
        waiting.result()
    assert line.limiter.budget().waiting == 0
    await line.answer("slow")
    await line.clock.advance(60.25)
    assert line.limiter.budget().available == 1


async def test_a_slot_that_comes_in_the_last_moment_is_taken() -> None:
    clock = still_clock()
    line = Line(clock, RateLimit(1, 60.0, guard=0.0))
    await line.call("a")
    # Its own time ends before the limiter's timer for the slot is armed, at the same moment.
    waiting = asyncio.create_task(line.limiter.acquire("interactive", max_wait=60.0))
    await clock.advance(0)
    await line.answer("a")

    await clock.advance(60.0)

    assert waiting.result().taken_at == 1060.0


async def test_a_pause_changes_nothing_for_a_waiter_that_is_leaving() -> None:
    line = Line(still_clock(), RateLimit(1, 60.0))
    await line.call("a")
    waiting = asyncio.create_task(line.limiter.acquire("interactive", max_wait=100.0))
    await line.clock.advance(0)

    waiting.cancel()
    await line.limiter.release(line.slots["a"], Throttled(3600.0))
    await line.clock.advance(0)

    assert waiting.cancelled()
    assert line.limiter.budget().waiting == 0


async def test_who_is_turned_away_hears_of_the_whole_queue_ahead() -> None:
    line = Line(still_clock(), RateLimit(1, 10.0, guard=0.0))
    await line.call("slow", "a", "b", "c", lane="bulk")
    waiting = asyncio.create_task(line.limiter.acquire("bulk", max_wait=41.0))
    await line.clock.advance(41.5)
    with pytest.raises(BudgetWaitError, match=r"turn in the budget is 40\.0 s away") as caught:
        waiting.result()
    assert caught.value.wait_needed == 40.0


async def test_an_estimate_that_proved_too_hopeful_is_not_repeated() -> None:
    line = Line(still_clock(), RateLimit(1, 10.0, guard=0.0))
    await line.call("a")
    await line.limiter.release(line.slots["a"], Throttled(5.0))
    waiting = asyncio.create_task(line.limiter.acquire("interactive", max_wait=6.0))
    await line.call("opener", requeued=True)
    await line.clock.advance(7.0)
    with pytest.raises(BudgetWaitError) as caught:
        waiting.result()
    assert caught.value.wait_needed >= 1.0

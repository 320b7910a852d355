"""One budget for several event loops, one after the other or in threads at the same time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from syncro_async.clock import SystemClock
from syncro_async.errors import BudgetWaitError
from syncro_async.limiting.budget.lane_order import INTERACTIVE_IN_A_ROW
from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.limiting.protocol import Answered, Lane, NotCounted, Slot, Throttled
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.testing.fake_clock import FakeClock
from tests.limiting.waiters import LoopThread, SharedClock, still_clock

ONE = RateLimit(1, 10.0, guard=0.0)


@pytest.fixture
def here() -> Iterator[LoopThread]:
    with LoopThread() as thread:
        yield thread


@pytest.fixture
def there() -> Iterator[LoopThread]:
    with LoopThread() as thread:
        yield thread


def at_once(work: Coroutine[Any, Any, Slot]) -> Slot:
    """The result of something that does not have to wait, without any event loop."""
    with pytest.raises(StopIteration) as stop:
        work.send(None)
    slot = stop.value.value
    assert isinstance(slot, Slot)
    return slot


# -------------------------------------------------------------------------------- at the same time


def test_a_slot_handed_back_in_one_thread_wakes_a_waiter_in_another(
    here: LoopThread, there: LoopThread
) -> None:
    limiter = InProcessLimiter([ONE], SharedClock())
    slot = here.run(limiter.acquire("interactive"))
    waiting = there.start(limiter.acquire("interactive"))
    assert limiter.budget().waiting == 1
    here.run(limiter.release(slot, NotCounted()))
    assert waiting.result(timeout=10).taken_at == 1000.0


def test_a_waiter_in_another_thread_gets_its_timer_when_the_answer_comes(
    here: LoopThread, there: LoopThread
) -> None:
    clock = SharedClock()
    limiter = InProcessLimiter([ONE], clock)
    slot = here.run(limiter.acquire("interactive"))
    waiting = there.start(limiter.acquire("interactive"))  # nobody knows yet how long
    clock.advance(2)
    here.run(limiter.release(slot, Answered(clock.monotonic())))
    there.catch_up()
    clock.advance(9.5)
    there.catch_up()
    assert not waiting.done()
    clock.advance(0.5)
    assert waiting.result(timeout=10).taken_at == 1012.0


def test_that_timer_outlives_the_event_loop_in_which_the_answer_came(there: LoopThread) -> None:
    clock = SharedClock()
    limiter = InProcessLimiter([ONE], clock)
    slot = at_once(limiter.acquire("interactive"))
    waiting = there.start(limiter.acquire("interactive"))
    asyncio.run(limiter.release(slot, Answered(clock.monotonic())))
    there.catch_up()
    clock.advance(10)
    assert waiting.result(timeout=10).taken_at == 1010.0


def test_waiters_of_several_threads_go_in_the_order_in_which_they_came(
    here: LoopThread, there: LoopThread
) -> None:
    clock = SharedClock()
    limiter = InProcessLimiter([ONE], clock)
    first = here.run(limiter.acquire("interactive"))
    threads = [here, there, there, here, there, here]
    waiting = [thread.start(limiter.acquire("bulk")) for thread in threads]
    here.run(limiter.release(first, Answered(clock.monotonic())))
    for number, (thread, turn) in enumerate(zip(threads, waiting, strict=True), start=1):
        here.catch_up()
        there.catch_up()
        clock.advance(10)
        slot = turn.result(timeout=10)
        assert slot.taken_at == 1000.0 + 10 * number
        assert sum(future.done() for future in waiting) == number
        thread.run(limiter.release(slot, Answered(clock.monotonic())))


def test_a_waiter_cancelled_in_one_thread_hands_its_slot_to_another(
    here: LoopThread, there: LoopThread
) -> None:
    limiter = InProcessLimiter([ONE], SharedClock())
    slot = here.run(limiter.acquire("interactive"))
    next_one = there.start(limiter.acquire("interactive"))
    last = here.start(limiter.acquire("interactive"))

    async def hold_the_thread(ready: threading.Event, go: threading.Event) -> None:
        ready.set()
        go.wait(10)

    ready, go = threading.Event(), threading.Event()
    held = asyncio.run_coroutine_threadsafe(hold_the_thread(ready, go), there.loop)
    ready.wait(10)
    # While its thread is busy, "next_one" is cancelled and is given the slot.
    next_one.cancel()
    here.run(limiter.release(slot, NotCounted()))
    go.set()
    held.result(timeout=10)
    assert last.result(timeout=10).taken_at == 1000.0
    assert limiter.budget().in_flight == 1


def test_a_slot_settled_outside_any_event_loop_wakes_the_waiters(here: LoopThread) -> None:
    limiter = InProcessLimiter([ONE], SharedClock())
    slot = at_once(limiter.acquire("interactive"))
    waiting = here.start(limiter.acquire("interactive"))
    with pytest.raises(StopIteration):
        limiter.release(slot, NotCounted()).send(None)
    assert waiting.result(timeout=10).taken_at == 1000.0


def test_an_earlier_chance_replaces_the_timer_of_a_later_one(here: LoopThread) -> None:
    clock = SharedClock()
    limiter = InProcessLimiter([RateLimit(2, 10.0, guard=0.0)], clock)
    late, early = (at_once(limiter.acquire("bulk")) for _ in range(2))
    waiting = here.start(limiter.acquire("bulk"))
    here.run(limiter.release(late, Answered(1005.0)))
    here.run(limiter.release(early, Answered(1001.0)))
    clock.advance(11)
    assert waiting.result(timeout=10).taken_at == 1011.0


def test_threads_that_fight_for_a_budget_never_overdraw_it() -> None:
    limit = RateLimit(40, 0.05, guard=0.01)
    limiter = InProcessLimiter([limit], SystemClock())
    sent: list[float] = []

    async def call(lane: Lane) -> None:
        slot = await limiter.acquire(lane)
        sent.append(SystemClock().monotonic())
        await asyncio.sleep(0)
        await limiter.release(slot, Answered(SystemClock().monotonic()))

    async def calls() -> None:
        leaving = [asyncio.ensure_future(limiter.acquire("interactive")) for _ in range(5)]
        lanes: tuple[Lane, Lane] = ("interactive", "bulk")
        work = [call(lane) for lane in lanes for _ in range(15)]
        done = asyncio.gather(*work)
        for waiter in leaving:
            waiter.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        await done

    with ExitStack() as stack:
        threads = [stack.enter_context(LoopThread()) for _ in range(8)]
        running = [asyncio.run_coroutine_threadsafe(calls(), thread.loop) for thread in threads]
        for run in running:
            run.result(timeout=30)
    assert len(sent) == 240
    sent.sort()
    # The rule speaks of arrivals, and so does what holds for sends, but for a call's own length.
    spans = [later - earlier for earlier, later in zip(sent, sent[40:], strict=False)]
    assert min(spans) >= limit.seconds
    assert (limiter.budget().in_flight, limiter.budget().waiting) == (0, 0)


# ------------------------------------------------------------------------------ one after the other


async def _use_up(limiter: InProcessLimiter, clock: FakeClock, calls: int) -> list[float]:
    sent = []
    for _ in range(calls):
        slot = await limiter.acquire("interactive")
        sent.append(slot.taken_at)
        await limiter.release(slot, Answered(clock.monotonic()))
    return sent


def test_a_second_event_loop_goes_on_with_the_budget_of_the_first() -> None:
    clock = FakeClock()
    limiter = InProcessLimiter([RateLimit(2, 10.0, guard=0.0)], clock)
    assert asyncio.run(_use_up(limiter, clock, 3)) == [0.0, 0.0, 10.0]
    assert asyncio.run(_use_up(limiter, clock, 4)) == [10.0, 20.0, 20.0, 30.0]


def test_timers_of_a_loop_that_has_gone_do_no_harm() -> None:
    clock = FakeClock()
    limiter = InProcessLimiter([RateLimit(1, 10.0, guard=0.0)], clock)

    async def leave_a_timer_behind() -> None:
        await _use_up(limiter, clock, 1)
        waiting = asyncio.ensure_future(limiter.acquire("interactive"))
        await asyncio.sleep(0)
        waiting.cancel()

    asyncio.run(leave_a_timer_behind())
    assert asyncio.run(_use_up(limiter, clock, 2)) == [10.0, 20.0]


def test_a_timer_of_a_loop_that_has_gone_may_still_ring() -> None:
    clock = FakeClock()
    limiter = InProcessLimiter([RateLimit(1, 10.0, guard=0.0)], clock)

    async def leave_a_timer_behind() -> None:
        await _use_up(limiter, clock, 1)
        waiting = asyncio.ensure_future(limiter.acquire("interactive"))
        await asyncio.sleep(0)
        waiting.cancel()

    async def let_it_ring() -> list[float]:
        await clock.sleep(15)
        return await _use_up(limiter, clock, 2)

    asyncio.run(leave_a_timer_behind())
    assert asyncio.run(let_it_ring()) == [15.0, 25.0]


class Abandoned:
    """Waiters of an event loop that was closed under them, as a test may leave them behind."""

    def __init__(self, limiter: InProcessLimiter, *lanes: Lane) -> None:
        self.waiting = [limiter.acquire(lane) for lane in lanes]
        loop = asyncio.new_event_loop()
        loop.run_until_complete(self._begin())
        loop.close()

    async def _begin(self) -> None:
        for waiter in self.waiting:
            waiter.send(None)

    def collect(self) -> None:
        """What the garbage collector does with them in the end."""
        for waiter in self.waiting:
            waiter.close()


async def test_waiters_of_a_closed_loop_are_passed_over() -> None:
    clock = still_clock()
    limiter = InProcessLimiter([RateLimit(1, 10.0, guard=0.0)], clock)
    slot = await limiter.acquire("interactive")
    alive = asyncio.ensure_future(limiter.acquire("bulk"))
    await clock.advance(0)
    loop = asyncio.new_event_loop()
    gone = limiter.acquire("interactive")
    _begin_in(loop, gone)
    loop.close()
    await limiter.release(slot, NotCounted())
    await clock.advance(0)
    assert alive.result().taken_at == 1000.0
    gone.close()
    assert limiter.budget().in_flight == 1


async def test_nor_do_they_use_up_the_turns_of_their_lane() -> None:
    clock = still_clock()
    limiter = InProcessLimiter([ONE], clock)
    slot = await limiter.acquire("interactive")
    loop = asyncio.new_event_loop()
    gone = [limiter.acquire("interactive") for _ in range(INTERACTIVE_IN_A_ROW)]
    for waiter in gone:
        _begin_in(loop, waiter)
    bulk = asyncio.ensure_future(limiter.acquire("bulk"))
    interactive = asyncio.ensure_future(limiter.acquire("interactive"))
    await clock.advance(0)
    loop.close()
    await limiter.release(slot, NotCounted())
    await clock.advance(0)
    assert (interactive.done(), bulk.done()) == (True, False)
    for waiter in gone:
        waiter.close()
    await limiter.release(interactive.result(), NotCounted())
    await bulk


def _begin_in(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Slot]) -> None:
    async def begin() -> None:
        work.send(None)

    thread = threading.Thread(target=loop.run_until_complete, args=(begin(),))
    thread.start()
    thread.join()


def test_waiters_of_a_closed_loop_do_not_count_as_waiting() -> None:
    limiter = InProcessLimiter([ONE], still_clock())
    slot = at_once(limiter.acquire("interactive"))
    gone = Abandoned(limiter, "interactive", "bulk", "bulk")
    assert limiter.budget().waiting == 0
    with pytest.raises(StopIteration):
        limiter.release(slot, NotCounted()).send(None)
    assert limiter.is_idle()
    assert limiter.adopt((RateLimit(5, 1.0),))
    gone.collect()
    assert limiter.budget().available == 5


def test_waiters_of_a_closed_loop_cost_nobody_any_patience() -> None:
    clock = still_clock()
    limiter = InProcessLimiter([ONE], clock)
    slot = at_once(limiter.acquire("interactive"))
    crowd: list[Lane] = ["interactive"] * 100
    gone = Abandoned(limiter, *crowd)

    async def settle_and_call_again() -> float:
        await limiter.release(slot, Answered(clock.monotonic()))
        waiting = asyncio.ensure_future(limiter.acquire("interactive", max_wait=10.0))
        await clock.advance(10)
        return (await waiting).taken_at

    assert asyncio.run(settle_and_call_again()) == 1010.0
    gone.collect()


class TellingClock(FakeClock):
    """A clock that closes an abandoned waiter when asked for the time, as the collector might."""

    def __init__(self) -> None:
        super().__init__(autojump=False)
        self.abandoned: list[Coroutine[Any, Any, Slot]] = []

    def monotonic(self) -> float:
        while self.abandoned:
            self.abandoned.pop().close()
        return super().monotonic()


def test_a_waiter_may_be_collected_at_any_moment_even_while_the_limiter_is_at_work() -> None:
    clock = TellingClock()
    limiter = InProcessLimiter([ONE], clock)
    slot = at_once(limiter.acquire("interactive"))
    gone = Abandoned(limiter, "interactive", "interactive")
    clock.abandoned = gone.waiting
    assert limiter.budget().in_flight == 1
    assert clock.abandoned == []
    with pytest.raises(StopIteration):
        limiter.release(slot, NotCounted()).send(None)
    assert limiter.budget().available == 1


def test_a_slot_given_to_a_loop_that_was_closed_right_then_comes_back() -> None:
    limiter = InProcessLimiter([ONE], still_clock())
    slot = at_once(limiter.acquire("interactive"))
    loop = asyncio.new_event_loop()
    gone = limiter.acquire("interactive")

    async def begin() -> None:
        gone.send(None)

    loop.run_until_complete(begin())
    with pytest.raises(StopIteration):
        limiter.release(slot, NotCounted()).send(None)  # woken, but its loop never runs again
    loop.close()
    assert limiter.budget().in_flight == 1
    gone.close()
    assert limiter.budget().available == 1


def test_a_pause_turns_away_the_waiters_of_another_event_loop(
    here: LoopThread, there: LoopThread
) -> None:
    limiter = InProcessLimiter([RateLimit(1, 60.0)], SharedClock())
    slot = here.run(limiter.acquire("interactive"))
    waiting = there.start(limiter.acquire("interactive", max_wait=100.0))

    here.run(limiter.release(slot, Throttled(3600.0)))

    with pytest.raises(BudgetWaitError):
        waiting.result(timeout=10)

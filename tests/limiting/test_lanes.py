"""Visitors beside a bulk job: what the pacing of the bulk lane does for them, and costs."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.lanes import Visits, at_random, beside_bulk, nobody, one_every_3_s, ten_at_once
from syncro_async import BudgetWaitError, lane
from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.limiting.protocol import Answered, Lane, NotCounted, Slot, Throttled
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.sandbox import Sandbox
from syncro_async.testing import FakeClock, sandbox_client
from tests.limiting.waiters import Line, still_clock

# One call a second while bulk is paced, and a call may be half a second early.
TEN = RateLimit(10, 10.0, guard=0.0)


@pytest.mark.parametrize(
    ("visits", "refused", "wait"),
    [(one_every_3_s, 0.0, 1.1), (at_random, 0.0, 3.5), (ten_at_once, 1.0, 10.0)],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_visitors_are_served_beside_a_bulk_job(visits: Visits, refused: float, wait: float) -> None:
    run = beside_bulk(visits, 1201)
    assert run.share_refused <= refused
    assert run.waited(0.95) <= wait
    # Over 10,000 calls it is 99.8 %. Half a minute is lost once: that of the first minute's burst.
    assert run.of_the_bound >= 97.0
    assert run.bulk >= 600


def test_a_bulk_job_alone_uses_the_whole_budget() -> None:
    assert beside_bulk(nobody, 1201).of_the_bound >= 99.9


async def test_visitors_of_a_client_are_served_beside_its_bulk_job() -> None:
    clock = FakeClock()
    sandbox = Sandbox(400, clock=clock)
    refused, waits = [], []
    async with sandbox_client(sandbox=sandbox, clock=clock) as syncro:
        web = syncro.with_options(max_wait=10.0)

        async def job() -> None:
            with lane("bulk"):
                for number in range(1, 400):
                    await syncro.leads.add_tags(number, "x")

        async def visit() -> None:
            came = clock.monotonic()
            try:
                await web.leads.get(1)
            except BudgetWaitError:
                refused.append(came)
            else:
                waits.append(clock.monotonic() - came)

        bulk = asyncio.create_task(job())
        visits = []
        for _ in range(60):
            await clock.sleep(3.0)
            visits.append(asyncio.create_task(visit()))
        await asyncio.gather(*visits)
        bulk.cancel()
    assert all(came < 60.0 for came in refused)
    assert len(refused) + len(waits) == 60
    # The first minute's 60, and then what the visitors leave of one call a second.
    assert len(sandbox.writes) >= 60 + (180 - 61) * 60 / 60.25 - 44


async def take(limiter: InProcessLimiter, which: Lane, number: int) -> list[Slot]:
    return [await limiter.acquire(which) for _ in range(number)]


async def test_bulk_calls_are_paced_once_an_interactive_call_has_used_the_key() -> None:
    line = Line(still_clock(), TEN)
    await line.call("visitor")
    await line.call("b0", "b1", "b2", lane="bulk")
    await line.clock.advance(5)
    assert line.let_go == [("visitor", 1000.0), ("b0", 1000.5), ("b1", 1001.5), ("b2", 1002.5)]


async def test_an_interactive_call_goes_at_once_while_bulk_calls_wait_for_their_pace() -> None:
    line = Line(still_clock(), TEN)
    await line.call("visitor")
    await line.call("b0", "b1", lane="bulk")
    await line.clock.advance(0.25)
    await line.call("next visitor")
    assert line.let_go[-1] == ("next visitor", 1000.25)
    # It is counted too: both lanes together keep the pace.
    await line.clock.advance(2)
    assert line.let_go[2:] == [("b0", 1001.5)]


async def test_a_refused_interactive_call_counts_as_use() -> None:
    clock = still_clock()
    limiter = InProcessLimiter([TEN], clock)
    slots = await take(limiter, "bulk", 10)
    with pytest.raises(BudgetWaitError):
        await limiter.acquire("interactive", max_wait=0.0)
    for slot in slots:
        await limiter.release(slot, Answered(clock.monotonic()))
    await clock.advance(11)
    assert limiter.is_paced()
    await limiter.acquire("bulk", max_wait=0.0)
    with pytest.raises(BudgetWaitError) as caught:
        await limiter.acquire("bulk", max_wait=0.0)
    assert caught.value.wait_needed == pytest.approx(0.5)


async def test_ten_minutes_after_the_last_interactive_call_bulk_is_not_paced() -> None:
    line = Line(still_clock(), TEN)
    await line.call("visitor")
    await line.answer("visitor")
    await line.clock.advance(600)
    await line.call(*(f"b{number}" for number in range(10)), lane="bulk")
    assert len(line.names) == 11
    assert not line.limiter.is_paced()


async def test_the_end_of_the_pacing_lets_waiting_bulk_calls_go() -> None:
    line = Line(still_clock(), RateLimit(3, 6000.0, guard=0.0))
    await line.call("visitor")
    await line.call("b0", lane="bulk")
    await line.clock.advance(599)
    assert line.names == ["visitor"]
    await line.clock.advance(1)
    assert line.let_go[-1] == ("b0", 1600.0)


@pytest.mark.parametrize("outcome", [NotCounted(), Throttled(2.0)])
async def test_a_bulk_call_that_was_not_counted_does_not_delay_the_next_one(
    outcome: NotCounted | Throttled,
) -> None:
    line = Line(still_clock(), TEN)
    await line.call("visitor")
    await line.clock.advance(3)
    await line.call("b0", "b1", lane="bulk")
    assert line.let_go[1:] == [("b0", 1003.0)]
    await line.limiter.release(line.slots["b0"], outcome)
    await line.clock.advance(2)
    assert line.let_go[2] == ("b1", 1003.0 if isinstance(outcome, NotCounted) else 1005.0)


async def test_a_cancelled_bulk_call_gives_its_turn_to_the_next_one() -> None:
    line = Line(still_clock(), TEN)
    await line.call("visitor")
    await line.call("b0", "b1", lane="bulk")
    await line.clock.advance(0.4)
    await line.cancel("b0")
    await line.clock.advance(0.2)
    assert line.let_go[1:] == [("b1", 1000.5)]


async def test_bulk_has_a_fifth_of_the_slots_however_many_interactive_calls_come() -> None:
    clock = FakeClock()
    limiter = InProcessLimiter([RateLimit(60, 60.0)], clock)
    sent: list[Lane] = []

    async def call(which: Lane) -> None:
        slot = await limiter.acquire(which)
        sent.append(which)
        await limiter.release(slot, Answered(clock.monotonic()))

    async with asyncio.TaskGroup() as group:
        for which, number in (("bulk", 400), ("interactive", 400)):
            for _ in range(number):
                group.create_task(call("bulk" if which == "bulk" else "interactive"))
    while_both_wait = sent[60 : 60 + 480]
    assert while_both_wait.count("bulk") == pytest.approx(480 / 5, abs=4)


async def test_a_few_interactive_calls_at_once_are_not_held_up_by_bulk_calls() -> None:
    clock = still_clock()
    line = Line(clock, RateLimit(60, 60.0))
    await line.call(*(f"b{number}" for number in range(80)), lane="bulk")
    assert len(line.names) == 60
    await line.call(*(f"i{number}" for number in range(20)))
    await line.hand_back(*line.names[:16])
    expected = [f"i{number}" for number in range(14)]
    assert line.names[60:74] == expected
    assert line.names[74:76] == ["b60", "i14"]


async def test_a_limiter_that_is_paced_is_kept() -> None:
    limiter = InProcessLimiter([TEN], still_clock())
    slot = await limiter.acquire("interactive")
    await limiter.release(slot, NotCounted())
    assert limiter.is_idle()
    assert limiter.is_paced()

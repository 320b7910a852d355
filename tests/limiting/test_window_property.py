"""No window holds more arrivals than the limit, whatever happens to the calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from hypothesis import event, given, settings
from hypothesis import strategies as st

from syncro_async.clock import Timer
from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.limiting.protocol import (
    Answered,
    Lane,
    NotCounted,
    Slot,
    SlotOutcome,
    Throttled,
    Unknown,
)
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.testing.fake_clock import FakeClock
from tests.limiting.waiters import within_virtual_days

ROUNDING = 1e-6
# So long after it was given up a lost request may still reach the server (s).
STILL_COUNTED = 5.0
# In windows: what refusals have taught is kept for so long at the most.
UNTIL_STRANGERS_ARE_FORGOTTEN = 25


@dataclass(frozen=True)
class Sent:
    """What becomes of a request: `fate` after `lasts` seconds, the server counts it at `counted`.

    `counted` is a share of the time there is: from the send to the answer, or to five seconds
    after the request was given up for lost; None: it never arrives, or is not counted.
    """

    fate: str
    lasts: float
    counted: float | None


@dataclass(frozen=True)
class Plan:
    """One call: when it comes, where it queues, when its caller leaves, and how its sends end.

    With `drags` the end of a send cancels, in the same moment, who has waited longest: it may be
    the one that has just been given the slot.
    """

    comes_after: float
    lane: Lane
    leaves_after: float | None
    sends: list[Sent]
    drags: bool = False


@dataclass
class Server:
    """Counts arrivals, at whatever moment they come."""

    clock: FakeClock
    arrivals: list[float] = field(default_factory=list)

    def expect(self, after: float) -> Timer:
        at = self.clock.monotonic() + after
        return self.clock.call_at(at, lambda: self.arrivals.append(self.clock.monotonic()))

    def narrowest_span(self, of: int) -> float:
        """The shortest time that holds that many arrivals."""
        times = sorted(self.arrivals)
        spans = [later - first for first, later in zip(times, times[of - 1 :], strict=False)]
        return min(spans, default=float("inf"))


class World:
    """A limiter, a server, and all calls of an example in virtual time."""

    def __init__(self, rates: list[RateLimit]) -> None:
        self.clock = FakeClock(start=100.1)
        self.rates = rates
        self.limiter = InProcessLimiter(rates, self.clock)
        self.server = Server(self.clock)
        self.paused_until = 0.0
        self.early = 0
        self.waiting: list[asyncio.Task[None]] = []

    async def run(self, plans: list[Plan]) -> None:
        calls = []
        for plan in plans:
            await self.clock.sleep(plan.comes_after)
            calls.append(asyncio.create_task(self.call(plan)))
            if plan.leaves_after is not None:
                calls.append(asyncio.create_task(self.leave(calls[-1], plan.leaves_after)))
        ends = await within_virtual_days(self.clock, asyncio.gather(*calls, return_exceptions=True))
        assert not [end for end in ends if isinstance(end, Exception)]

    async def leave(self, call: asyncio.Task[None], after: float) -> None:
        await self.clock.sleep(after)
        call.cancel()

    async def call(self, plan: Plan) -> None:
        requeued = False
        for sent in plan.sends:
            slot = await self.wait(plan.lane, requeued=requeued)
            self.early += slot.taken_at < self.paused_until
            await self.send(slot, sent)
            if plan.drags and self.waiting:
                self.waiting[0].cancel()
            requeued = sent.fate == "refused"

    async def wait(self, lane: Lane, *, requeued: bool) -> Slot:
        me = asyncio.current_task()
        assert me is not None
        self.waiting.append(me)
        try:
            return await self.limiter.acquire(lane, requeued=requeued)
        finally:
            self.waiting.remove(me)

    async def send(self, slot: Slot, sent: Sent) -> None:
        sent_at, arrival = self.clock.monotonic(), None
        if sent.counted is not None:
            late = STILL_COUNTED if sent.fate == "lost" else 0.0
            arrives_after = sent.counted * (sent.lasts + late)
            arrival = self.server.expect(arrives_after)
        try:
            await self.clock.sleep(sent.lasts)
        except asyncio.CancelledError:
            # Its connection is dropped; what is under way may arrive for a while all the same.
            if arrival and sent_at + arrives_after > self.clock.monotonic() + STILL_COUNTED:
                arrival.cancel()
            await self.limiter.release(slot, Unknown())
            raise
        now = self.clock.monotonic()
        fates: dict[str, SlotOutcome] = {
            "answered": Answered(now),
            "lost": Unknown(),
            "handed back": NotCounted(),
            "refused": Throttled(sent.lasts),
        }
        if sent.fate == "refused":
            self.paused_until = max(self.paused_until, now + sent.lasts)
        await self.limiter.release(slot, fates[sent.fate])


LONGEST = 10.0
durations = st.floats(0.0, LONGEST)
moments = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0.0, 1.0))
sent = st.one_of(
    st.builds(Sent, st.sampled_from(["answered", "answered", "lost"]), durations, moments),
    st.builds(Sent, st.sampled_from(["lost", "handed back", "refused"]), durations, st.none()),
)
plans = st.lists(
    st.builds(
        Plan,
        st.one_of(st.just(0.0), st.floats(0.0, 12.0)),
        st.sampled_from(["interactive", "bulk"]),
        st.one_of(st.none(), st.none(), st.floats(0.0, 30.0)),
        st.lists(sent, min_size=1, max_size=3),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


@st.composite
def crowds(draw: st.DrawFn) -> list[Plan]:
    """Many calls of a few kinds, in bursts: what a small example cannot hold."""
    kinds = draw(plans)
    dice = draw(st.randoms(use_true_random=False))
    return [
        replace(dice.choice(kinds), comes_after=dice.choice([0.0, 0.0, 0.0, dice.random() * 9]))
        for _ in range(draw(st.integers(20, 120)))
    ]


@st.composite
def rate_limits(draw: st.DrawFn) -> RateLimit:
    calls = draw(st.integers(1, 8))
    return RateLimit(
        calls,
        draw(st.floats(0.5, 15.0)),
        burst=draw(st.one_of(st.none(), st.none(), st.integers(1, calls))),
        guard=draw(st.sampled_from([0.0, 0.25])),
    )


def in_virtual_time(example: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await example()

    asyncio.run(run())


@settings(max_examples=150, deadline=None)
@given(st.lists(rate_limits(), min_size=1, max_size=3), st.one_of(plans, crowds()))
def test_no_window_wherever_it_begins_holds_more_arrivals_than_the_limit(
    rates: list[RateLimit], plans: list[Plan]
) -> None:
    async def example() -> None:
        world = World(rates)
        await world.run(plans)
        for rate in rates:
            # One arrival more than the limit allows never fits into window and guard.
            assert world.server.narrowest_span(of=rate.calls + 1) >= rate.hold_seconds - ROUNDING
        event(f"more arrivals than a window holds: {len(world.server.arrivals) > rates[0].calls}")
        assert world.early == 0
        await world.clock.sleep(LONGEST + STILL_COUNTED)
        await world.clock.sleep(
            UNTIL_STRANGERS_ARE_FORGOTTEN * max(rate.hold_seconds for rate in rates)
        )
        assert world.limiter.is_idle()
        budget = world.limiter.budget()
        assert (budget.in_flight, budget.waiting) == (0, 0)
        assert world.limiter._slots.free_of_each(world.clock.monotonic()) == [
            rate.calls for rate in rates
        ]

    in_virtual_time(example)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 8), st.floats(0.5, 15.0), st.one_of(plans, crowds()))
def test_after_the_last_slots_return_the_whole_budget_is_available_again(
    calls: int, seconds: float, plans: list[Plan]
) -> None:
    async def example() -> None:
        world = World([RateLimit(calls, seconds)])
        await world.run(plans)
        await world.clock.sleep(STILL_COUNTED + seconds + 0.25 + ROUNDING)
        # A pause that nobody has tested yet leaves one call to open the gate.
        slot = await world.limiter.acquire("interactive")
        await world.limiter.release(slot, Answered(world.clock.monotonic()))
        await world.clock.sleep(UNTIL_STRANGERS_ARE_FORGOTTEN * (seconds + 0.25) + ROUNDING)
        assert world.limiter.budget().available == calls

    in_virtual_time(example)


def test_the_server_of_these_tests_would_notice_a_call_too_many() -> None:
    async def example() -> None:
        clock = FakeClock()
        server = Server(clock)
        for after in (0.0, 3.0, 9.9, 10.1):
            server.expect(after)
        await clock.sleep(20)
        assert server.narrowest_span(of=3) < 10 <= server.narrowest_span(of=4)

    in_virtual_time(example)

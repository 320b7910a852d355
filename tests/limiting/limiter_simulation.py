"""Users of one limiter, or processes that share one budget, and a server that counts them all."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from syncro_async.clock import Clock, Timer
from syncro_async.errors import BudgetWaitError
from syncro_async.limiting.budget.messages import SyncRequest, SyncResponse
from syncro_async.limiting.budget.pacing import INTERACTIVE_MEMORY, TIMER_LATENESS, TOLERANCE
from syncro_async.limiting.budget.state import HEARTBEAT, OWNER_TTL, STATE_LOSS_PAUSE
from syncro_async.limiting.protocol import (
    LATE_ARRIVAL_GRACE,
    Answered,
    Lane,
    Limiter,
    NotCounted,
    Slot,
    SlotOutcome,
    Throttled,
    Unknown,
)
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.limiting.shared.limiter import SharedLimiter
from syncro_async.limiting.shared.store import Store, StoreUnreachableError
from syncro_async.testing.fake_clock import FakeClock

T = TypeVar("T")

# Every length of time in these worlds is a multiple of a power of two, so that no sum is rounded
# and the model agrees with the limiter on what happens in one and the same moment.
TIMEOUT = 3.0
# In windows: what refusals have taught is kept for so long at the most.
UNTIL_STRANGERS_ARE_FORGOTTEN = 25
# After so long everybody has heard of everything, the death of others included (s).
NEWS_IS_OLD = OWNER_TTL + 4 * HEARTBEAT

Trouble = Literal["never arrives", "answer is lost"]


class HostClock:
    """A clock that runs like the world's and shows something else."""

    def __init__(self, world: FakeClock, ahead: float = 0.0) -> None:
        self._world = world
        self.ahead = ahead

    def monotonic(self) -> float:
        return self._world.monotonic() + self.ahead

    def wall(self) -> float:
        return self._world.wall() + self.ahead

    async def sleep(self, seconds: float) -> None:
        await self._world.sleep(seconds)

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        return self._world.call_at(when - self.ahead, callback)


class Line:
    """A process's way to the store, which takes no time; now and then it breaks.

    Of visits made at the same moment, one comes after the other, in the order in which they set
    out: else an example would not be the same the next time.
    """

    def __init__(self, store: Store, world: FakeClock, turn: asyncio.Lock) -> None:
        self._store = store
        self._world = world
        self._turn = turn
        self.trouble: Trouble | None = None
        self.meanwhile: Callable[[], object] | None = None
        self.is_cut = False
        self.visits = 0
        self.visits_at_trouble = -1
        self.visits_at_loss = -1

    async def sync(self, key: str, visit: SyncRequest) -> SyncResponse:
        trouble, self.trouble = self.trouble, None
        if self.is_cut or trouble == "never arrives":
            raise StoreUnreachableError("nobody there")
        with self._world.frozen():
            async with self._turn:
                ruling = await self._store.sync(key, visit)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        if trouble == "answer is lost":
            self.visits_at_loss = self.visits
            raise StoreUnreachableError("no answer")
        self.visits += 1
        return ruling

    async def aclose(self) -> None:
        with self._world.frozen():
            await self._store.aclose()


@dataclass(eq=False)
class User:
    """Who makes calls: a process with its own clock and limiter, or a task among others."""

    name: str
    clock: Clock
    limiter: Limiter
    line: Line | None = None
    is_dead: bool = False


@dataclass(eq=False)
class Call:
    """One turn: it waits, is sent, and ends. `counts_until` is when it may arrive at the latest."""

    number: int
    user: User
    lane: Lane
    requeued: bool
    max_wait: float | None
    joined_at: float
    visits_then: int
    slot: Slot | None = None
    sent_at: float = math.inf
    counts_until: float = math.inf
    timeout: Timer | None = None
    task: asyncio.Task[None] | None = None

    @property
    def is_in_queue(self) -> bool:
        """Whether the limiter is sure to have heard of it."""
        return self.user.line is None or self.user.line.visits > self.visits_then

    @property
    def is_in_doubt(self) -> bool:
        """Whether the store may have given it a slot unheard."""
        return self.user.line is not None and self.user.line.visits_at_loss >= self.visits_then


@dataclass
class World:
    """Everything of one example, in virtual time."""

    loop: asyncio.AbstractEventLoop
    rates: list[RateLimit]
    clock: FakeClock = field(default_factory=lambda: FakeClock(start=100_000.0, autojump=False))
    users: list[User] = field(default_factory=list)
    waiting: list[Call] = field(default_factory=list)
    flying: list[Call] = field(default_factory=list)
    counted: list[Call] = field(default_factory=list)
    closed_until: float = 0.0
    half_open: bool = False
    opener: Call | None = None
    in_a_row: int = 0
    served: int = 0
    told: int = 0
    paces: bool = False  # whether the limiter paces the bulk lane
    paced_until: float = 0.0
    next_at: float = 0.0
    strangers: bool = False  # whether another client has been taken into account

    def __post_init__(self) -> None:
        self.store_clock = HostClock(self.clock)
        self._numbers = itertools.count()
        self.turn = asyncio.Lock()
        self._ended: list[asyncio.Task[None]] = []

    @property
    def now(self) -> float:
        return self.clock.monotonic()

    @property
    def alive(self) -> list[User]:
        return [user for user in self.users if not user.is_dead]

    @property
    def is_shared(self) -> bool:
        return any(user.line is not None for user in self.users)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    # --------------------------------------------------------------------------- what happens

    async def join(self, user: User, lane: Lane, max_wait: float | None, *, requeued: bool) -> Call:
        """A call joins; the caller has things settle."""
        visits = 0 if user.line is None else user.line.visits
        number = next(self._numbers)
        call = Call(number, user, lane, requeued, max_wait, self.now, visits)
        self.waiting.append(call)
        if lane == "interactive":
            self.paced_until = self.now + INTERACTIVE_MEMORY
        call.task = asyncio.create_task(self._wait(call))
        self._ended.append(call.task)
        return call

    def cancel(self, call: Call) -> None:
        """Its caller leaves."""
        assert call.task is not None
        self._leave_queue(call)
        if self.is_shared and call.lane == "bulk":
            self.in_a_row = 0  # the store may just have given it bulk's turn
        call.task.cancel()

    def leave(self, call: Call) -> None:
        """Its caller leaves, if it has not been sent or told meanwhile."""
        if call in self.waiting:
            self.cancel(call)

    async def end(self, call: Call, fate: SlotOutcome) -> None:
        """Its request meets with that fate."""
        assert call.slot is not None
        assert call.timeout is not None
        call.timeout.cancel()
        self.flying.remove(call)
        if self.opener is call:
            self.opener = None
        if isinstance(fate, NotCounted | Throttled):
            self.counted.remove(call)
            self.next_at -= self._interval(0)
        elif isinstance(fate, Answered):
            call.counts_until = self.now
            if call.slot.is_probe:
                self.half_open = self.now < self.closed_until
        else:
            call.counts_until = self.now + LATE_ARRIVAL_GRACE
        if isinstance(fate, Throttled):
            self.closed_until = max(self.closed_until, self.now + fate.pause)
            self.half_open = True
            if call.user.line is not None:
                call.user.line.trouble = None  # or the others would not hear of it at once
        await call.user.limiter.release(call.slot, fate)
        if isinstance(fate, Throttled):
            others = [other for other in self.flying if other.user is call.user and other.slot]
            for other in others:
                assert other.slot is not None
                assert call.user.limiter.is_valid(other.slot) == (other is self.opener)

    async def answered(self, call: Call, left: int | None = None) -> None:
        await self.end(call, Answered(call.user.clock.monotonic(), left))

    async def die(self, user: User) -> None:
        """The process is killed: none of its tasks runs again, and the store hears nothing."""
        assert user.line is not None
        user.is_dead = user.line.is_cut = True
        for call in [call for call in self.waiting if call.user is user]:
            self.cancel(call)
        for call in [call for call in self.flying if call.user is user]:
            assert call.timeout is not None
            call.timeout.cancel()
            self.flying.remove(call)
            if self.opener is call:
                self.opener = None
        for call in [call for call in self.counted if call.user is user]:
            # Whether the store knew better how it ended, or takes it to have lasted that long.
            call.counts_until = min(call.counts_until, call.sent_at + TIMEOUT)
        await self._close(user)

    async def settle(self) -> None:
        """Let everything run that is due."""
        await self.pass_by(0.0)

    async def pass_by(self, seconds: float) -> None:
        """Let time pass, and look at who has been served, and who has not."""
        await self.clock.advance(seconds)
        ended, self._ended = self._ended, []
        for task in ended:
            if not task.done():
                self._ended.append(task)
            elif not task.cancelled():
                task.result()
        slack = 2 * HEARTBEAT if self.is_shared else 0.0
        for call in self.waiting:
            if call.max_wait is not None:
                assert self.now <= call.joined_at + call.max_wait + slack, "told too late"
        if not self.is_shared:
            self._nobody_waits_for_what_is_free()

    async def look_again(self) -> None:
        """Once all news is old, nobody waits although there is a slot for him."""
        await self.pass_by(NEWS_IS_OLD)
        await self._refresh()
        self._nobody_waits_for_what_is_free()

    async def _refresh(self) -> None:
        for user in self.alive:
            if user.line is not None:
                user.line.trouble = None
            await user.limiter.refresh()

    def _nobody_waits_for_what_is_free(self) -> None:
        for user in self.alive:
            budget = user.limiter.budget()
            waiting = [call for call in self.waiting if call.lane == "interactive" or self._is_due]
            assert not (budget.available and waiting), f"{user.name} sees {budget}"

    @property
    def _is_due(self) -> bool:
        """Whether the pace surely lets a bulk call be sent."""
        return not self.paces or self.now >= min(self.paced_until, self.next_at)

    def _interval(self, foreign: int) -> float:
        longest = max(self.rates, key=lambda rate: rate.hold_seconds)
        return max(
            rate.hold_seconds / (rate.calls - (foreign if rate is longest else 0))
            for rate in self.rates
        )

    def _check_pace(self, call: Call, slot: Slot) -> None:
        """Without interactive calls that wait, a bulk call is not sent before its time."""
        self.strangers = self.strangers or slot.foreign > 0
        alone = not any(other.lane == "interactive" for other in self.waiting)
        if self.paces and call.lane == "bulk" and alone and not self.strangers:
            early = self.next_at - max(TOLERANCE * self._interval(0), TIMER_LATENESS) - self.now
            assert early <= 1e-9 or self.now >= self.paced_until, "faster than the pace"
        self.next_at = max(self.next_at, self.now) + self._interval(slot.foreign)

    async def calm_down(self) -> None:
        """From now on everything goes well: every waiting call is sent or told, and soon."""
        hold = max(rate.hold_seconds for rate in self.rates)
        max_wait = (
            max(self.closed_until - self.now, 0.0) + TIMEOUT + LATE_ARRIVAL_GRACE + NEWS_IS_OLD
        )
        until = self.now + max_wait + (hold + 2 * HEARTBEAT) * (len(self.waiting) + 2)
        await self._serve_all(until)
        # One call more, for the gate to open after the last pause.
        await self.join(self.alive[0], "interactive", None, requeued=False)
        await self._serve_all(until + hold)
        await self.pass_by(LATE_ARRIVAL_GRACE + TIMEOUT + UNTIL_STRANGERS_ARE_FORGOTTEN * hold)
        # The first that comes after a process that died gives others time to report.
        await self._refresh()
        await self.pass_by(STATE_LOSS_PAUSE)
        await self._refresh()
        for user in self.alive:
            budget = user.limiter.budget()
            assert (budget.in_flight, budget.waiting, budget.foreign_estimate) == (0, 0, 0)
            assert budget.available == min(rate.calls for rate in self.rates)

    async def _serve_all(self, until: float) -> None:
        while self.waiting or self.flying:
            assert self.now <= until, "stuck"
            for call in self.flying[:]:
                await self.answered(call)
            await self.pass_by(HEARTBEAT)

    async def close(self) -> None:
        for call in self.waiting[:]:
            self.cancel(call)
        for user in self.alive:
            await self._close(user)
        await self.settle()

    async def _close(self, user: User) -> None:
        if isinstance(user.limiter, SharedLimiter):
            await user.limiter.aclose()

    # ------------------------------------------------------------------------- what has to hold

    async def _wait(self, call: Call) -> None:
        limiter, requeued = call.user.limiter, call.requeued
        try:
            while call.slot is None:
                slot = await limiter.acquire(call.lane, max_wait=call.max_wait, requeued=requeued)
                if limiter.is_valid(slot):
                    call.slot = slot
                else:
                    # Given unheard before the pause, and heard of in it: it is not to be sent.
                    assert call.is_in_doubt
                    await limiter.release(slot, NotCounted())
                    requeued = True
        except BudgetWaitError as error:
            self._leave_queue(call)
            self._is_told(call, error)
            return
        self._leave_queue(call)
        self._send(call, call.slot)

    def _is_told(self, call: Call, error: BudgetWaitError) -> None:
        assert call.max_wait is not None
        assert error.wait_needed > 0.0
        self.told += 1

    def _leave_queue(self, call: Call) -> None:
        self.waiting.remove(call)
        if not any(other.lane == "bulk" for other in self.waiting):
            self.in_a_row = 0

    def _send(self, call: Call, slot: Slot) -> None:
        self.served += 1
        self._check_gate(call, slot)
        self._check_order(call)
        self._check_pace(call, slot)
        call.sent_at = self.now
        call.timeout = self.clock.call_at(self.now + TIMEOUT, lambda: self._time_out(call))
        self.flying.append(call)
        self.flying.sort(key=lambda other: other.number)  # those in doubt come in no order
        self.counted.append(call)
        for rate in self.rates:
            since = self.now - rate.hold_seconds
            counted = [other for other in self.counted if other.counts_until > since]
            assert len(counted) <= rate.calls, "more than the server allows"

    def _time_out(self, call: Call) -> None:
        self._ended.append(asyncio.get_running_loop().create_task(self.end(call, Unknown())))

    def _check_gate(self, call: Call, slot: Slot) -> None:
        assert not call.user.is_dead
        assert self.now >= self.closed_until, "sent in spite of the pause"
        if self.half_open:
            assert self.opener is None, "two tried the gate together"
            assert slot.is_probe
            self.opener = call

    def _check_order(self, call: Call) -> None:
        """First come, first served within a lane of a process; bulk has at least every fifth."""
        line = [
            other for other in self.waiting if (other.user, other.lane) == (call.user, call.lane)
        ]
        ranks = [(not other.requeued, other.number) for other in (call, *line)]
        # Those who were given their slots unheard are told of it together, in no order.
        assert ranks[0] == min(ranks) or call.is_in_doubt, "overtaken"
        # Where several slots may be free at once, another process may be early; its turn counts.
        if self.is_shared and min(rate.calls for rate in self.rates) > 1:
            return
        bulk_waits = any(other.lane == "bulk" and other.is_in_queue for other in self.waiting)
        self.in_a_row = self.in_a_row + 1 if bulk_waits and call.lane == "interactive" else 0
        assert self.in_a_row <= 4, "bulk is starved"

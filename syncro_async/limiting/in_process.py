"""The limiter of one process: every task, thread and event loop that uses a key shares it."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Iterable, Sequence
from functools import partial

from syncro_async.clock import Clock, Timer
from syncro_async.limiting.budget import burst, lane_order
from syncro_async.limiting.budget.lane_queue import LaneQueue, Waiter
from syncro_async.limiting.budget.pacing import bulk_available_at, paced_after, refund, spend
from syncro_async.limiting.budget.pause import PauseGate
from syncro_async.limiting.budget.slot_ledger import NEWEST, SlotLedger
from syncro_async.limiting.protocol import (
    LATE_ARRIVAL_GRACE,
    Answered,
    Budget,
    Lane,
    NotCounted,
    Slot,
    SlotOutcome,
    Throttled,
    Unknown,
)
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.limiting.waiters import (
    SHORTEST_ADVICE,
    call_in_loop,
    reject,
    running_loop,
    too_long,
    wake,
)

# There is one probe at most, so that it needs no name of its own.
_PROBE = "probe"


class InProcessLimiter:
    """Applies the slot rule to one key. See `Limiter` for its methods.

    Each change of state happens under a lock and without an await, so tasks, threads and event
    loops may share it. One timer in each event loop with waiters wakes them.
    """

    # A program may keep thousands of them, one for each account.
    __slots__ = (
        "__weakref__",
        "_bursts",
        "_clock",
        "_created_at",
        "_gate",
        "_latency",
        "_lock",
        "_next_at",
        "_paced_until",
        "_queue",
        "_slots",
        "_tats",
        "_timers",
    )

    def __init__(self, rates: Sequence[RateLimit], clock: Clock) -> None:
        self._clock = clock
        self._begin(rates)

    def reset_after_fork(self) -> None:
        """Start again in a forked child, with a whole budget and no waiters."""
        self._begin(self.rates)

    def _begin(self, rates: Sequence[RateLimit]) -> None:
        # Reentrant: the garbage collector may close an abandoned coroutine at any moment, also in a
        # thread that holds the lock. The coroutine then leaves the queue or releases its slot.
        self._lock = threading.RLock()
        self._queue = LaneQueue()
        self._gate = PauseGate()
        self._timers: dict[asyncio.AbstractEventLoop, tuple[float, Timer]] = {}
        self._latency = 0.0
        self._paced_until = 0.0
        self._next_at = 0.0
        self._created_at = self._clock.monotonic()
        self._keep(rates)

    def _keep(self, rates: Sequence[RateLimit]) -> None:
        self._slots = SlotLedger(rates)
        self._bursts = tuple(
            burst.burst_shape(rate.calls, rate.seconds, rate.burst)
            for rate in rates
            if rate.burst is not None
        )
        self._tats = [0.0] * len(self._bursts)

    @property
    def rates(self) -> tuple[RateLimit, ...]:
        """The limits it keeps."""
        return self._slots.rates

    def adopt(self, rates: tuple[RateLimit, ...]) -> bool:
        """Keep these limits from now on; False, and nothing changed, while others are in use."""
        with self._lock:
            if self.rates == rates:
                return True
            now = self._now()
            if self._queue or not self._slots.is_idle(now):
                return False
            self._keep(rates)
            return True

    def preload(self, answered: Iterable[float], in_flight: int) -> None:
        """Count what another limiter sent before.

        `answered`: the times of the answers (monotonic s). `in_flight`: how many calls are in
        flight; they are released here like slots of this limiter.
        """
        with self._lock:
            for at in answered:
                self._slots.take()
                self._slots.mark_answered(at)
            for _ in range(in_flight):
                self._slots.take()

    def is_idle(self) -> bool:
        """Whether nothing that it keeps counts any more."""
        with self._lock:
            now = self._now()
            idle = not self._queue and self._slots.is_idle(now)
            return idle and self._gate.closed_until <= now

    def is_paced(self) -> bool:
        """Whether interactive calls have used the key within the last ten minutes."""
        return self._clock.monotonic() < self._paced_until

    async def acquire(
        self, lane: Lane, *, max_wait: float | None = None, requeued: bool = False
    ) -> Slot:
        """Wait for the right to send one request, and take it."""
        with self._lock:
            now = self._now()
            if lane == "interactive":
                # Also when it is refused: else bulk calls would soon take all slots again.
                self._paced_until = paced_after(now)
            due = lane == "interactive" or self._bulk_is_due()
            if due and not self._queue and self._may_send(now):
                if lane == "bulk":
                    self._queue.note_bulk(self._slots.pace.advance)
                return self._grant(now)
            if max_wait is not None:
                before = self._queue.before(lane, requeued=requeued)
                needed = self._forecast(now, lane, before) - now
                if needed > max_wait:
                    raise too_long(needed, max_wait)
            waiter = self._join(lane, now, max_wait, requeued=requeued)
            if lane == "interactive" and self._queue.interactive == 1:
                # The calls that wait may be bulk calls that are not due, and a slot may be free.
                self._dispatch()
            else:
                self._schedule(waiter.loop, self._next_chance(now))
        try:
            return await self._wait(waiter)
        except BaseException:
            # Cancelled: the place, or the slot that was just granted, goes to the next waiter.
            with self._lock:
                self._queue.leave(waiter)
                if waiter.slot is not None and self._record_outcome(waiter.slot, NotCounted()):
                    self._queue.return_turn(lane)
                    self._dispatch()
            raise

    async def _wait(self, waiter: Waiter) -> Slot:
        """Wait for the grant, at most until the waiter gives up."""
        if waiter.gives_up_at == math.inf:
            return await waiter.granted
        timer = self._clock.call_at(waiter.gives_up_at, lambda: self._give_up(waiter))
        try:
            return await waiter.granted
        finally:
            timer.cancel()

    def is_valid(self, slot: Slot) -> bool:
        """Whether a slot may still be used; False after a 429 has paused the key."""
        return slot.is_probe or not self._gate.half_open

    async def release(self, slot: Slot, outcome: SlotOutcome) -> None:
        """Record the outcome of the request, which decides when the slot returns."""
        with self._lock:
            if self._record_outcome(slot, outcome):
                self._dispatch()

    async def refresh(self) -> None:
        """Do nothing: `budget()` is always current."""

    def budget(self) -> Budget:
        """A snapshot."""
        with self._lock:
            now = self._now()
            free = self._slots.free_of_each(now)
            tightest = min(range(len(free)), key=lambda i: (free[i], self.rates[i].calls))
            room = min([free[tightest], *self._burst_rooms(now)])
            return Budget(
                limit=self._slots.calls(tightest),
                window=self.rates[tightest].seconds,
                available=self._gate.available(now, max(0, room)),
                in_flight=self._slots.in_flight,
                waiting=len(self._queue),
                next_free_in=self._slot_at(now, 0) - now,
                waiting_bulk=self._queue.length("bulk"),
                gate_closed_for=max(0.0, self._gate.closed_until - now),
                foreign_estimate=self._slots.foreign_estimate(now),
                used=self._slots.used(tightest),
            )

    # ------------------------------------------------------------------ under the lock, no await

    def _now(self) -> float:
        """The time; waiters of event loops that were closed meanwhile are removed first."""
        if self._queue:
            self._queue.forget_closed_loops()
        return self._clock.monotonic()

    def _join(self, lane: Lane, now: float, max_wait: float | None, *, requeued: bool) -> Waiter:
        gives_up_at = math.inf if max_wait is None else now + max_wait
        loop = asyncio.get_running_loop()
        waiter = Waiter(lane, loop, requeued=requeued, gives_up_at=gives_up_at)
        self._queue.join(waiter)
        return waiter

    def _give_up(self, waiter: Waiter) -> None:
        """Reject a waiter whose time is over before its turn: the estimate was too low."""
        with self._lock:
            self._dispatch()  # its turn may have come at this moment
            if waiter.slot is None:
                self._reject_expiring(waiter, self._now())

    def _reject_expiring(self, waiter: Waiter, now: float) -> None:
        before = self._queue.before_waiter(waiter)
        needed = self._forecast(now, waiter.lane, before) - now
        self._queue.leave(waiter)
        # The estimate was too low, so it is not repeated.
        error = too_long(max(needed, SHORTEST_ADVICE), None)
        reject(waiter, error)

    def _may_send(self, now: float) -> bool:
        return (
            self._slots.has_free(now)
            and self._gate.available(now) > 0
            and (not self._bursts or self._bursts_available_at(now) <= now)
        )

    def _bulk_is_due(self) -> bool:
        """Whether the pacing lets a bulk call be granted now."""
        now = self._clock.monotonic()
        return now >= self._paced_until or self._bulk_available_at(now) <= now

    def _grant(self, now: float) -> Slot:
        slot = Slot(
            taken_at=now, booked_at_grant=self._slots.take(), foreign=self._slots.foreign_now
        )
        self._next_at = spend(self._slots.pace, self._next_at, now)
        slot.is_probe = self._gate.enter(_PROBE)
        if self._bursts:
            self._tats = [
                burst.spend(shape, tat, now)
                for shape, tat in zip(self._bursts, self._tats, strict=True)
            ]
        return slot

    def _record_outcome(self, slot: Slot, outcome: SlotOutcome) -> bool:
        """Record the outcome of a slot; False when it was recorded already."""
        if slot.released:
            return False
        slot.released = True
        now = self._clock.monotonic()
        match outcome:
            case Answered(at, left):
                self._slots.mark_answered(at)
                if left is not None:
                    self._slots.count_foreign(at, slot.booked_at_grant, left)
                self._latency += NEWEST * (at - slot.taken_at - self._latency)
            case Unknown():
                self._slots.mark_answered(now + LATE_ARRIVAL_GRACE)
            case Throttled():
                self._slots.return_unused()
                self._next_at = refund(self._slots.pace, self._next_at)
            case _:  # NotCounted
                self._slots.return_unused()
                self._next_at = refund(self._slots.pace, self._next_at)
                self._tats = [
                    burst.refund(shape, tat)
                    for shape, tat in zip(self._bursts, self._tats, strict=True)
                ]
        again = self._gate.half_open
        self._pause(slot, outcome, now)
        self._update_share(slot, outcome, now, again=again)
        if isinstance(outcome, Throttled):
            for waiter in self._queue.expiring_before(self._gate.closed_until):
                self._reject_expiring(waiter, now)
        return True

    def _pause(self, slot: Slot, outcome: SlotOutcome, now: float) -> None:
        """Pause after a 429; open the gate after the answer to the probe."""
        if slot.is_probe:
            self._gate.leave(_PROBE)
        if isinstance(outcome, Throttled):
            self._gate.throttle(now + outcome.pause)
        elif slot.is_probe and isinstance(outcome, Answered):
            self._gate.open_after_probe(now)

    def _update_share(self, slot: Slot, outcome: SlotOutcome, now: float, *, again: bool) -> None:
        """Reduce our share by what other clients use; `again`: the key was paused already.

        In its first window the limiter does not know what was sent before, for example by an
        earlier run of this program.
        """
        if again and not slot.is_probe and isinstance(outcome, Throttled | NotCounted):
            self._slots.learn_uncounted()
        if (
            isinstance(outcome, Throttled)
            and not again
            and self._slots.longest < now - self._created_at
        ):
            self._slots.learn_from_429(self._gate.closed_until)

    def _dispatch(self) -> None:
        """Wake the waiters whose turn it is, and set the timer for the next one."""
        if not self._queue:
            return
        now = self._clock.monotonic()
        while self._queue and self._may_send(now):
            waiter = self._queue.next(self._bulk_is_due, self._slots.pace.advance)
            if waiter is None:
                break
            waiter.slot = self._grant(now)
            waiter.slot.paced = waiter.lane == "bulk" and now < self._paced_until
            if not wake(waiter, waiter.slot):
                self._queue.return_turn(waiter.lane)
                self._record_outcome(waiter.slot, NotCounted())
        when = self._next_chance(now)
        for loop in self._queue.loops():
            if loop is running_loop():
                self._schedule(loop, when)
            elif not self._is_scheduled(loop, when):
                call_in_loop(loop, self._schedule_in_loop)

    def _bursts_available_at(self, start: float, place: int = 0) -> float:
        """When the bursts let the call with `place` others before it leave, from `start` on."""
        times = [
            burst.available_at(shape, tat, start, place)
            for shape, tat in zip(self._bursts, self._tats, strict=True)
        ]
        return max(times, default=start)

    def _burst_rooms(self, now: float) -> list[int]:
        return [
            burst.room(shape, tat, now) for shape, tat in zip(self._bursts, self._tats, strict=True)
        ]

    def _bulk_available_at(self, start: float, place: int = 0) -> float:
        """When the pacing lets the bulk call with `place` others before it go, from `start` on."""
        pace = self._slots.pace
        return bulk_available_at(pace, self._paced_until, self._next_at, start, place)

    def _slot_at(self, now: float, place: int) -> float:
        """When the call with `place` others before it gets a slot: an estimate."""
        passes = self._gate.next_pass_at(now, place, self._latency)

        def leaves_at(place: int) -> float:
            return self._bursts_available_at(passes, place)

        return self._slots.forecast(now, place, self._latency, leaves_at)

    def _forecast(self, now: float, lane: Lane, before: int) -> float:
        """When the call with `before` others of its lane before it would be sent: an estimate."""
        queue = self._queue
        if lane == "interactive":
            bulk = lane_order.bulk_before(before, queue.length("bulk"), queue.debt)
            return self._slot_at(now, before + bulk)

        def due_at(place: int) -> float:
            passes = self._gate.next_pass_at(now, place, self._latency)
            return self._bulk_available_at(passes, place)

        interactive, slot_at = queue.interactive, partial(self._slot_at, now)
        return lane_order.bulk_forecast(before, interactive, queue.debt, slot_at, due_at)

    # ------------------------------------------------------------------ timers, one a loop

    def _next_chance(self, now: float) -> float:
        """When a waiter could be granted a slot; infinity while only an answer can free one."""
        free_at = self._slots.next_free_at(now)
        opens_at = max(now, self._gate.closed_until)
        if free_at is None or not self._gate.available(opens_at):
            return math.inf
        when = max(free_at, opens_at, self._bursts_available_at(now))
        if now < self._paced_until and not self._queue.interactive:
            when = max(when, self._bulk_available_at(now))
        return when

    def _is_scheduled(self, loop: asyncio.AbstractEventLoop, when: float) -> bool:
        """Whether that loop's timer fires early enough; none is needed for an infinite time."""
        armed = self._timers.get(loop)
        return when == math.inf or (armed is not None and armed[0] <= when)

    def _schedule(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        """Set the timer of the running loop, unless it fires early enough already."""
        if self._is_scheduled(loop, when):
            return
        for other in [other for other in self._timers if other is loop or other.is_closed()]:
            self._timers.pop(other)[1].cancel()
        self._timers[loop] = when, self._clock.call_at(when, lambda: self._on_timer(loop))

    def _schedule_in_loop(self) -> None:
        with self._lock:
            self._schedule(asyncio.get_running_loop(), self._next_chance(self._clock.monotonic()))

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            del self._timers[loop]
            self._dispatch()

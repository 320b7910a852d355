"""Lets a request go when the budget has a slot for it, and tells the budget what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from syncro_async._internal.per_loop import PerLoop
from syncro_async.clock import Clock
from syncro_async.errors import (
    APIError,
    ConfigurationError,
    ConnectionFailedError,
    NoAnswerError,
    SyncroError,
)
from syncro_async.events import (
    LONG_WAIT,
    AnswerReceived,
    AttemptFailed,
    BudgetLowered,
    CallAbandoned,
    GateClosed,
    Observers,
    RequestSent,
    SlotWaited,
)
from syncro_async.limiting.context import before_send, hooked_wait, is_late
from syncro_async.limiting.protocol import (
    Answered,
    Lane,
    Limiter,
    NotCounted,
    Slot,
    SlotOutcome,
    Throttled,
    Unknown,
)
from syncro_async.retrying.decision import throttles_key
from syncro_async.retrying.retry_after import http_date
from syncro_async.transport.messages import (
    Attempt,
    CallState,
    RawResponse,
    Send,
    SendStats,
    SlotExpired,
)
from syncro_async.transport.send_tasks import SendTasks, notify


class RateLimitStage:
    """Every attempt takes a slot of its own; a 429 gives it back and pauses the whole key.

    The send runs in its own task: a cancelled caller leaves at once, while the request it put on
    the wire is followed to its end, so that neither slot nor connection is lost.
    """

    def __init__(
        self,
        send: Send,
        limiter: Limiter,
        sends: PerLoop[SendTasks],
        *,
        open_pool: Callable[[], object],
        uncounted: frozenset[int],
        clock: Clock,
        observers: Observers,
        tally: SendStats,
    ) -> None:
        self._send = send
        self._limiter = limiter
        self._send_tasks = sends
        self._open_pool = open_pool
        self._uncounted_statuses = uncounted
        self._clock = clock
        self._emit = observers
        self._stats = tally
        self._foreign = 0
        self._paused_until = 0.0
        self._long_until: dict[Lane, float] = {"interactive": 0.0, "bulk": 0.0}

    async def __call__(self, exchange: CallState[Any]) -> RawResponse:
        """Wait for a slot, send, settle. Raises `BudgetWaitError` when the queue is too long."""
        sends = self._send_tasks.get()
        self._open_pool()  # takes a while the first time, and a slot must not wait for it
        until = self._clock.monotonic() + (exchange.queue_timeout or 0.0)
        while (reply := await self._send_once(exchange, sends)) is None:
            # A 429 paused the key while the call had its slot but no connection yet, or the slot
            # expired because the process was stopped.
            exchange.requeued = True
            if exchange.queue_timeout is not None:
                exchange.queue_timeout = max(0.0, until - self._clock.monotonic())
        return reply

    async def _send_once(self, exchange: CallState[Any], sends: SendTasks) -> RawResponse | None:
        asked_at = self._clock.monotonic()
        with sends.waiting_for_budget(), hooked_wait():
            slot = await self._limiter.acquire(
                exchange.options.lane, max_wait=exchange.queue_timeout, requeued=exchange.requeued
            )
        if slot.taken_at > asked_at:
            exchange.waited += slot.taken_at - asked_at
            self._emit_wait(exchange, asked_at, slot)
        self._emit_foreign_usage(slot)
        # Asked when the connection is open, which may take long.
        attempt = Attempt(may_send=lambda: self._limiter.is_valid(slot) and not is_late())
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = sends.start(
            self._run_attempt(exchange, attempt, slot, sends.connection_slots, over), over
        )
        try:
            # Not `await task`: the caller's cancellation ends this wait and nothing else.
            await over
        except asyncio.CancelledError:
            if attempt.on_wire:
                exchange.detached = True
                task.add_done_callback(partial(self._log_abandoned, exchange, attempt))
            elif not attempt.releasing:
                task.cancel()  # nothing was sent: it gives up its place and hands its slot back
                await self._release_unstarted(attempt, slot)
            raise
        if task.cancelled():
            await self._release_unstarted(attempt, slot)
            raise _closed_before_answer(attempt)
        return task.result()

    def _emit_wait(self, exchange: CallState[Any], asked_at: float, slot: Slot) -> None:
        """Say how long it was; the first of long waits at the same time is a warning."""
        call, lane, until = exchange.call, exchange.options.lane, slot.taken_at
        is_long = until - asked_at > LONG_WAIT
        again = is_long and asked_at < self._long_until[lane]
        if is_long and not again:
            self._long_until[lane] = until
        if self._emit or (is_long and not again):  # the log has a warning in any case
            waited = until - asked_at
            self._emit(SlotWaited(call.method, call.path, lane, waited, again, slot.paced))

    def _emit_foreign_usage(self, slot: Slot) -> None:
        """Report that another program uses the key, again only when it uses more than reported."""
        if slot.foreign > self._foreign:
            self._emit(BudgetLowered(slot.foreign, slot.taken_at))
        if slot.foreign > self._foreign or not slot.foreign:
            self._foreign = slot.foreign

    async def _release_unstarted(self, attempt: Attempt, slot: Slot) -> None:
        """Hand the slot back for a send whose task was cancelled before its first step."""
        if not attempt.task_started:
            await self._limiter.release(slot, NotCounted())

    async def _run_attempt(
        self,
        exchange: CallState[Any],
        attempt: Attempt,
        slot: Slot,
        places: asyncio.Semaphore,
        over: asyncio.Future[None],
    ) -> RawResponse | None:
        attempt.task_started = True
        try:
            async with places:
                await before_send()
                # The caller may be cancelled, and not have run since.
                if over.cancelled() or not self._limiter.is_valid(slot):
                    return None
                return await self._send_attempt(exchange, attempt)
        finally:
            attempt.releasing = True
            if isinstance(attempt.outcome, Unknown) and attempt.answered_at is not None:
                # Cut off while the body was read.
                attempt.outcome = Answered(attempt.answered_at, attempt.remaining)
            try:
                await self._limiter.release(slot, attempt.outcome)
            finally:
                notify(over)

    async def _send_attempt(self, exchange: CallState[Any], attempt: Attempt) -> RawResponse | None:
        """Send, and note what it means for the slot; None when the slot had expired by then."""
        attempt.on_wire, attempt.outcome = True, Unknown()
        sent_at = self._record_send(exchange)
        try:
            reply = await self._send(exchange, attempt)
        except SlotExpired:
            attempt.on_wire, attempt.outcome = False, NotCounted()
            exchange.attempts -= 1
            return None
        except SyncroError as error:
            attempt.outcome = self._slot_outcome(attempt, error)
            self._emit_outcome(exchange, attempt, sent_at, error)
            raise
        answered_at = attempt.answered_at or self._clock.monotonic()
        attempt.outcome = Answered(answered_at, attempt.remaining)
        self._emit_outcome(exchange, attempt, sent_at, None)
        return reply

    def _record_send(self, exchange: CallState[Any]) -> float:
        now = self._clock.monotonic()
        exchange.attempts += 1
        (exchange.options.stats or self._stats).record_send()
        if exchange.attempts == 1:
            exchange.first_sent_at = now
        if self._emit:
            self._emit(RequestSent(exchange.call.method, exchange.call.path, now))
        return now

    def _slot_outcome(self, attempt: Attempt, error: SyncroError) -> SlotOutcome:
        """What an attempt that ended with an error means for its slot."""
        if throttles_key(error):
            return Throttled(error.pause)
        if isinstance(error, APIError) and error.status in self._uncounted_statuses:
            return NotCounted()
        if attempt.answered_at is not None:
            return Answered(attempt.answered_at, attempt.remaining)
        unsent = isinstance(error, ConnectionFailedError | ConfigurationError)
        return NotCounted() if unsent else Unknown()

    def _emit_outcome(
        self, exchange: CallState[Any], attempt: Attempt, sent_at: float, error: SyncroError | None
    ) -> None:
        now = self._clock.monotonic()
        if attempt.answered_at is not None:
            tally = exchange.options.stats or self._stats
            tally.record_answer(attempt.answered_at - sent_at)
        if self._emit:
            method, path = exchange.call.method, exchange.call.path
            if attempt.answered_at is not None:
                at = attempt.answered_at
                date = http_date(attempt.date or "")
                self._emit(AnswerReceived(method, path, attempt.status, at, at - sent_at, date))
            else:
                self._emit(AttemptFailed(method, path, type(error).__name__, now, now - sent_at))
        if error is not None and throttles_key(error):
            self._emit_pause(error.pause, now)

    def _emit_pause(self, seconds: float, now: float) -> None:
        """Report a 429; the log has the first of each pause of the key in any case."""
        paused = now < self._paused_until or self._limiter.budget().gate_closed_for > 0.0
        self._paused_until = max(self._paused_until, now + seconds)
        self._emit(GateClosed(seconds, now, again=paused))

    def _log_abandoned(
        self, exchange: CallState[Any], attempt: Attempt, task: asyncio.Task[RawResponse | None]
    ) -> None:
        """Say what became of a request whose caller has gone."""
        if task.cancelled():
            outcome = "its outcome is unknown, the client ended before the answer came"
        elif (error := task.exception()) is not None:
            outcome = f"{type(error).__name__}: {error}"
        elif not attempt.on_wire:
            outcome = "nothing was sent, because its slot had expired"
        else:
            outcome = f"the server answered {attempt.status}"
        self._emit(CallAbandoned(exchange.call.method, exchange.call.path, outcome))


def _closed_before_answer(attempt: Attempt) -> SyncroError:
    """What the caller of a send hears that closing the client cut off."""
    if attempt.on_wire:
        return NoAnswerError("the client was closed before the answer came")
    return ConfigurationError("the client was closed before the request was sent")

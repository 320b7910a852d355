"""Lets a request go when the budget has a slot for it, and tells the budget what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

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
from syncro_async.limiting.callers import caller_waits, last_look
from syncro_async.limiting.limiter import (
    Answered,
    Fate,
    HandedBack,
    Lane,
    Limiter,
    Lost,
    Refused,
    Slot,
)
from syncro_async.per_loop import PerLoop
from syncro_async.retrying.retry_after import http_date
from syncro_async.retrying.verdict import pauses_key
from syncro_async.transport.exchange import Attempt, Exchange, Reply, Send
from syncro_async.transport.sends import Sends, ring
from syncro_async.transport.tally import Tally


class LimitStage:
    """Every attempt takes a slot of its own; a 429 gives it back and pauses the whole key.

    The send runs in its own task: a cancelled caller leaves at once, while the request it put on
    the wire is followed to its end, so that neither slot nor connection is lost.
    """

    def __init__(
        self,
        send: Send,
        limiter: Limiter,
        sends: PerLoop[Sends],
        *,
        open_pool: Callable[[], object],
        uncounted: frozenset[int],
        clock: Clock,
        observers: Observers,
        tally: Tally,
    ) -> None:
        self._send = send
        self._limiter = limiter
        self._sends = sends
        self._open_pool = open_pool
        self._uncounted = uncounted
        self._clock = clock
        self._tell = observers
        self._tally = tally
        self._foreign = 0
        self._long_until: dict[Lane, float] = {"interactive": 0.0, "bulk": 0.0}

    async def __call__(self, exchange: Exchange[Any]) -> Reply:
        """Wait for a slot, send, settle. Raises `BudgetWaitError` when the queue is too long."""
        sends = self._sends.here()
        self._open_pool()  # takes a while the first time, and a slot must not wait for it
        until = self._clock.monotonic() + (exchange.patience or 0.0)
        while (reply := await self._send_once(exchange, sends)) is None:
            # A 429 paused the key while the call had its slot but no connection yet.
            exchange.came_first = True
            if exchange.patience is not None:
                exchange.patience = max(0.0, until - self._clock.monotonic())
        return reply

    async def _send_once(self, exchange: Exchange[Any], sends: Sends) -> Reply | None:
        asked_at = self._clock.monotonic()
        with sends.in_queue(), caller_waits():
            slot = await self._limiter.acquire(
                exchange.options.lane, patience=exchange.patience, came_first=exchange.came_first
            )
        if slot.taken_at > asked_at:
            self._tell_of_wait(exchange, asked_at, slot.taken_at)
        self._tell_of_strangers(slot)
        attempt = Attempt()
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = sends.start(self._carry(exchange, attempt, slot, sends.places, over), over)
        try:
            # Not `await task`: the caller's cancellation ends this wait and nothing else.
            await over
        except asyncio.CancelledError:
            if attempt.begun:
                exchange.followed = True
                task.add_done_callback(partial(self._report, exchange, attempt))
            else:
                task.cancel()  # nothing was sent: it gives up its place and hands its slot back
                await self._settle_for(attempt, slot)
            raise
        if task.cancelled():
            await self._settle_for(attempt, slot)
            raise _closed_under(attempt)
        return task.result()

    def _tell_of_wait(self, exchange: Exchange[Any], asked_at: float, until: float) -> None:
        """Say how long it was; the first of long waits at the same time is a warning."""
        call, lane = exchange.call, exchange.options.lane
        is_long = until - asked_at > LONG_WAIT
        again = is_long and asked_at < self._long_until[lane]
        if is_long and not again:
            self._long_until[lane] = until
        if self._tell or (is_long and not again):  # the log has a warning in any case
            self._tell(SlotWaited(call.method, call.path, lane, until - asked_at, again))

    def _tell_of_strangers(self, slot: Slot) -> None:
        """Say that somebody else spends the key, again only when it is more than was said."""
        if slot.foreign > self._foreign:
            self._tell(BudgetLowered(slot.foreign, slot.taken_at))
        if slot.foreign > self._foreign or not slot.foreign:
            self._foreign = slot.foreign

    async def _settle_for(self, attempt: Attempt, slot: Slot) -> None:
        """Hand the slot back for a send whose task was cancelled before its first step."""
        if not attempt.started:
            await self._limiter.settle(slot, HandedBack())

    async def _carry(
        self,
        exchange: Exchange[Any],
        attempt: Attempt,
        slot: Slot,
        places: asyncio.Semaphore,
        over: asyncio.Future[None],
    ) -> Reply | None:
        fate: Fate = HandedBack()
        attempt.started = True
        try:
            async with places:
                await last_look()
                if not self._limiter.holds(slot):
                    return None
                attempt.begun = True
                fate = Lost()
                sent_at = self._begin(exchange)
                try:
                    reply = await self._send(exchange, attempt)
                except SyncroError as error:
                    fate = self._fate(attempt, error)
                    self._tell_outcome(exchange, attempt, sent_at, error)
                    raise
                answered_at = attempt.answered_at or self._clock.monotonic()
                fate = Answered(answered_at, attempt.calls_left)
                self._tell_outcome(exchange, attempt, sent_at, None)
                return reply
        finally:
            if isinstance(fate, Lost) and attempt.answered_at is not None:
                # Cut off while the body was read.
                fate = Answered(attempt.answered_at, attempt.calls_left)
            try:
                await self._limiter.settle(slot, fate)
            finally:
                ring(over)

    def _begin(self, exchange: Exchange[Any]) -> float:
        now = self._clock.monotonic()
        exchange.sent += 1
        (exchange.options.tally or self._tally).send()
        if exchange.sent == 1:
            exchange.first_sent_at = now
        if self._tell:
            self._tell(RequestSent(exchange.call.method, exchange.call.path, now))
        return now

    def _fate(self, attempt: Attempt, error: SyncroError) -> Fate:
        """What an attempt that ended with an error means for its slot."""
        if pauses_key(error):
            return Refused(error.pause)
        if isinstance(error, APIError) and error.status in self._uncounted:
            return HandedBack()
        if attempt.answered_at is not None:
            return Answered(attempt.answered_at, attempt.calls_left)
        unsent = isinstance(error, ConnectionFailedError | ConfigurationError)
        return HandedBack() if unsent else Lost()

    def _tell_outcome(
        self, exchange: Exchange[Any], attempt: Attempt, sent_at: float, error: SyncroError | None
    ) -> None:
        now = self._clock.monotonic()
        if attempt.answered_at is not None:
            tally = exchange.options.tally or self._tally
            tally.answer(attempt.answered_at - sent_at)
        if self._tell:
            method, path = exchange.call.method, exchange.call.path
            if attempt.answered_at is not None:
                at = attempt.answered_at
                date = http_date(attempt.date or "")
                self._tell(AnswerReceived(method, path, attempt.status, at, at - sent_at, date))
            else:
                self._tell(AttemptFailed(method, path, type(error).__name__, now, now - sent_at))
        if error is not None and pauses_key(error):
            self._tell(GateClosed(error.pause, now))  # a warning: the log has it in any case

    def _report(
        self, exchange: Exchange[Any], attempt: Attempt, task: asyncio.Task[Reply | None]
    ) -> None:
        """Say what became of a request whose caller has gone."""
        if task.cancelled():
            outcome = "its outcome is unknown, the client ended before the answer came"
        elif (error := task.exception()) is not None:
            outcome = f"{type(error).__name__}: {error}"
        else:
            outcome = f"the server answered {attempt.status}"
        self._tell(CallAbandoned(exchange.call.method, exchange.call.path, outcome))


def _closed_under(attempt: Attempt) -> SyncroError:
    """What the caller of a send hears that closing the client cut off."""
    if attempt.begun:
        return NoAnswerError("the client was closed before the answer came")
    return ConfigurationError("the client was closed before the request was sent")

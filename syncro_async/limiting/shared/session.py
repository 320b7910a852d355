"""Synchronises the calls of one event loop with a shared store."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from copy import copy

from syncro_async._internal.per_loop import client_is_closed
from syncro_async.clock import Clock
from syncro_async.errors import SyncroError
from syncro_async.limiting.budget.messages import Join, Limit, SyncResponse
from syncro_async.limiting.budget.slot_ledger import NEWEST
from syncro_async.limiting.budget.state import HEARTBEAT, OWNER_TTL
from syncro_async.limiting.protocol import Answered, Lane, NotCounted, Slot, SlotOutcome, Throttled
from syncro_async.limiting.shared.forecast import Forecast
from syncro_async.limiting.shared.local_queue import LocalQueue, Waiter
from syncro_async.limiting.shared.outbox import Outbox
from syncro_async.limiting.shared.store import Store, StoreUnreachableError
from syncro_async.limiting.waiters import SHORTEST_ADVICE, too_long

# The shortest time between two requests for a slot that is due (s). Without it, rounding could
# cause an endless loop of requests.
_ROUNDING = 1e-6


# How long closing waits for the store, and for a library to end its work (s each).
_CLOSING_TIME = 2.0


class StoreSession:
    """The state that all tasks of one event loop share with the store.

    A background task synchronises with the store while calls wait, are in flight, or have slots
    that still count: when an outcome concerns other processes, when the next slot is due, and
    every `HEARTBEAT`. So a store that loses its state gets it back. State changes only between
    two awaits.
    """

    def __init__(
        self,
        store: Store,
        key: str,
        limits: list[Limit],
        timeout: float,
        clock: Clock,
        *,
        new_state_pause: float = 0.0,
    ) -> None:
        self._store = store
        self._key = key
        self._limits = limits
        self._clock = clock
        self._outbox = Outbox(limits, timeout, new_state_pause=new_state_pause)
        self._queue = LocalQueue()
        self._held: dict[str, Slot] = {}
        self._sync_requested = asyncio.Event()
        self._sync_task: asyncio.Task[None] | None = None
        self._may_start = True
        self.is_closed = False
        self._syncs: set[asyncio.Future[None]] = set()
        self._latency = 0.0
        self._gate_is_open = True
        self._paused_until = 0.0
        self._unreachable_since = math.inf
        self._synced_at = -math.inf
        # Since when no two synchronisations were `OWNER_TTL` apart.
        self._in_touch_since = math.inf
        self.forecast: Forecast | None = None

    async def acquire(self, lane: Lane, *, max_wait: float | None, requeued: bool) -> Slot:
        """Wait for a slot. See `Limiter.acquire`; raises `StoreUnreachableError` in an outage."""
        gives_up_at = math.inf if max_wait is None else self._clock.monotonic() + max_wait
        waiter = Waiter(Join(self._outbox.new_lease_id(), lane == "bulk", requeued), gives_up_at)
        self._queue.add(waiter)
        if requeued:
            self._outbox.add_join(waiter.join)
        self._enqueue_backlog()
        self._restart_sync()
        try:
            return await self._wait(waiter)
        except BaseException:
            # Cancelled: the place, or the slot that was just granted, goes to the next waiter.
            self._leave(waiter)
            raise

    async def _wait(self, waiter: Waiter) -> Slot:
        """Wait for the grant, or for the rejection when `max_wait` is over."""
        if waiter.gives_up_at == math.inf:
            return await waiter.granted
        # The turn may come at this moment, so the store decides and not the timer.
        timer = self._clock.call_at(waiter.gives_up_at, self._request_sync)
        try:
            return await waiter.granted
        finally:
            timer.cancel()

    def is_valid(self, slot: Slot) -> bool:
        """Whether a slot may still be used, as far as this process knows.

        A process that was stopped, or has not heard from the store for `OWNER_TTL`, may not: the
        store may have given its slots to others. It may not use them later either, when it hears
        from the store again.
        """
        heard_lately = self._clock.monotonic() - self._synced_at < OWNER_TTL
        in_touch = heard_lately and slot.taken_at >= self._in_touch_since
        return in_touch and (slot.is_probe or self._gate_is_open)

    async def release(self, slot: Slot, outcome: SlotOutcome) -> None:
        """Record the outcome of a slot; the background task reports it to the store."""
        if self._held.pop(slot.lease_id, None) is None:
            return
        now = self._clock.monotonic()
        self._outbox.add_outcome(slot.lease_id, outcome, now)
        if isinstance(outcome, Answered):
            self._latency += NEWEST * (outcome.at - slot.taken_at - self._latency)
        elif isinstance(outcome, Throttled):
            self._gate_is_open = False
            self._paused_until = max(self._paused_until, now + outcome.pause)
        # The slot of an answered call returns a window later, so the report can usually wait.
        soon = min(limit.hold_seconds for limit in self._limits) < HEARTBEAT
        if soon or slot.is_probe or isinstance(outcome, NotCounted | Throttled):
            self._request_sync()
        else:
            self._wake_sync()

    def adopt(self, slot: Slot) -> None:
        """Add a slot that was granted without the store, and report it to the store later."""
        slot.lease_id = self._outbox.new_lease_id()
        self._held[slot.lease_id] = slot
        self._outbox.add_held(slot.lease_id)
        self._wake_sync()

    def counted(self) -> tuple[list[float], int]:
        """The times of the answers that still count, and the number of calls in flight."""
        return self._outbox.answered(), len(self._held)

    def paused_for(self) -> float | None:
        """The rest of the pause (s), as far as this process knows; None without a pause."""
        if self._gate_is_open:
            return None
        return max(0.0, self._paused_until - self._clock.monotonic())

    @property
    def is_cut_off(self) -> bool:
        """Whether the store has been unreachable for too long to wait for it."""
        return self._clock.monotonic() - self._unreachable_since >= self._longest_outage

    @property
    def _longest_outage(self) -> float:
        """How long calls wait for a store that is out of reach (s)."""
        return OWNER_TTL

    def waiting_here(self) -> int:
        """How many waiting calls are not in the shared queue yet."""
        return self._outbox.joining + self._queue.backlog

    async def synced(self) -> None:
        """Return after a new synchronisation. Raises `StoreUnreachableError`."""
        request: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._syncs.add(request)
        self._restart_sync()
        try:
            await request
        finally:
            self._syncs.discard(request)

    async def aclose(self) -> None:
        """Reject the waiters, report the last outcomes to the store, and leave its queue."""
        self.is_closed = True
        self._fail_all(client_is_closed())
        task, self._sync_task = self._sync_task, None
        if task is not None:
            await _end(task)
        if self._outbox or self._outbox.is_registered:
            # Without this report the store waits until the leases expire.
            report = asyncio.ensure_future(self._sync())
            await asyncio.wait({report}, timeout=_CLOSING_TIME)
            await _end(report)

    # ------------------------------------------------------------------ the queue, no await

    def _enqueue_backlog(self) -> None:
        """Move calls of the backlog into the shared queue, as far as it has room."""
        for waiter in self._queue.join():
            self._outbox.add_join(waiter.join)
            self._sync_requested.set()

    def _leave(self, waiter: Waiter) -> None:
        lease_id = waiter.join.lease_id
        joined = self._queue.leave(waiter)
        if self._held.pop(lease_id, None) is not None or joined:
            self._outbox.add_leave(lease_id)
            self._request_sync()

    def _reject_hopeless(self, forecast: Forecast) -> None:
        """Reject the waiters whose turn comes after their `max_wait`."""
        now = self._clock.monotonic()
        for place, waiter in list(self._queue.positions(forecast.response)):
            left = waiter.gives_up_at - now
            hopeless = left < forecast.response.gate_closed_for
            if left == math.inf or (waiter.accepted and left > 0.0 and not hopeless):
                continue
            needed = forecast.wait(place, now, waiter.join.lease_id)
            allowed = None if waiter.accepted else max(0.0, left)
            if waiter.accepted:
                # The earlier estimate was too low, so the error does not repeat it.
                needed = max(needed, SHORTEST_ADVICE)
            waiter.accepted = True
            if needed > left:
                self._reject(waiter, too_long(needed, allowed))

    def _reject(self, waiter: Waiter, error: Exception) -> None:
        self._leave(waiter)
        if not waiter.granted.done():
            waiter.granted.set_exception(error)

    def _reject_all(self, error: Exception) -> None:
        for waiter in self._queue.all():
            self._reject(waiter, copy(error))

    def _fail_all(self, error: Exception) -> None:
        """Fail every waiter and every refresh."""
        self._reject_all(error)
        self._fail_refreshes(error)

    # ------------------------------------------------------------------ the background task

    def _restart_sync(self) -> None:
        """Synchronise now; start a new background task when the last one was cancelled."""
        self._may_start = True
        self._request_sync()

    def _request_sync(self) -> None:
        """Synchronise now."""
        # The garbage collector can close a coroutine after its event loop was closed.
        with suppress(RuntimeError):
            self._sync_requested.set()
            self._wake_sync()

    def _wake_sync(self) -> None:
        if (
            self._may_start
            and not self.is_closed
            and (self._sync_task is None or self._sync_task.done())
        ):
            self._sync_task = asyncio.get_running_loop().create_task(self._sync_loop())

    def _is_active(self) -> bool:
        return bool(self._outbox or self._syncs) or self._has_slots_or_waiters()

    def _has_slots_or_waiters(self) -> bool:
        waits = bool(self._queue or self._held)
        return waits or self._outbox.counts(self._clock.monotonic())

    async def _sync_loop(self) -> None:
        """Synchronise until nothing waits, is in flight or counts; then leave the store."""
        try:
            while (active := self._is_active()) or self._leaves_store():
                if active and not self._sync_requested.is_set():
                    await self._wait_next_sync()
                self._sync_requested.clear()
                try:
                    await self._sync()
                except StoreUnreachableError as error:
                    self._on_unreachable(error)
            self._unreachable_since = math.inf  # a later failure starts a new outage
        except SyncroError as error:
            # The store answered and refused: another request would get the same answer.
            self._unreachable_since = math.inf
            self._fail_all(error)
        except (asyncio.CancelledError, Exception) as error:
            # After a cancellation the event loop is ending: no new task may start.
            self._may_start = not isinstance(error, asyncio.CancelledError)
            # No waiter may wait for a task that has ended.
            self._fail_all(
                StoreUnreachableError("the task that asks the limiter's store has ended")
            )
            raise

    def _leaves_store(self) -> bool:
        """Whether the store must still learn that this process has nothing to report."""
        return self._outbox.is_registered and self._unreachable_since == math.inf

    async def _wait_next_sync(self) -> None:
        """Wait for a request to synchronise, the next slot, or the next heartbeat."""
        timer = self._clock.call_at(self._next_sync_at(), self._sync_requested.set)
        try:
            await self._sync_requested.wait()
        finally:
            timer.cancel()

    def _next_sync_at(self) -> float:
        latest = self._clock.monotonic() + HEARTBEAT
        if self.forecast is None or self._unreachable_since != math.inf:
            return latest
        due_at = self.forecast.next_sync_at()
        return min(latest, max(due_at, self.forecast.heard_at + _ROUNDING))

    async def _sync(self) -> None:
        """Synchronise once.

        Raises `StoreUnreachableError`, and `ConfigurationError` for a store that cannot be used.
        """
        now = self._clock.monotonic()
        if now - self._synced_at >= OWNER_TTL or self._unreachable_since < math.inf:
            self._rejoin(list(self._queue.joined.values()))
        waiting = self.forecast is not None and self.forecast.response.positions
        request = self._outbox.build_request(
            now,
            busy=bool(self._held or waiting),
            closes=self.is_closed or not self._has_slots_or_waiters(),
        )
        asked_for = self._syncs.copy()
        response = await self._store.sync(self._key, request)
        # When this await is cancelled, the outbox keeps its content and may send it twice.
        # The store has heard from this process when it read the state that counts.
        heard_at = now + response.delayed_by
        if heard_at - self._synced_at >= OWNER_TTL:
            self._in_touch_since = heard_at
        self._unreachable_since, self._synced_at = math.inf, heard_at
        if not self._outbox.acknowledge(request, response):
            self._outbox.resend_all(self._held)
            self._sync_requested.set()
        self._apply(response)
        self._syncs -= asked_for
        for visited in asked_for:
            if not visited.done():
                visited.set_result(None)

    def _apply(self, response: SyncResponse) -> None:
        """Apply the response: grants, positions, and places that the store does not have."""
        now = self._clock.monotonic()
        self.forecast = Forecast(response, now, self._limits, self._latency)
        self._gate_is_open = not response.half_open and not self._outbox.has_throttled
        self._paused_until = max(self._paused_until, now + response.gate_closed_for)
        for lease_id in response.granted:
            self._grant(lease_id, self.forecast)
        for lease_id in self._held.keys() - response.granted:
            self._outbox.add_held(lease_id)  # the store has lost it
        for lease_id in response.positions:
            if lease_id not in self._queue.joined and not self._outbox.is_over(lease_id):
                self._outbox.add_leave(lease_id)
                self._sync_requested.set()
        joined = self._queue.joined.items()
        placeless = [waiter for lease_id, waiter in joined if lease_id not in response.positions]
        if not all(self._outbox.is_to_join(waiter.join.lease_id) for waiter in placeless):
            self._rejoin(placeless)
            self._sync_requested.set()
        self._reject_hopeless(self.forecast)
        self._enqueue_backlog()

    def _rejoin(self, callers: list[Waiter]) -> None:
        """Join again with the waiters whose place may be lost, before later waiters."""
        for waiter in callers:
            self._outbox.add_join(waiter.join)

    def _grant(self, lease_id: str, forecast: Forecast) -> None:
        waiter = self._queue.joined.pop(lease_id, None)
        if waiter is not None and not waiter.granted.done():
            probe = lease_id == forecast.response.probe
            slot = Slot(forecast.heard_at, probe, foreign=forecast.foreign(), lease_id=lease_id)
            slot.paced = waiter.join.bulk and forecast.response.bulk_paced
            self._held[lease_id] = slot
            waiter.granted.set_result(slot)
        elif lease_id not in self._held and not self._outbox.is_over(lease_id):
            # The waiter has left, or the response that granted the slot was lost.
            self._outbox.add_leave(lease_id)
            self._sync_requested.set()

    def _on_unreachable(self, error: StoreUnreachableError) -> None:
        """Handle a store that did not answer: after `OWNER_TTL` the waiters fail."""
        self._unreachable_since = min(self._unreachable_since, self._clock.monotonic())
        self._fail_refreshes(error)
        if self.is_cut_off:
            self._outbox.note_outage()
            self._reject_all(error)

    def _fail_refreshes(self, error: Exception) -> None:
        """Fail the refreshes that wait for a synchronisation."""
        for request in self._syncs:
            if not request.done():
                request.set_exception(copy(error))
        self._syncs.clear()


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end, but not for a library that swallows the cancellation."""
    task.cancel()
    await asyncio.wait({task}, timeout=_CLOSING_TIME)
    if task.done() and not task.cancelled():
        task.exception()  # retrieved, so that asyncio does not report it

"""Stands in a shared queue for the calls of one event loop."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from copy import copy

from syncro_async._internal.per_loop import client_is_closed
from syncro_async.clock import Clock
from syncro_async.errors import SyncroError
from syncro_async.limiting.budget.slot_ledger import NEWEST
from syncro_async.limiting.protocol import Answered, Lane, NotCounted, Slot, SlotOutcome, Throttled
from syncro_async.limiting.shared.forecast import Forecast
from syncro_async.limiting.shared.local_queue import LocalQueue, Waiter
from syncro_async.limiting.shared.messages import Join, Limit, SyncResponse
from syncro_async.limiting.shared.outbox import Outbox
from syncro_async.limiting.shared.state import HEARTBEAT, OWNER_TTL
from syncro_async.limiting.shared.store import Store, StoreUnreachableError
from syncro_async.limiting.waiters import SHORTEST_ADVICE, too_long

# A slot may be due this very moment, and be due still: so long is waited before it is asked for
# again (s), or rounding could have it asked for without an end.
_ROUNDING = 1e-6


class StoreSession:
    """One place at the store for all tasks of an event loop.

    A clerk visits the store while calls wait or are on the wire: when there is news that others
    wait for, when the next slot is due, and every `HEARTBEAT` to show that it lives. It ends by
    itself. All state is changed between two awaits.
    """

    def __init__(
        self, store: Store, key: str, limits: list[Limit], timeout: float, clock: Clock
    ) -> None:
        self._store = store
        self._key = key
        self._limits = limits
        self._clock = clock
        self._outbox = Outbox(limits, timeout)
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
        self.forecast: Forecast | None = None

    async def acquire(self, lane: Lane, *, max_wait: float | None, requeued: bool) -> Slot:
        """Wait for a slot. See `Limiter.acquire`; raises `StoreUnreachableError` in an outage."""
        gives_up_at = math.inf if max_wait is None else self._clock.monotonic() + max_wait
        caller = Waiter(Join(self._outbox.new_lease_id(), lane == "bulk", requeued), gives_up_at)
        self._queue.add(caller)
        if requeued:
            self._outbox.add_join(caller.join)
        self._enqueue_backlog()
        self._restart_sync()
        try:
            return await self._wait(caller)
        except BaseException:
            # Cancelled: the place, or the slot that was just given to it, goes to the next.
            self._leave(caller)
            raise

    async def _wait(self, caller: Waiter) -> Slot:
        """Wait to be woken, or to be turned away when the time is over."""
        if caller.gives_up_at == math.inf:
            return await caller.granted
        # Its turn may have come in this very moment: the store is asked, and it is judged.
        timer = self._clock.call_at(caller.gives_up_at, self._request_sync)
        try:
            return await caller.granted
        finally:
            timer.cancel()

    def is_valid(self, slot: Slot) -> bool:
        """Whether a slot may still be used, as far as this process has heard."""
        return slot.is_probe or self._gate_is_open

    async def release(self, slot: Slot, outcome: SlotOutcome) -> None:
        """Note what became of a slot; the clerk tells the store."""
        if self._held.pop(slot.lease_id, None) is None:
            return
        now = self._clock.monotonic()
        self._outbox.add_outcome(slot.lease_id, outcome, now)
        if isinstance(outcome, Answered):
            self._latency += NEWEST * (outcome.at - slot.taken_at - self._latency)
        elif isinstance(outcome, Throttled):
            self._gate_is_open = False
            self._paused_until = max(self._paused_until, now + outcome.pause)
        # An answer's slot returns a window later: mostly that can wait for the next visit.
        soon = min(limit.hold_seconds for limit in self._limits) < HEARTBEAT
        if soon or slot.is_probe or isinstance(outcome, NotCounted | Throttled):
            self._request_sync()
        else:
            self._wake_sync()

    def adopt(self, slot: Slot) -> None:
        """A slot that was given without the store: it will be told of it."""
        slot.lease_id = self._outbox.new_lease_id()
        self._held[slot.lease_id] = slot
        self._outbox.add_held(slot.lease_id)
        self._wake_sync()

    def counted(self) -> tuple[list[float], int]:
        """When slots were answered for that still count, and how many are on the wire."""
        return self._outbox.answered(), len(self._held)

    def paused_for(self) -> float | None:
        """How much of a pause is left (s), as far as is known here; None: the gate is open."""
        if self._gate_is_open:
            return None
        return max(0.0, self._paused_until - self._clock.monotonic())

    @property
    def is_cut_off(self) -> bool:
        """Whether the store has been unreachable for longer than a hiccup lasts."""
        return self._clock.monotonic() - self._unreachable_since >= OWNER_TTL

    def waiting_here(self) -> int:
        """How many calls wait that the store does not know of yet."""
        return self._outbox.joining + self._queue.backlog

    async def synced(self) -> None:
        """Return once the store was visited anew. Raises `StoreUnreachableError`."""
        visit: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._syncs.add(visit)
        self._restart_sync()
        try:
            await visit
        finally:
            self._syncs.discard(visit)

    async def aclose(self) -> None:
        """Turn away who waits, tell the store the last news, and leave its queue."""
        self.is_closed = True
        self._fail_all(client_is_closed())
        clerk, self._sync_task = self._sync_task, None
        if clerk is not None:
            clerk.cancel()
            await asyncio.wait({clerk})
        if self._outbox:
            # What the store does not hear it takes for dead, and waits a little longer.
            with suppress(StoreUnreachableError, SyncroError):
                await self._sync()

    # ------------------------------------------------------------------ the queue, no await

    def _enqueue_backlog(self) -> None:
        """Let calls join the shared queue, as far as it has room for them."""
        for caller in self._queue.join():
            self._outbox.add_join(caller.join)
            self._sync_requested.set()

    def _leave(self, caller: Waiter) -> None:
        ticket = caller.join.lease_id
        joined = self._queue.leave(caller)
        if self._held.pop(ticket, None) is not None or joined:
            self._outbox.add_leave(ticket)
            self._request_sync()

    def _reject_hopeless(self, outlook: Forecast) -> None:
        """Turn those away who cannot wait as long as it will take."""
        now = self._clock.monotonic()
        for place, caller in list(self._queue.positions(outlook.response)):
            left = caller.gives_up_at - now
            hopeless = left < outlook.response.gate_closed_for
            if left == math.inf or (caller.accepted and left > 0.0 and not hopeless):
                continue
            needed, allowed = outlook.wait(place, now), None if caller.accepted else max(0.0, left)
            if caller.accepted:
                # Where an estimate has just proved too hopeful, it is not repeated.
                needed = max(needed, SHORTEST_ADVICE)
            caller.accepted = True
            if needed > left:
                self._reject(caller, too_long(needed, allowed))

    def _reject(self, caller: Waiter, error: Exception) -> None:
        self._leave(caller)
        if not caller.granted.done():
            caller.granted.set_exception(error)

    def _reject_all(self, error: Exception) -> None:
        for caller in self._queue.all():
            self._reject(caller, copy(error))

    def _fail_all(self, error: Exception) -> None:
        """Nobody will be served any more."""
        self._reject_all(error)
        self._fail_refreshes(error)

    # ------------------------------------------------------------------ the clerk

    def _restart_sync(self) -> None:
        """Have the store visited now, by a new clerk when the last one was cancelled."""
        self._may_start = True
        self._request_sync()

    def _request_sync(self) -> None:
        """Have the store visited now."""
        # A coroutine that the collector closes comes here when its event loop has gone.
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
        return bool(self._queue or self._held or self._outbox or self._syncs)

    async def _sync_loop(self) -> None:
        """Visit the store as often as it takes, until nobody waits and nothing flies."""
        try:
            while self._is_active():
                if not self._sync_requested.is_set():
                    await self._wait_next_sync()
                self._sync_requested.clear()
                try:
                    await self._sync()
                except StoreUnreachableError as error:
                    self._on_unreachable(error)
            self._unreachable_since = math.inf  # or a hiccup much later would be called an outage
        except SyncroError as error:
            # The store is there, and is none for us: asked again it would say the same.
            self._unreachable_since = math.inf
            self._fail_all(error)
        except (asyncio.CancelledError, Exception) as error:
            # Cancelled, the event loop is about to end: another clerk would be in its way.
            self._may_start = not isinstance(error, asyncio.CancelledError)
            # Whatever it was, nobody is left waiting for it.
            self._fail_all(StoreUnreachableError("nobody asks the limiter's store any more"))
            raise

    async def _wait_next_sync(self) -> None:
        """Wait for news, for the moment the next slot is due, or for the next heartbeat."""
        timer = self._clock.call_at(self._next_sync_at(), self._sync_requested.set)
        try:
            await self._sync_requested.wait()
        finally:
            timer.cancel()

    def _next_sync_at(self) -> float:
        latest = self._clock.monotonic() + HEARTBEAT
        if self.forecast is None or self._unreachable_since != math.inf:
            return latest
        placed = self._queue.positions(self.forecast.response)
        first = min((place for place, _ in placed), default=None)
        due_at = None if first is None else self.forecast.due_at(first)
        if due_at is None:
            return latest
        return min(latest, max(due_at, self.forecast.heard_at + _ROUNDING))

    async def _sync(self) -> None:
        """One visit. Raises `StoreUnreachableError`, and `ConfigurationError` for a wrong store."""
        now = self._clock.monotonic()
        if now - self._synced_at >= OWNER_TTL or self._unreachable_since < math.inf:
            self._rejoin(list(self._queue.joined.values()))
        waiting = self.forecast is not None and self.forecast.response.positions
        visit = self._outbox.build_request(now, busy=bool(self._held or waiting))
        asked_for = self._syncs.copy()
        ruling = await self._store.sync(self._key, visit)
        # Cancelled in between: the news stays, and may be told twice.
        self._unreachable_since, self._synced_at = math.inf, now
        if not self._outbox.acknowledge(visit, ruling.epoch):
            self._outbox.resend_all(self._held)
            self._sync_requested.set()
        self._apply(ruling)
        self._syncs -= asked_for
        for visited in asked_for:
            if not visited.done():
                visited.set_result(None)

    def _apply(self, ruling: SyncResponse) -> None:
        """Learn what was decided: who goes, who waits, whose place is gone."""
        now = self._clock.monotonic()
        self.forecast = Forecast(ruling, now, self._limits, self._latency)
        self._gate_is_open = not ruling.half_open and not self._outbox.has_throttled
        self._paused_until = max(self._paused_until, now + ruling.gate_closed_for)
        for ticket in ruling.granted:
            self._grant(ticket, self.forecast)
        for ticket in ruling.positions:
            if ticket not in self._queue.joined and not self._outbox.is_over(ticket):
                self._outbox.add_leave(ticket)
                self._sync_requested.set()
        joined = self._queue.joined.items()
        placeless = [caller for ticket, caller in joined if ticket not in ruling.positions]
        if not all(self._outbox.is_to_join(caller.join.lease_id) for caller in placeless):
            self._rejoin(placeless)
            self._sync_requested.set()
        self._reject_hopeless(self.forecast)
        self._enqueue_backlog()

    def _rejoin(self, callers: list[Waiter]) -> None:
        """Join once more with those whose place may be gone, before who came after them."""
        for caller in callers:
            self._outbox.add_join(caller.join)

    def _grant(self, ticket: str, outlook: Forecast) -> None:
        caller = self._queue.joined.pop(ticket, None)
        if caller is not None and not caller.granted.done():
            opener = ticket == outlook.response.probe
            slot = Slot(outlook.heard_at, opener, foreign=outlook.foreign(), lease_id=ticket)
            self._held[ticket] = slot
            caller.granted.set_result(slot)
        elif ticket not in self._held and not self._outbox.is_over(ticket):
            # Its caller has left, or it was given on a visit whose answer was lost.
            self._outbox.add_leave(ticket)
            self._sync_requested.set()

    def _on_unreachable(self, error: StoreUnreachableError) -> None:
        """The store did not answer: a hiccup is waited out, an outage is told to who waits."""
        self._unreachable_since = min(self._unreachable_since, self._clock.monotonic())
        self._fail_refreshes(error)
        if self.is_cut_off:
            self._outbox.mark_uncertain()
            self._reject_all(error)

    def _fail_refreshes(self, error: Exception) -> None:
        """Tell those who asked for a visit that there was none."""
        for visit in self._syncs:
            if not visit.done():
                visit.set_exception(copy(error))
        self._syncs.clear()

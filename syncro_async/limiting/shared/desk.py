"""Stands in a shared queue for the calls of one event loop."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from copy import copy

from syncro_async.clock import Clock
from syncro_async.errors import SyncroError
from syncro_async.limiting.limiter import Answered, Fate, HandedBack, Lane, Refused, Slot
from syncro_async.limiting.shared.line import Caller, Line
from syncro_async.limiting.shared.news import News
from syncro_async.limiting.shared.outlook import Outlook
from syncro_async.limiting.shared.state import HEARTBEAT, OWNER_LAPSES
from syncro_async.limiting.shared.store import Store, StoreUnreachableError
from syncro_async.limiting.shared.visits import Join, Limit, Ruling
from syncro_async.limiting.slots import NEWEST
from syncro_async.limiting.waking import SHORTEST_ADVICE, too_long
from syncro_async.per_loop import client_is_closed

# A slot may be due this very moment, and be due still: so long is waited before it is asked for
# again (s), or rounding could have it asked for without an end.
_ROUNDING = 1e-6


class Desk:
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
        self._news = News(limits, timeout)
        self._line = Line()
        self._flying: dict[str, Slot] = {}
        self._roused = asyncio.Event()
        self._clerk: asyncio.Task[None] | None = None
        self._hires = True
        self.is_closed = False
        self._visits: set[asyncio.Future[None]] = set()
        self._latency = 0.0
        self._gate_is_open = True
        self._paused_until = 0.0
        self._unreachable_since = math.inf
        self._seen_at = -math.inf
        self.outlook: Outlook | None = None

    async def acquire(self, lane: Lane, *, patience: float | None, came_first: bool) -> Slot:
        """Wait for a slot. See `Limiter.acquire`; raises `StoreUnreachableError` in an outage."""
        gives_up_at = math.inf if patience is None else self._clock.monotonic() + patience
        caller = Caller(Join(self._news.ticket(), lane == "bulk", came_first), gives_up_at)
        self._line.stand(caller)
        if came_first:
            self._news.joins(caller.join)
        self._admit()
        self._call_clerk()
        try:
            return await self._stand(caller)
        except BaseException:
            # Cancelled: the place, or the slot that was just given to it, goes to the next.
            self._leave(caller)
            raise

    async def _stand(self, caller: Caller) -> Slot:
        """Wait to be woken, or to be turned away when the time is over."""
        if caller.gives_up_at == math.inf:
            return await caller.woken
        # Its turn may have come in this very moment: the store is asked, and it is judged.
        timer = self._clock.call_at(caller.gives_up_at, self._rouse)
        try:
            return await caller.woken
        finally:
            timer.cancel()

    def holds(self, slot: Slot) -> bool:
        """Whether a slot may still be used, as far as this process has heard."""
        return slot.opener or self._gate_is_open

    async def settle(self, slot: Slot, fate: Fate) -> None:
        """Note what became of a slot; the clerk tells the store."""
        if self._flying.pop(slot.ticket, None) is None:
            return
        now = self._clock.monotonic()
        self._news.settled(slot.ticket, fate, now)
        if isinstance(fate, Answered):
            self._latency += NEWEST * (fate.at - slot.taken_at - self._latency)
        elif isinstance(fate, Refused):
            self._gate_is_open = False
            self._paused_until = max(self._paused_until, now + fate.pause)
        # An answer's slot returns a window later: mostly that can wait for the next visit.
        soon = min(limit.hold for limit in self._limits) < HEARTBEAT
        if soon or slot.opener or isinstance(fate, HandedBack | Refused):
            self._rouse()
        else:
            self._wake_clerk()

    def take_in(self, slot: Slot) -> None:
        """A slot that was given without the store: it will be told of it."""
        slot.ticket = self._news.ticket()
        self._flying[slot.ticket] = slot
        self._news.flies(slot.ticket)
        self._wake_clerk()

    def counted(self) -> tuple[list[float], int]:
        """When slots were answered for that still count, and how many are on the wire."""
        return self._news.answered(), len(self._flying)

    def paused_for(self) -> float | None:
        """How much of a pause is left (s), as far as is known here; None: the gate is open."""
        if self._gate_is_open:
            return None
        return max(0.0, self._paused_until - self._clock.monotonic())

    @property
    def is_cut_off(self) -> bool:
        """Whether the store has been unreachable for longer than a hiccup lasts."""
        return self._clock.monotonic() - self._unreachable_since >= OWNER_LAPSES

    def waiting_here(self) -> int:
        """How many calls wait that the store does not know of yet."""
        return self._news.joining + self._line.behind

    async def visited(self) -> None:
        """Return once the store was visited anew. Raises `StoreUnreachableError`."""
        visit: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._visits.add(visit)
        self._call_clerk()
        try:
            await visit
        finally:
            self._visits.discard(visit)

    async def aclose(self) -> None:
        """Turn away who waits, tell the store the last news, and leave its queue."""
        self.is_closed = True
        self._give_all_up(client_is_closed())
        clerk, self._clerk = self._clerk, None
        if clerk is not None:
            clerk.cancel()
            await asyncio.wait({clerk})
        if self._news:
            # What the store does not hear it takes for dead, and waits a little longer.
            with suppress(StoreUnreachableError, SyncroError):
                await self._visit()

    # ------------------------------------------------------------------ the queue, no await

    def _admit(self) -> None:
        """Let calls join the shared queue, as far as it has room for them."""
        for caller in self._line.join():
            self._news.joins(caller.join)
            self._roused.set()

    def _leave(self, caller: Caller) -> None:
        ticket = caller.join.ticket
        joined = self._line.leave(caller)
        if self._flying.pop(ticket, None) is not None or joined:
            self._news.leaves(ticket)
            self._rouse()

    def _judge(self, outlook: Outlook) -> None:
        """Turn those away who cannot wait as long as it will take."""
        now = self._clock.monotonic()
        for place, caller in list(self._line.placed(outlook.ruling)):
            left = caller.gives_up_at - now
            hopeless = left < outlook.ruling.gate_closed_for
            if left == math.inf or (caller.judged and left > 0.0 and not hopeless):
                continue
            needed, allowed = outlook.wait(place, now), None if caller.judged else max(0.0, left)
            if caller.judged:
                # Where an estimate has just proved too hopeful, it is not repeated.
                needed = max(needed, SHORTEST_ADVICE)
            caller.judged = True
            if needed > left:
                self._turn_away(caller, too_long(needed, allowed))

    def _turn_away(self, caller: Caller, error: Exception) -> None:
        self._leave(caller)
        if not caller.woken.done():
            caller.woken.set_exception(error)

    def _turn_all_away(self, error: Exception) -> None:
        for caller in self._line.everybody():
            self._turn_away(caller, copy(error))

    def _give_all_up(self, error: Exception) -> None:
        """Nobody will be served any more."""
        self._turn_all_away(error)
        self._disappoint(error)

    # ------------------------------------------------------------------ the clerk

    def _call_clerk(self) -> None:
        """Have the store visited now, by a new clerk when the last one was cancelled."""
        self._hires = True
        self._rouse()

    def _rouse(self) -> None:
        """Have the store visited now."""
        # A coroutine that the collector closes comes here when its event loop has gone.
        with suppress(RuntimeError):
            self._roused.set()
            self._wake_clerk()

    def _wake_clerk(self) -> None:
        if self._hires and not self.is_closed and (self._clerk is None or self._clerk.done()):
            self._clerk = asyncio.get_running_loop().create_task(self._serve())

    def _has_business(self) -> bool:
        return bool(self._line or self._flying or self._news or self._visits)

    async def _serve(self) -> None:
        """Visit the store as often as it takes, until nobody waits and nothing flies."""
        try:
            while self._has_business():
                if not self._roused.is_set():
                    await self._rest()
                self._roused.clear()
                try:
                    await self._visit()
                except StoreUnreachableError as error:
                    self._bear(error)
            self._unreachable_since = math.inf  # or a hiccup much later would be called an outage
        except SyncroError as error:
            # The store is there, and is none for us: asked again it would say the same.
            self._unreachable_since = math.inf
            self._give_all_up(error)
        except (asyncio.CancelledError, Exception) as error:
            # Cancelled, the event loop is about to end: another clerk would be in its way.
            self._hires = not isinstance(error, asyncio.CancelledError)
            # Whatever it was, nobody is left waiting for it.
            self._give_all_up(StoreUnreachableError("nobody asks the limiter's store any more"))
            raise

    async def _rest(self) -> None:
        """Wait for news, for the moment the next slot is due, or for the next heartbeat."""
        timer = self._clock.call_at(self._next_visit_at(), self._roused.set)
        try:
            await self._roused.wait()
        finally:
            timer.cancel()

    def _next_visit_at(self) -> float:
        latest = self._clock.monotonic() + HEARTBEAT
        if self.outlook is None or self._unreachable_since != math.inf:
            return latest
        placed = self._line.placed(self.outlook.ruling)
        first = min((place for place, _ in placed), default=None)
        due_at = None if first is None else self.outlook.due_at(first)
        if due_at is None:
            return latest
        return min(latest, max(due_at, self.outlook.heard_at + _ROUNDING))

    async def _visit(self) -> None:
        """One visit. Raises `StoreUnreachableError`, and `ConfigurationError` for a wrong store."""
        now = self._clock.monotonic()
        if now - self._seen_at >= OWNER_LAPSES or self._unreachable_since < math.inf:
            self._join_again(list(self._line.joined.values()))
        waiting = self.outlook is not None and self.outlook.ruling.places
        visit = self._news.visit(now, busy=bool(self._flying or waiting))
        asked_for = self._visits.copy()
        ruling = await self._store.attend(self._key, visit)
        # Cancelled in between: the news stays, and may be told twice.
        self._unreachable_since, self._seen_at = math.inf, now
        if not self._news.told(visit, ruling.epoch):
            self._news.tell_again(self._flying)
            self._roused.set()
        self._apply(ruling)
        self._visits -= asked_for
        for visited in asked_for:
            if not visited.done():
                visited.set_result(None)

    def _apply(self, ruling: Ruling) -> None:
        """Learn what was decided: who goes, who waits, whose place is gone."""
        now = self._clock.monotonic()
        self.outlook = Outlook(ruling, now, self._limits, self._latency)
        self._gate_is_open = not ruling.half_open and not self._news.has_refusal
        self._paused_until = max(self._paused_until, now + ruling.gate_closed_for)
        for ticket in ruling.granted:
            self._grant(ticket, self.outlook)
        for ticket in ruling.places:
            if ticket not in self._line.joined and not self._news.is_over(ticket):
                self._news.leaves(ticket)
                self._roused.set()
        joined = self._line.joined.items()
        placeless = [caller for ticket, caller in joined if ticket not in ruling.places]
        if not all(self._news.is_to_join(caller.join.ticket) for caller in placeless):
            self._join_again(placeless)
            self._roused.set()
        self._judge(self.outlook)
        self._admit()

    def _join_again(self, callers: list[Caller]) -> None:
        """Join once more with those whose place may be gone, before who came after them."""
        for caller in callers:
            self._news.joins(caller.join)

    def _grant(self, ticket: str, outlook: Outlook) -> None:
        caller = self._line.joined.pop(ticket, None)
        if caller is not None and not caller.woken.done():
            opener = ticket == outlook.ruling.opener
            slot = Slot(outlook.heard_at, opener, foreign=outlook.foreign(), ticket=ticket)
            self._flying[ticket] = slot
            caller.woken.set_result(slot)
        elif ticket not in self._flying and not self._news.is_over(ticket):
            # Its caller has left, or it was given on a visit whose answer was lost.
            self._news.leaves(ticket)
            self._roused.set()

    def _bear(self, error: StoreUnreachableError) -> None:
        """The store did not answer: a hiccup is waited out, an outage is told to who waits."""
        self._unreachable_since = min(self._unreachable_since, self._clock.monotonic())
        self._disappoint(error)
        if self.is_cut_off:
            self._news.lose_track()
            self._turn_all_away(error)

    def _disappoint(self, error: Exception) -> None:
        """Tell those who asked for a visit that there was none."""
        for visit in self._visits:
            if not visit.done():
                visit.set_exception(copy(error))
        self._visits.clear()

"""Who goes next: two lanes, each first come, first served."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable
from itertools import chain

from syncro_async.limiting.budget.lane_order import (
    INTERACTIVE_IN_A_ROW,
    bounded,
    debt_after,
    is_bulks_turn,
)
from syncro_async.limiting.protocol import Lane, Slot


class Waiter:
    """A call in the queue: where it stands, how to wake it, and the slot it was given."""

    __slots__ = ("gives_up_at", "granted", "lane", "loop", "requeued", "slot")

    def __init__(
        self,
        lane: Lane,
        loop: asyncio.AbstractEventLoop,
        *,
        requeued: bool = False,
        gives_up_at: float = math.inf,
    ) -> None:
        self.lane = lane
        self.loop = loop
        self.requeued = requeued
        self.gives_up_at = gives_up_at
        self.granted: asyncio.Future[Slot] = loop.create_future()
        self.slot: Slot | None = None


_Line = OrderedDict[Waiter, None]
_NOBODY: _Line = OrderedDict()


class LaneQueue:
    """Interactive calls before bulk calls, bulk never starved.

    In each lane those that came first and were turned away by the server stand before the others,
    in the order in which they came back.
    """

    __slots__ = ("_lane_debt", "_lanes", "_loops", "interactive")

    def __init__(self) -> None:
        # Made when somebody stands in them: most keys of many are idle.
        self._lanes: dict[tuple[Lane, bool], _Line] = {}
        self._loops: dict[asyncio.AbstractEventLoop, int] = {}
        self._lane_debt = 0
        self.interactive = 0  # how many wait in that lane

    def __bool__(self) -> bool:
        return bool(self._loops)

    def __len__(self) -> int:
        return self.length("interactive") + self.length("bulk")

    def length(self, lane: Lane) -> int:
        """How many wait in that lane."""
        return len(self._lane(lane, first=True)) + len(self._lane(lane, first=False))

    def join(self, waiter: Waiter) -> None:
        """Stand at the end of the line the waiter belongs to."""
        self._lanes.setdefault((waiter.lane, waiter.requeued), OrderedDict())[waiter] = None
        self._loops[waiter.loop] = self._loops.get(waiter.loop, 0) + 1
        self.interactive += waiter.lane == "interactive"

    def leave(self, waiter: Waiter) -> None:
        """Give the place up; harmless when it is gone already."""
        line = self._lane(waiter.lane, first=waiter.requeued)
        if waiter not in line:
            return
        del line[waiter]
        self.interactive -= waiter.lane == "interactive"
        self._loops[waiter.loop] -= 1
        if not self._loops[waiter.loop]:
            del self._loops[waiter.loop]

    def next(self, bulk_is_due: Callable[[], bool], advance: int) -> Waiter | None:
        """Take the waiter whose turn it is out of the queue.

        `bulk_is_due` is asked when only bulk calls wait. `advance`: see `lane_order`. None when no
        waiter can be woken, or when only bulk calls wait and none is due.
        """
        interactive, bulk = self._head("interactive"), self._head("bulk")
        if bulk is None:
            self._lane_debt = min(self._lane_debt, 0)  # turns count only while bulk waits
            chosen = interactive
        else:
            debt, waits = self._lane_debt, interactive is not None
            bulks_turn = is_bulks_turn(debt, interactive=waits, due=waits or bulk_is_due())
            chosen = bulk if bulks_turn else interactive
            if chosen is not None:
                self._lane_debt = bounded(debt_after(debt, bulks_turn=bulks_turn), advance)
        if chosen is not None:
            self.leave(chosen)
        return chosen

    def note_bulk(self, advance: int) -> None:
        """A bulk call went that did not have to wait; see `lane_order` for `advance`."""
        self._lane_debt = bounded(debt_after(self._lane_debt, bulks_turn=True), advance)

    def return_turn(self, lane: Lane) -> None:
        """Give the turn that was taken last, and was not used, to the lane's next call."""
        if lane == "bulk":
            self._lane_debt = min(self._lane_debt + INTERACTIVE_IN_A_ROW, INTERACTIVE_IN_A_ROW)
        elif self._lane_debt > 0:
            self._lane_debt -= 1

    def before(self, lane: Lane, *, requeued: bool = False) -> int:
        """How many calls of the lane go before a call that joins it now."""
        return len(self._lane(lane, first=True)) if requeued else self.length(lane)

    def before_waiter(self, waiter: Waiter) -> int:
        """How many calls of its lane go before a call that waits already."""
        lane = waiter.lane
        line = chain(self._lane(lane, first=True), self._lane(lane, first=False))
        return next((place for place, other in enumerate(line) if other is waiter), 0)

    @property
    def debt(self) -> int:
        """How many turns the bulk lane is owed, as `lane_order` counts them."""
        return self._lane_debt

    def _lane(self, lane: Lane, *, first: bool) -> _Line:
        return self._lanes.get((lane, first), _NOBODY)

    def expiring_before(self, until: float) -> list[Waiter]:
        """Those who give up before that moment."""
        return [
            waiter for line in self._lanes.values() for waiter in line if waiter.gives_up_at < until
        ]

    def loops(self) -> list[asyncio.AbstractEventLoop]:
        """The event loops that have somebody waiting here."""
        return list(self._loops)

    def forget_closed_loops(self) -> None:
        """Take those out who wait in an event loop that was closed: nothing can wake them."""
        if not any(loop.is_closed() for loop in self._loops):
            return
        for line in self._lanes.values():
            for waiter in [waiter for waiter in line if waiter.loop.is_closed()]:
                self.leave(waiter)

    def _head(self, lane: Lane) -> Waiter | None:
        """The first of a lane, after those that were cancelled and are about to leave."""
        for line in (self._lane(lane, first=True), self._lane(lane, first=False)):
            while line:
                waiter = next(iter(line))
                if not waiter.granted.done():
                    return waiter
                self.leave(waiter)
        return None

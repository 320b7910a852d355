"""Who goes next: two lanes, each first come, first served."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from itertools import chain

from syncro_async.limiting.protocol import Lane, Slot

# While bulk calls wait, at least every fifth slot is theirs.
INTERACTIVE_IN_A_ROW = 4


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

    __slots__ = ("_lane_debt", "_lanes", "_loops")

    def __init__(self) -> None:
        # Made when somebody stands in them: most keys of many are idle.
        self._lanes: dict[tuple[Lane, bool], _Line] = {}
        self._loops: dict[asyncio.AbstractEventLoop, int] = {}
        self._lane_debt = 0

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

    def leave(self, waiter: Waiter) -> None:
        """Give the place up; harmless when it is gone already."""
        line = self._lane(waiter.lane, first=waiter.requeued)
        if waiter not in line:
            return
        del line[waiter]
        self._loops[waiter.loop] -= 1
        if not self._loops[waiter.loop]:
            del self._loops[waiter.loop]

    def next(self) -> Waiter | None:
        """Take the one whose turn it is out of the queue; None when nobody can be woken."""
        interactive, bulk = self._head("interactive"), self._head("bulk")
        if bulk and (not interactive or self._lane_debt >= INTERACTIVE_IN_A_ROW):
            self._lane_debt = 0
            chosen: Waiter | None = bulk
        else:
            # Turns only count against bulk while it waits.
            self._lane_debt = self._lane_debt + 1 if bulk else 0
            chosen = interactive
        if chosen:
            self.leave(chosen)
        return chosen

    def return_turn(self, lane: Lane) -> None:
        """The turn taken last in that lane went unused: the lane's next one has it."""
        if lane == "bulk":
            self._lane_debt = INTERACTIVE_IN_A_ROW
        else:
            self._lane_debt = max(0, self._lane_debt - 1)

    def ahead_of(self, lane: Lane, *, requeued: bool = False) -> int:
        """How many would go before a call that joins that lane now."""
        before = len(self._lane(lane, first=True)) if requeued else self.length(lane)
        return self._with_the_other_lane(lane, before)

    def ahead_of_waiter(self, waiter: Waiter) -> int:
        """How many will go before one that waits already."""
        lane = waiter.lane
        line = chain(self._lane(lane, first=True), self._lane(lane, first=False))
        before = next((place for place, other in enumerate(line) if other is waiter), 0)
        return self._with_the_other_lane(waiter.lane, before)

    def _lane(self, lane: Lane, *, first: bool) -> _Line:
        return self._lanes.get((lane, first), _NOBODY)

    def _with_the_other_lane(self, lane: Lane, before: int) -> int:
        if lane == "bulk":
            turns = INTERACTIVE_IN_A_ROW * (before + 1) - self._lane_debt
            return before + min(self.length("interactive"), turns)
        return before + min(self.length("bulk"), (before + self._lane_debt) // INTERACTIVE_IN_A_ROW)

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

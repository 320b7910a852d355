"""Who goes next: two lanes, each first come, first served."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from itertools import chain

from syncro_async.limiting.limiter import Lane, Slot

# While bulk calls wait, at least every fifth slot is theirs.
INTERACTIVE_IN_A_ROW = 4


class Waiter:
    """A call in the queue: where it stands, how to wake it, and the slot it was given."""

    __slots__ = ("came_first", "gives_up_at", "lane", "loop", "slot", "woken")

    def __init__(
        self,
        lane: Lane,
        loop: asyncio.AbstractEventLoop,
        *,
        came_first: bool = False,
        gives_up_at: float = math.inf,
    ) -> None:
        self.lane = lane
        self.loop = loop
        self.came_first = came_first
        self.gives_up_at = gives_up_at
        self.woken: asyncio.Future[Slot] = loop.create_future()
        self.slot: Slot | None = None


_Line = OrderedDict[Waiter, None]
_NOBODY: _Line = OrderedDict()


class LaneQueue:
    """Interactive calls before bulk calls, bulk never starved.

    In each lane those that came first and were turned away by the server stand before the others,
    in the order in which they came back.
    """

    __slots__ = ("_in_a_row", "_lines", "_loops")

    def __init__(self) -> None:
        # Made when somebody stands in them: most keys of many are idle.
        self._lines: dict[tuple[Lane, bool], _Line] = {}
        self._loops: dict[asyncio.AbstractEventLoop, int] = {}
        self._in_a_row = 0

    def __bool__(self) -> bool:
        return bool(self._loops)

    def __len__(self) -> int:
        return self.length("interactive") + self.length("bulk")

    def length(self, lane: Lane) -> int:
        """How many wait in that lane."""
        return len(self._line(lane, first=True)) + len(self._line(lane, first=False))

    def join(self, waiter: Waiter) -> None:
        """Stand at the end of the line the waiter belongs to."""
        self._lines.setdefault((waiter.lane, waiter.came_first), OrderedDict())[waiter] = None
        self._loops[waiter.loop] = self._loops.get(waiter.loop, 0) + 1

    def leave(self, waiter: Waiter) -> None:
        """Give the place up; harmless when it is gone already."""
        line = self._line(waiter.lane, first=waiter.came_first)
        if waiter not in line:
            return
        del line[waiter]
        self._loops[waiter.loop] -= 1
        if not self._loops[waiter.loop]:
            del self._loops[waiter.loop]

    def next(self) -> Waiter | None:
        """Take the one whose turn it is out of the queue; None when nobody can be woken."""
        interactive, bulk = self._head("interactive"), self._head("bulk")
        if bulk and (not interactive or self._in_a_row >= INTERACTIVE_IN_A_ROW):
            self._in_a_row = 0
            chosen: Waiter | None = bulk
        else:
            # Turns only count against bulk while it waits.
            self._in_a_row = self._in_a_row + 1 if bulk else 0
            chosen = interactive
        if chosen:
            self.leave(chosen)
        return chosen

    def give_turn_back(self, lane: Lane) -> None:
        """The turn taken last in that lane went unused: the lane's next one has it."""
        if lane == "bulk":
            self._in_a_row = INTERACTIVE_IN_A_ROW
        else:
            self._in_a_row = max(0, self._in_a_row - 1)

    def ahead_of(self, lane: Lane, *, came_first: bool = False) -> int:
        """How many would go before a call that joins that lane now."""
        before = len(self._line(lane, first=True)) if came_first else self.length(lane)
        return self._with_the_other_lane(lane, before)

    def ahead_of_waiter(self, waiter: Waiter) -> int:
        """How many will go before one that waits already."""
        lane = waiter.lane
        line = chain(self._line(lane, first=True), self._line(lane, first=False))
        before = next((place for place, other in enumerate(line) if other is waiter), 0)
        return self._with_the_other_lane(waiter.lane, before)

    def _line(self, lane: Lane, *, first: bool) -> _Line:
        return self._lines.get((lane, first), _NOBODY)

    def _with_the_other_lane(self, lane: Lane, before: int) -> int:
        if lane == "bulk":
            turns = INTERACTIVE_IN_A_ROW * (before + 1) - self._in_a_row
            return before + min(self.length("interactive"), turns)
        return before + min(self.length("bulk"), (before + self._in_a_row) // INTERACTIVE_IN_A_ROW)

    def without_hope(self, until: float) -> list[Waiter]:
        """Those who give up before that moment."""
        return [
            waiter for line in self._lines.values() for waiter in line if waiter.gives_up_at < until
        ]

    def loops(self) -> list[asyncio.AbstractEventLoop]:
        """The event loops that have somebody waiting here."""
        return list(self._loops)

    def forget_closed_loops(self) -> None:
        """Take those out who wait in an event loop that was closed: nothing can wake them."""
        if not any(loop.is_closed() for loop in self._loops):
            return
        for line in self._lines.values():
            for waiter in [waiter for waiter in line if waiter.loop.is_closed()]:
                self.leave(waiter)

    def _head(self, lane: Lane) -> Waiter | None:
        """The first of a lane, after those that were cancelled and are about to leave."""
        for line in (self._line(lane, first=True), self._line(lane, first=False)):
            while line:
                waiter = next(iter(line))
                if not waiter.woken.done():
                    return waiter
                self.leave(waiter)
        return None

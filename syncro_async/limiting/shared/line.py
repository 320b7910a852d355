"""Keeps the calls of one event loop in order that wait for a turn in a shared queue."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain

from syncro_async.limiting.limiter import Slot
from syncro_async.limiting.shared.visits import Join, Ruling

# Longer queues of a lane wait here, in their order, so that the shared state stays small.
IN_SHARED_QUEUE = 256


class Caller:
    """A call that waits for a slot, until `gives_up_at` (monotonic s).

    `judged`: it was seen that its turn comes in time.
    """

    __slots__ = ("gives_up_at", "join", "judged", "woken")

    def __init__(self, join: Join, gives_up_at: float) -> None:
        self.join = join
        self.gives_up_at = gives_up_at
        self.judged = gives_up_at == math.inf
        self.woken: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()


class Line:
    """Those in the shared queue or on their way to it (`joined`, by ticket), and those behind."""

    def __init__(self) -> None:
        self.joined: dict[str, Caller] = {}
        # By lane: whether it is bulk's.
        self._behind: dict[bool, OrderedDict[str, Caller]] = {
            False: OrderedDict(),
            True: OrderedDict(),
        }

    def __bool__(self) -> bool:
        return bool(self.joined or self.behind)

    @property
    def behind(self) -> int:
        """How many wait until the shared queue has room for them."""
        return sum(map(len, self._behind.values()))

    def stand(self, caller: Caller) -> None:
        """Come to the end of the lane; one that came first is not held back by its length."""
        line = self.joined if caller.join.first else self._behind[caller.join.bulk]
        line[caller.join.ticket] = caller

    def join(self) -> list[Caller]:
        """Let those join the shared queue now for whom it has room."""
        joining: dict[str, Caller] = {}
        for bulk, behind in self._behind.items():
            room = IN_SHARED_QUEUE - sum(c.join.bulk == bulk for c in self.joined.values())
            joining.update(behind.popitem(last=False) for _ in range(min(room, len(behind))))
        self.joined.update(joining)
        return list(joining.values())

    def leave(self, caller: Caller) -> bool:
        """Give the place up; whether it was one that others may know of."""
        self._behind[caller.join.bulk].pop(caller.join.ticket, None)
        return self.joined.pop(caller.join.ticket, None) is not None

    def everybody(self) -> list[Caller]:
        """All who wait."""
        return [*self.joined.values(), *self._all_behind()]

    def placed(self, ruling: Ruling) -> Iterator[tuple[int, Caller]]:
        """Those whose place is known, with how many wait before each."""
        for ticket, caller in self.joined.items():
            if ticket in ruling.places:
                yield ruling.places[ticket], caller
        yield from enumerate(self._all_behind(), start=ruling.waiting)

    def _all_behind(self) -> Iterator[Caller]:
        return chain.from_iterable(behind.values() for behind in self._behind.values())

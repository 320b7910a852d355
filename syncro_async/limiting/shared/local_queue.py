"""Keeps the calls of one event loop in order that wait for a turn in a shared queue."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain

from syncro_async.limiting.protocol import Slot
from syncro_async.limiting.shared.messages import Join, SyncResponse

# Longer queues of a lane wait here, in their order, so that the shared state stays small.
IN_SHARED_QUEUE = 256


class Waiter:
    """A call that waits for a slot, until `gives_up_at` (monotonic s).

    `judged`: it was seen that its turn comes in time.
    """

    __slots__ = ("accepted", "gives_up_at", "granted", "join")

    def __init__(self, join: Join, gives_up_at: float) -> None:
        self.join = join
        self.gives_up_at = gives_up_at
        self.accepted = gives_up_at == math.inf
        self.granted: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()


class LocalQueue:
    """Those in the shared queue or on their way to it (`joined`, by ticket), and those behind."""

    def __init__(self) -> None:
        self.joined: dict[str, Waiter] = {}
        # By lane: whether it is bulk's.
        self._backlog: dict[bool, OrderedDict[str, Waiter]] = {
            False: OrderedDict(),
            True: OrderedDict(),
        }

    def __bool__(self) -> bool:
        return bool(self.joined or self.backlog)

    @property
    def backlog(self) -> int:
        """How many wait until the shared queue has room for them."""
        return sum(map(len, self._backlog.values()))

    def add(self, caller: Waiter) -> None:
        """Come to the end of the lane; one that came first is not held back by its length."""
        line = self.joined if caller.join.requeued else self._backlog[caller.join.bulk]
        line[caller.join.lease_id] = caller

    def join(self) -> list[Waiter]:
        """Let those join the shared queue now for whom it has room."""
        joining: dict[str, Waiter] = {}
        for bulk, behind in self._backlog.items():
            room = IN_SHARED_QUEUE - sum(c.join.bulk == bulk for c in self.joined.values())
            joining.update(behind.popitem(last=False) for _ in range(min(room, len(behind))))
        self.joined.update(joining)
        return list(joining.values())

    def leave(self, caller: Waiter) -> bool:
        """Give the place up; whether it was one that others may know of."""
        self._backlog[caller.join.bulk].pop(caller.join.lease_id, None)
        return self.joined.pop(caller.join.lease_id, None) is not None

    def all(self) -> list[Waiter]:
        """All who wait."""
        return [*self.joined.values(), *self._all_backlog()]

    def positions(self, ruling: SyncResponse) -> Iterator[tuple[int, Waiter]]:
        """Those whose place is known, with how many wait before each."""
        for ticket, caller in self.joined.items():
            if ticket in ruling.positions:
                yield ruling.positions[ticket], caller
        yield from enumerate(self._all_backlog(), start=ruling.waiting)

    def _all_backlog(self) -> Iterator[Waiter]:
        return chain.from_iterable(behind.values() for behind in self._backlog.values())

"""Keeps the waiting calls of one event loop in order."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain

from syncro_async.limiting.budget.messages import Join, SyncResponse
from syncro_async.limiting.protocol import Slot

# A longer queue of a lane stays in the process, so that the shared state stays small.
IN_SHARED_QUEUE = 256


class Waiter:
    """A call that waits for a slot until `gives_up_at` (monotonic s).

    `accepted`: a forecast has shown that its turn comes in time.
    """

    __slots__ = ("accepted", "gives_up_at", "granted", "join")

    def __init__(self, join: Join, gives_up_at: float) -> None:
        self.join = join
        self.gives_up_at = gives_up_at
        self.accepted = gives_up_at == math.inf
        self.granted: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()


class LocalQueue:
    """The calls in the shared queue (`joined`, by lease id), and the backlog behind them."""

    def __init__(self) -> None:
        self.joined: dict[str, Waiter] = {}
        # The key is True for the bulk lane.
        self._backlog: dict[bool, OrderedDict[str, Waiter]] = {
            False: OrderedDict(),
            True: OrderedDict(),
        }

    def __bool__(self) -> bool:
        return bool(self.joined or self.backlog)

    @property
    def backlog(self) -> int:
        """How many calls wait for room in the shared queue."""
        return sum(map(len, self._backlog.values()))

    def add(self, waiter: Waiter) -> None:
        """Add a call at the end of its lane; a requeued call skips the backlog."""
        queue = self.joined if waiter.join.requeued else self._backlog[waiter.join.bulk]
        queue[waiter.join.lease_id] = waiter

    def join(self) -> list[Waiter]:
        """Move calls of the backlog into the shared queue while it has room, and return them."""
        joining: dict[str, Waiter] = {}
        for bulk, queue in self._backlog.items():
            room = IN_SHARED_QUEUE - sum(c.join.bulk == bulk for c in self.joined.values())
            joining.update(queue.popitem(last=False) for _ in range(min(room, len(queue))))
        self.joined.update(joining)
        return list(joining.values())

    def leave(self, waiter: Waiter) -> bool:
        """Remove a call; True when other processes may know its place."""
        self._backlog[waiter.join.bulk].pop(waiter.join.lease_id, None)
        return self.joined.pop(waiter.join.lease_id, None) is not None

    def all(self) -> list[Waiter]:
        """All waiting calls."""
        return [*self.joined.values(), *self._all_backlog()]

    def positions(self, response: SyncResponse) -> Iterator[tuple[int, Waiter]]:
        """The calls whose position is known, each with the number of calls before it."""
        for lease_id, waiter in self.joined.items():
            if lease_id in response.positions:
                yield response.positions[lease_id], waiter
        yield from enumerate(self._all_backlog(), start=response.waiting)

    def _all_backlog(self) -> Iterator[Waiter]:
        return chain.from_iterable(queue.values() for queue in self._backlog.values())

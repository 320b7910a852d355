"""Asks how long visitors wait for budget beside a bulk job that never ends.

    python -m benchmarks.lanes [--quick]
    python -m benchmarks.lanes --stores [--quick]

The limiter of this package in virtual time, 60 calls in 60 s, with calls of 10 to 500 ms. Twenty
workers of a bulk job always want more. A visitor makes one interactive call and waits at most 10 s
for its slot. Refused visitors and waits are those after the first minute, because a bulk job that
runs before the first visitor comes has used all slots of that minute.

The picture of them has visitors who wait as long as it takes, with the pacing and without it.

The share of the bound is that of all calls: floor((n - 1) / 60) * (W + guard + mean latency) /
elapsed, for n calls. Nobody who knows only when calls were sent and answered can be faster.

With `--stores` it asks the same of real processes that share the budget in an SQLite file and in
Redis; see `benchmarks.lanes_in_stores`.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from benchmarks import lanes_in_stores
from benchmarks.harness import Report, Row, program
from syncro_async import BudgetWaitError, RateLimit
from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.limiting.protocol import Answered, Lane, Slot
from syncro_async.testing.fake_clock import FakeClock

CALLS = 10_001
RATE = RateLimit(60, 60.0)
WORKERS = 20
MAX_WAIT = 10.0
FIRST_MINUTE = 60.0

# Gives the moments of the visits: it yields how many visitors come, whenever some do.
Visits = Callable[[FakeClock, random.Random], AsyncIterator[int]]


async def one_every_3_s(clock: FakeClock, dice: random.Random) -> AsyncIterator[int]:
    """Twenty a minute, evenly."""
    del dice
    while True:
        await clock.sleep(3.0)
        yield 1


async def at_random(clock: FakeClock, dice: random.Random) -> AsyncIterator[int]:
    """Thirty a minute, one independent of the other."""
    while True:
        await clock.sleep(dice.expovariate(0.5))
        yield 1


async def ten_at_once(clock: FakeClock, dice: random.Random) -> AsyncIterator[int]:
    """Ten together, every 30 s."""
    del dice
    while True:
        await clock.sleep(30.0)
        yield 10


async def nobody(clock: FakeClock, dice: random.Random) -> AsyncIterator[int]:
    """The bulk job is alone."""
    del clock, dice
    for number in range(0):
        yield number


class Unpaced:
    """The same slots, interactive before bulk, and no pacing: what the pacing is compared with."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._free = RATE.calls
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {
            "interactive": deque(),
            "bulk": deque(),
        }
        self._returning: set[asyncio.Task[None]] = set()

    async def acquire(self, lane: Lane, *, max_wait: float | None = None) -> Slot:
        """Wait for a slot; nothing is refused here."""
        del max_wait
        turn = asyncio.get_running_loop().create_future()
        self._waiting[lane].append(turn)
        self._grant()
        await turn
        return Slot(taken_at=self._clock.monotonic())

    async def release(self, slot: Slot, outcome: Answered) -> None:
        """Return the slot one window and the guard after its answer."""
        del slot, outcome
        self._returning.add(asyncio.create_task(self._return_later()))

    async def _return_later(self) -> None:
        await self._clock.sleep(RATE.hold_seconds)
        self._free += 1
        self._grant()

    def _grant(self) -> None:
        for waiting in self._waiting.values():
            while self._free and waiting:
                self._free -= 1
                waiting.popleft().set_result(None)


@dataclass
class Run:
    """A bulk job, its visitors, and what became of them.

    `paced`: whether the limiter is the one of this package. `max_wait`: the patience of visitors.
    """

    calls: int
    paced: bool = True
    max_wait: float | None = MAX_WAIT
    clock: FakeClock = field(default_factory=FakeClock)
    dice: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - no secret
    answered: int = 0
    bulk: int = 0
    latencies: float = 0.0
    last: float = 0.0
    visitors: int = 0
    refused: int = 0
    waits: list[float] = field(default_factory=list)
    visits: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.limiter: InProcessLimiter | Unpaced = (
            InProcessLimiter([RATE], self.clock) if self.paced else Unpaced(self.clock)
        )

    @property
    def of_the_bound(self) -> float:
        """The share of what is safe (%)."""
        period = RATE.hold_seconds + self.latencies / self.answered
        return 100.0 * ((self.answered - 1) // RATE.calls) * period / self.last

    @property
    def share_refused(self) -> float:
        """How many of the visitors after the first minute were refused (%)."""
        return 100.0 * self.refused / max(1, self.visitors)

    def waited(self, share: float) -> float:
        """So large a share of the visitors waited at most this long (s)."""
        return sorted(self.waits)[int(share * (len(self.waits) - 1))] if self.waits else 0.0

    async def play(self, visits: Visits) -> None:
        """Go on until all calls are answered."""
        door = asyncio.create_task(self._welcome(visits))
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())
        door.cancel()
        await asyncio.wait([door])

    async def _work(self) -> None:
        while self.answered < self.calls:
            await self._send(await self.limiter.acquire("bulk"))
            self.bulk += 1

    async def _welcome(self, visits: Visits) -> None:
        async with asyncio.TaskGroup() as group:
            async for number in visits(self.clock, self.dice):
                for _ in range(number):
                    group.create_task(self._visit())

    async def _visit(self) -> None:
        came = self.clock.monotonic()
        counts = came >= FIRST_MINUTE
        self.visitors += counts
        try:
            slot = await self.limiter.acquire("interactive", max_wait=self.max_wait)
        except BudgetWaitError:
            self.refused += counts
            return
        if counts:
            self.waits.append(slot.taken_at - came)
            self.visits.append((round(came, 1), round(slot.taken_at - came, 2)))
        await self._send(slot)

    async def _send(self, slot: Slot) -> None:
        latency = self.dice.uniform(0.01, 0.5)
        await self.clock.sleep(latency)
        self.last = self.clock.monotonic()
        await self.limiter.release(slot, Answered(self.last))
        self.answered += 1
        self.latencies += latency


def beside_bulk(visits: Visits, calls: int) -> Run:
    """What became of the visitors while so many calls were answered."""
    run = Run(calls)
    asyncio.run(run.play(visits))
    return run


def waits_of_all(calls: int) -> dict[str, list[tuple[float, float]]]:
    """When each visitor came and how long it waited (s), with the pacing and without it."""
    found = {}
    for name, paced in (("paced", True), ("not paced", False)):
        run = Run(calls, paced=paced, max_wait=None)
        asyncio.run(run.play(at_random))
        found[name] = run.visits
    return found


# Who comes, and the bars: refused (%), and the wait of 95 of 100 (s).
BARS = {one_every_3_s: (0.0, 1.1), at_random: (0.0, 3.5), ten_at_once: (1.0, 10.0)}


def ask(quick: bool) -> Report:
    """Measure, and hold it against the bars."""
    calls = 601 if quick else CALLS
    rows = []
    for visits, (refused, wait) in BARS.items():
        run = beside_bulk(visits, calls)
        who = visits.__name__.replace("_", " ")
        rows += [
            Row("visitors refused beside bulk", who, run.share_refused, "%", bar=refused),
            Row("wait of 95 of 100 visitors", who, run.waited(0.95), "s", bar=wait),
            Row("all calls, of the bound", who, run.of_the_bound, "%", bar=99.0, at_least=True),
        ]
    alone = beside_bulk(nobody, calls).of_the_bound
    rows.append(Row("all calls, of the bound", "bulk alone", alone, "%", bar=99.9, at_least=True))
    return Report(rows, {"visits": waits_of_all(601)})


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--stores"]
    with_stores = len(words) < len(sys.argv) - 1
    about = lanes_in_stores.__doc__ if with_stores else __doc__
    sys.exit(program(about, lanes_in_stores.ask if with_stores else ask, arguments=words))

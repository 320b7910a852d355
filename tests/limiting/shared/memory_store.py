"""Processes that share a budget in virtual time: in memory, in a file, or in a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from syncro_async.clock import Clock
from syncro_async.errors import SyncroError
from syncro_async.limiting.budget.messages import SyncRequest, SyncResponse
from syncro_async.limiting.budget.store_time import Moment
from syncro_async.limiting.budget.stored_state import read_state, remember, write_state
from syncro_async.limiting.budget.sync import state_for, sync
from syncro_async.limiting.protocol import Answered, Lane, NotCounted, Slot, SlotOutcome, Throttled
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.limiting.shared.limiter import SharedLimiter
from syncro_async.limiting.shared.redis_store import RedisStore
from syncro_async.limiting.shared.store import Store, StoreUnreachableError
from syncro_async.testing.fake_clock import FakeClock

# How long a request of these processes may last (s).
TIMEOUT = 30.0


class MemoryStore:
    """Holds the states of keys as long as it lives; what comes and goes is MessagePack."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.states: dict[str, bytes] = {}

    async def sync(self, key: str, visit: SyncRequest) -> SyncResponse:
        heard = msgspec.msgpack.decode(msgspec.msgpack.encode(visit), type=SyncRequest)
        now, packed = self._clock.monotonic(), self.states.get(key)
        stored = None if packed is None else read_state(packed)
        state, moment = state_for(stored, heard, now), Moment.at(now)
        ruling = sync(state, heard, moment).response
        packed = self.states[key] = write_state(state)
        answer = msgspec.msgpack.encode(remember(ruling, state, packed, moment))
        return msgspec.msgpack.decode(answer, type=SyncResponse)

    async def aclose(self) -> None:
        pass


class InVirtualTime:
    """A store that takes real time, which stands still meanwhile."""

    def __init__(self, store: Store, clock: FakeClock) -> None:
        self._store = store
        self._clock = clock

    async def sync(self, key: str, visit: SyncRequest) -> SyncResponse:
        with self._clock.frozen():
            return await self._store.sync(key, visit)

    async def aclose(self) -> None:
        with self._clock.frozen():
            await self._store.aclose()


class RedisInVirtualTime(RedisStore):
    """The server's scripts, given another time than the server's."""

    def _given_time(self) -> str:
        return repr(self._clock.monotonic())


class Way:
    """A process's way to the store: everything that goes wrong on it goes wrong for it alone."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.visited_at: list[float] = []
        self.closed = 0
        # What every visit meets with that does not arrive.
        self.trouble: Exception | None = None
        # So many answers get lost on the way back.
        self.lost_answers = 0
        # Visits are given up before they arrive.
        self.delays_visits = False
        self._delayed: list[tuple[str, SyncRequest]] = []
        # What else happens as an answer comes.
        self.as_answer_comes: Callable[[], object] = lambda: None
        # Visits arrive at once, their answers only when it is set.
        self.answers = asyncio.Event()
        self.answers.set()

    async def sync(self, key: str, visit: SyncRequest) -> SyncResponse:
        self.visited_at.append(self._clock.monotonic())
        if self.trouble is not None:
            await self.answers.wait()
            raise self.trouble
        if self.delays_visits:
            self._delayed.append((key, visit))
            raise StoreUnreachableError("it takes too long")
        ruling = await self._store.sync(key, visit)
        await self.answers.wait()
        if self.lost_answers:
            self.lost_answers -= 1
            raise StoreUnreachableError("the answer got lost")
        self.as_answer_comes()
        return ruling

    async def arrive_late(self) -> None:
        """Now they arrive after all."""
        while self._delayed:
            await self._store.sync(*self._delayed.pop(0))

    async def aclose(self) -> None:
        self.closed += 1


class Process:
    """A process with calls; `let_go` are those of all processes that went, with the moment."""

    def __init__(
        self, limiter: SharedLimiter, way: Way, clock: FakeClock, let_go: list[tuple[str, float]]
    ) -> None:
        self.limiter = limiter
        self.way = way
        self.clock = clock
        self._let_go = let_go
        self.slots: dict[str, Slot] = {}
        self.tasks: dict[str, asyncio.Task[Slot]] = {}

    async def call(
        self,
        *names: str,
        lane: Lane = "interactive",
        requeued: bool = False,
        max_wait: float | None = None,
    ) -> None:
        """Let these calls queue up, in this order, and see how far they come."""
        for name in names:
            waiting = self._wait(name, lane, max_wait, requeued=requeued)
            self.tasks[name] = asyncio.create_task(waiting)
        await self.clock.advance(0)

    async def _wait(self, name: str, lane: Lane, max_wait: float | None, *, requeued: bool) -> Slot:
        slot = await self.limiter.acquire(lane, max_wait=max_wait, requeued=requeued)
        self.slots[name] = slot
        self._let_go.append((name, self.clock.monotonic()))
        return slot

    async def settle(self, fate: SlotOutcome, *names: str) -> None:
        for name in names:
            await self.limiter.release(self.slots.pop(name), fate)
        await self.clock.advance(0)

    async def answer(self, *names: str) -> None:
        """Their answers come now."""
        await self.settle(Answered(self.clock.monotonic()), *names)

    async def hand_back(self, *names: str) -> None:
        await self.settle(NotCounted(), *names)

    async def refuse(self, name: str, pause: float) -> None:
        """It is answered 429."""
        await self.settle(Throttled(pause), name)

    async def cancel(self, *names: str) -> None:
        """Whoever made these calls leaves."""
        for name in names:
            self.tasks[name].cancel()
        await self.clock.advance(0)

    async def error(self, name: str) -> SyncroError:
        """What that call was told instead of being let go."""
        error = (await asyncio.gather(self.tasks[name], return_exceptions=True))[0]
        assert isinstance(error, SyncroError)
        return error

    def die(self) -> None:
        """Nobody hears of it any more, and it hears of nobody."""
        self.way.trouble = StoreUnreachableError("it is dead")

    async def aclose(self) -> None:
        await self.limiter.aclose()
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


class Key:
    """A key that processes share by a store."""

    def __init__(self, clock: FakeClock, store: Store | None = None) -> None:
        self.clock = clock
        self.store = store or MemoryStore(clock)
        self.let_go: list[tuple[str, float]] = []
        self._processes: list[Process] = []

    @property
    def names(self) -> list[str]:
        """Who went, in the order of their going."""
        return [name for name, _ in self.let_go]

    def process(self, *rates: RateLimit, **options: Any) -> Process:
        way = Way(self.store, self.clock)
        limiter = SharedLimiter(way, "k", rates, timeout=TIMEOUT, clock=self.clock, **options)
        self._processes.append(Process(limiter, way, self.clock, self.let_go))
        return self._processes[-1]

    async def aclose(self) -> None:
        for process in self._processes:
            with suppress(SyncroError):
                await process.aclose()
        await self.store.aclose()

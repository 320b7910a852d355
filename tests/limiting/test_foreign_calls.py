"""Somebody else spends a third of the key's budget: few calls are refused, and none is lost."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import pytest

from syncro_async import AsyncClient
from syncro_async.events import AnswerReceived, Event
from syncro_async.limiting.budget.messages import SyncRequest, SyncResponse
from syncro_async.limiting.budget.state import BudgetState
from syncro_async.limiting.budget.store_time import Moment
from syncro_async.limiting.budget.sync import state_for, sync
from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.limiting.protocol import Limiter
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.limiting.shared.limiter import SharedLimiter
from syncro_async.limiting.shared.sqlite_store import SqliteStore
from syncro_async.sandbox import FULL_KEY, Sandbox
from syncro_async.sandbox.rate_windows import WindowKind
from syncro_async.testing.fake_clock import FakeClock
from syncro_async.transport.http_engine import in_process_transport
from tests.limiting.shared.memory_store import InVirtualTime

logger = logging.getLogger(__name__)

BASE_URL = "http://localhost/api/v1"
RATE = RateLimit(60, 60.0)
TIMEOUT = 30.0

CALLS, CALLERS = 1200, 20
# Of the 60 calls of each window, and how soon the stranger asks again for what was refused (s).
THEIRS, NAGS = 20, 5.0
# When in a window the stranger makes its calls (s). It opens each, so that it stays in step.
HABITS = {
    "all at once": [0.0] * THEIRS,
    "evenly": [number * 60.0 / THEIRS for number in range(THEIRS)],
    "late": [0.0, *[55.0] * (THEIRS - 1)],
}

Asgi = Callable[[Any, Any, Any], Awaitable[None]]


class StoreInMemory:
    """What every store does, without a place to keep it."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._states: dict[str, BudgetState] = {}

    async def sync(self, key: str, visit: SyncRequest) -> SyncResponse:
        now = self._clock.monotonic()
        state = self._states[key] = state_for(self._states.get(key), visit, now)
        return sync(state, visit, Moment.at(now)).response

    async def aclose(self) -> None:
        pass


def far_away(app: Asgi, clock: FakeClock) -> Asgi:
    """The application at the end of a long line: some milliseconds there, some back."""
    dice = random.Random(1)  # noqa: S311 - no secret

    async def call(scope: Any, receive: Any, send: Any) -> None:
        async def send_late(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                await clock.sleep(dice.uniform(0.01, 0.25))
            await send(message)

        await clock.sleep(dice.uniform(0.01, 0.25))
        await app(scope, receive, send_late)

    return call


@dataclass
class World:
    """A service, our clients, and a stranger who knows nothing of them."""

    limiters: Callable[[FakeClock], list[Limiter]]
    window: WindowKind = "fixed"
    clock: FakeClock = field(default_factory=lambda: FakeClock(start=960.0))
    clients: list[AsyncClient] = field(default_factory=list)
    estimates: list[int] = field(default_factory=list)
    refused: int = 0
    answered: int = 0
    nagging: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sandbox = Sandbox(3, clock=self.clock, window=self.window)
        self.app = far_away(self.sandbox.app, self.clock)

    @asynccontextmanager
    async def running(self, habit: str) -> AsyncIterator[None]:
        """Our clients, and the stranger until it is told to go."""
        async with AsyncExitStack() as stack:
            for limiter in self.limiters(self.clock):
                client = AsyncClient(
                    FULL_KEY,
                    base_url=BASE_URL,
                    clock=self.clock,
                    limiter=limiter,
                    timeout=TIMEOUT,
                    transport=in_process_transport(self.app),
                    observers=[self.see],
                )
                self.clients.append(await stack.enter_async_context(client))
                if isinstance(limiter, SharedLimiter):
                    stack.push_async_callback(limiter.aclose)
            transport = httpx.ASGITransport(app=self.sandbox.app)
            headers = {"X-API-Key": FULL_KEY}
            self.strange = await stack.enter_async_context(
                httpx.AsyncClient(transport=transport, base_url=BASE_URL, headers=headers)
            )
            await self.strange.get("/leads/1")
            self.stranger = asyncio.create_task(self.be_strange(HABITS[habit]))
            stack.push_async_callback(self.be_rid_of_the_stranger)
            yield

    def see(self, event: Event) -> None:
        if isinstance(event, AnswerReceived):
            self.refused += event.status == 429

    async def be_strange(self, habit: list[float]) -> None:
        begins = self.clock.monotonic()
        moments = habit[1:]  # it has opened the first window already
        while True:
            for moment in moments:
                await self.clock.sleep(begins + moment - self.clock.monotonic())
                self.nagging.append(asyncio.create_task(self.nag()))
            begins, moments = begins + 60.0, habit

    async def nag(self) -> None:
        while (await self.strange.get("/leads/1")).status_code == 429:
            await self.clock.sleep(NAGS)

    async def be_rid_of_the_stranger(self) -> None:
        tasks = [self.stranger, *self.nagging]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def make_calls(self) -> None:
        left = CALLS

        async def caller(client: AsyncClient) -> None:
            nonlocal left
            while left:
                left -= 1
                await client.leads.get(2)
                self.answered += 1
                self.estimates.append(client.budget().foreign_estimate)

        callers = [caller(self.clients[n % len(self.clients)]) for n in range(CALLERS)]
        await asyncio.gather(*callers)

    async def estimate(self) -> int:
        for client in self.clients:
            await client._limiter.refresh()
        return max(client.budget().foreign_estimate for client in self.clients)

    @property
    def taken_by_the_stranger(self) -> int:
        """How many of its calls were counted."""
        return sum(a.counted and a.path == "/leads/1" for a in self.sandbox.arrivals)


# ------------------------------------------------------------------------------ whose budget it is


def in_process(clock: FakeClock) -> list[Limiter]:
    return [InProcessLimiter([RATE], clock)]


def two_processes(clock: FakeClock) -> list[Limiter]:
    """They share a budget with each other; the stranger does not."""
    store = StoreInMemory(clock)
    return [SharedLimiter(store, "k", [RATE], timeout=TIMEOUT, clock=clock) for _ in range(2)]


async def little_is_refused_and_nothing_lost(world: World, habit: str) -> None:
    async with world.running(habit):
        began = world.clock.monotonic()
        await world.make_calls()
        minutes = (world.clock.monotonic() - began) / 60.0
        assert world.answered == CALLS
        assert world.refused < CALLS / 20
        # The stranger had its third, and knew no manners to get it.
        assert world.taken_by_the_stranger / minutes == pytest.approx(THEIRS, abs=1.5)
        assert median(world.estimates[CALLS // 2 :]) == pytest.approx(THEIRS, abs=3)
        logger.info(
            "%s windows, %s: %d of %d refused in %.1f minutes",
            world.window,
            habit,
            world.refused,
            CALLS,
            minutes,
        )
        assert minutes < 1.2 * CALLS / (RATE.calls - THEIRS)


@pytest.mark.parametrize("habit", HABITS)
@pytest.mark.parametrize("limiters", [in_process, two_processes])
async def test_a_stranger_who_stays_costs_fewer_than_one_call_in_twenty(
    limiters: Callable[[FakeClock], list[Limiter]], habit: str
) -> None:
    await little_is_refused_and_nothing_lost(World(limiters), habit)


@pytest.mark.parametrize("window", ["aligned", "sliding"])
async def test_so_it_is_however_the_server_counts(window: WindowKind) -> None:
    await little_is_refused_and_nothing_lost(World(in_process, window), "evenly")


async def test_so_it_is_for_processes_that_share_a_file(tmp_path: Path) -> None:
    def sharing_a_file(clock: FakeClock) -> list[Limiter]:
        store = InVirtualTime(SqliteStore(tmp_path / "budget.db", clock), clock)
        return [SharedLimiter(store, "k", [RATE], timeout=TIMEOUT, clock=clock) for _ in range(2)]

    await little_is_refused_and_nothing_lost(World(sharing_a_file), "all at once")


@pytest.mark.parametrize("limiters", [in_process, two_processes])
async def test_a_stranger_who_goes_is_forgotten(
    limiters: Callable[[FakeClock], list[Limiter]],
) -> None:
    world = World(limiters)
    async with world.running("all at once"):
        await world.make_calls()
        assert await world.estimate() > THEIRS / 2
        await world.be_rid_of_the_stranger()
        minutes = 0
        while await world.estimate():
            minutes += 1
            assert minutes < 30, "still kept for somebody who has gone"
            await world.clock.sleep(60.0)
        refused, began = world.refused, world.clock.monotonic()
        await asyncio.gather(*(world.clients[0].leads.get(2) for _ in range(RATE.calls)))
        assert world.clock.monotonic() - began < RATE.seconds
        assert world.refused == refused

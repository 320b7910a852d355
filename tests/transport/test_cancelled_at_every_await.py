"""A call cancelled at each of its waits in turn leaves nothing behind, and nothing untold."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import httpx2
import pytest
import uvloop

from syncro_async import AsyncClient, RateLimit
from syncro_async.clock import SystemClock
from syncro_async.errors import OutcomeUnknownError
from syncro_async.events import CallAbandoned, Event
from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.limiting.protocol import Budget, Lane, Slot, SlotOutcome
from syncro_async.sandbox import OPEN_STAGE_ID, PIPELINE_ID, Sandbox, Trouble
from syncro_async.testing import sandbox_client
from syncro_async.testing.fake_clock import FakeClock
from syncro_async.transport.connections import BorrowedTransport
from tests.transport.cancel_points import MOMENTS, Moment, Walk, walking
from tests.transport.pipelines import pipeline_of
from tests.transport.scripted_app import KEY, ONE, at_once
from tests.transport.scripted_server import Connection, ScriptedServer, http

PLENTY = RateLimit(100_000, 60.0)
PLACE: dict[str, Any] = {"pipeline_id": PIPELINE_ID, "stage_id": OPEN_STAGE_ID}
BODY = b'{"success": true, "created": true, "lead": {"id": 7}}'
LEAD = http(BODY)
LAST = http(BODY, headers=("Connection: close",))
BUSY = http(b"{}", "425 Too Early", headers=("Retry-After: 0",))

_numbers = itertools.count(1)


async def read(client: AsyncClient) -> object:
    return await client.leads.get(7)


async def idempotent_write(client: AsyncClient) -> object:
    return await client.leads.upsert(name="Ana", email=f"{next(_numbers)}@example.com", **PLACE)


async def unsafe_write(client: AsyncClient) -> object:
    return await client.leads.create(name="Ana", **PLACE)


CALLS = (read, idempotent_write, unsafe_write)


@dataclass
class Ground:
    """Where calls are walked: a client, what it told, and how many writes its server has done."""

    client: AsyncClient
    told: list[Event]
    writes: Callable[[], int]
    before: Callable[[], Awaitable[Any] | None] = field(default=lambda: None)

    def check(self) -> None:
        """Nothing of a call is left: no slot, no place, no task, no half-read connection."""
        budget = self.client.budget()
        assert (budget.in_flight, budget.waiting) == (0, 0)
        sends = pipeline_of(self.client)._built["stages"]._sends.get()
        assert sends.connection_slots._value == self.client._settings.config.max_connections
        # One that has just ended is let go in the next turn of the loop.
        assert all(task.done() for task in sends._tasks)
        assert not sends._queued
        row = pipeline_of(self.client)._built["stages"]._pool._pools.get()
        assert not row._acquired
        for _, transport in row._idle:
            assert isinstance(transport, httpx.AsyncHTTPTransport | httpx2.AsyncHTTPTransport)
            pool: Any = transport._pool
            assert not pool._requests
            assert all(each.is_idle() or each.is_closed() for each in pool.connections)


async def walk_all(ground: Ground, call: Callable[[AsyncClient], Awaitable[object]]) -> int:
    """Cancel the call at its every suspension, at both moments; how many there were."""
    client, longest = ground.client, 0
    others = asyncio.all_tasks()
    for moment in MOMENTS:
        for number in itertools.count(1):
            walk = await step(ground, call, number, moment)
            assert len(asyncio.all_tasks() - others) <= server_tasks(ground)
            await client.leads.get(7)
            ground.check()
            if not walk.arrived:
                longest = max(longest, walk.suspensions)
                break
    return longest


def server_tasks(ground: Ground) -> int:
    """How many tasks of this loop are a scripted server's, one for a connection."""
    row = pipeline_of(ground.client)._built["stages"]._pool._pools.get()
    return 0 if isinstance(row, BorrowedTransport) else len(row._idle) + 1


async def step(
    ground: Ground,
    call: Callable[[AsyncClient], Awaitable[object]],
    number: int,
    moment: Moment,
) -> Walk:
    under_way = ground.before()
    done = ground.writes()
    del ground.told[:]
    walk = Walk(number, moment)
    outcome = await walk.take(lambda: call(ground.client))
    await asyncio.gather(*walk.tasks, return_exceptions=True)
    if under_way is not None:
        await under_way
    await asyncio.sleep(0)
    if not walk.arrived:
        assert not isinstance(outcome, Exception) or isinstance(outcome, OutcomeUnknownError)
        return walk
    assert isinstance(outcome, asyncio.CancelledError), outcome
    if call is not read and ground.writes() > done:
        assert any(isinstance(event, CallAbandoned) for event in ground.told)
    if call is unsafe_write:
        assert ground.writes() - done <= 1
    return walk


# ------------------------------------------------------------------ on real sockets


Done = list[bytes]


async def keeps_the_connection(connection: Connection, done: Done) -> None:
    while True:
        done.append(await connection.request())
        await connection.send(LEAD)


async def closes_each_connection(connection: Connection, done: Done) -> None:
    done.append(await connection.request())
    await connection.send(LAST)


async def is_busy_at_first(connection: Connection, done: Done) -> None:
    while True:
        await connection.request()
        await connection.send(BUSY)
        done.append(await connection.request())
        await connection.send(LEAD)


async def answers_in_pieces(connection: Connection, done: Done) -> None:
    while True:
        done.append(await connection.request())
        for start in range(0, len(LEAD), 60):
            await connection.send(LEAD[start : start + 60])
            for _ in range(4):
                await asyncio.sleep(0)


SCRIPTS = (keeps_the_connection, closes_each_connection, is_busy_at_first, answers_in_pieces)


@asynccontextmanager
async def on_a_socket(script: Any) -> AsyncIterator[Ground]:
    told: list[Event] = []
    done: Done = []
    options: dict[str, Any] = {"rate_limit": PLENTY, "retry": at_once(), "observers": [told.append]}
    async with (
        ScriptedServer(lambda connection: script(connection, done)) as server,
        AsyncClient(KEY, base_url=server.url, max_connections=1, **options) as client,
    ):
        await client.leads.get(7)
        yield Ground(client, told, lambda: sum(raw.startswith(b"POST") for raw in done))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("script", SCRIPTS)
async def test_on_a_socket_nothing_is_left(script: Any, call: Any) -> None:
    async with walking(), on_a_socket(script) as ground:
        assert await walk_all(ground, call) >= 3


@pytest.mark.parametrize("script", SCRIPTS)
def test_nor_on_another_kind_of_event_loop(script: Any) -> None:
    async def everything() -> None:
        async with walking(), on_a_socket(script) as ground:
            for call in CALLS:
                assert await walk_all(ground, call) >= 3

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(everything())


# ------------------------------------------------------------------ in virtual time


@asynccontextmanager
async def in_the_sandbox(
    trouble: Trouble | None = None, limiter: Any = None, **options: Any
) -> AsyncIterator[Ground]:
    told: list[Event] = []
    clock = FakeClock()
    sandbox = Sandbox(20, clock=clock, per_minute=1000)
    options = {"rate_limit": RateLimit(1000, 60.0), **options}
    if limiter is not None:
        options["limiter"] = limiter(InProcessLimiter([options["rate_limit"]], clock))
    async with sandbox_client(
        sandbox=sandbox, clock=clock, observers=[told.append], **options
    ) as client:
        await client.leads.get(7)

        def before() -> None:
            if trouble is not None and not sandbox._api.script._queue:
                sandbox.script(trouble)

        yield Ground(client, told, lambda: len(sandbox.writes), before)


def waiting_for_budget() -> AbstractAsyncContextManager[Ground]:
    return in_the_sandbox(rate_limit=ONE)


def waiting_with_an_end() -> AbstractAsyncContextManager[Ground]:
    return in_the_sandbox(rate_limit=ONE, max_wait=1000.0, lane="bulk")


def between_two_attempts() -> AbstractAsyncContextManager[Ground]:
    return in_the_sandbox(Trouble(status=425, headers={"Retry-After": "20"}))


def after_a_lost_answer() -> AbstractAsyncContextManager[Ground]:
    return in_the_sandbox(Trouble(lose_answer=True))


def after_a_429() -> AbstractAsyncContextManager[Ground]:
    return in_the_sandbox(Trouble(status=429, headers={"Retry-After": "20"}))


def under_a_slow_server() -> AbstractAsyncContextManager[Ground]:
    return in_the_sandbox(Trouble(delay=20.0))


@asynccontextmanager
async def behind_a_full_pool() -> AsyncIterator[Ground]:
    async with in_the_sandbox(Trouble(delay=5.0), max_connections=1) as ground:
        script = ground.before

        def before() -> Awaitable[Any]:
            script()
            return asyncio.ensure_future(ground.client.leads.get(8))

        ground.before = before
        yield ground


class Hesitant:
    """A limiter that is asked over a wire: every word to it takes a while."""

    def __init__(self, inner: InProcessLimiter) -> None:
        self._inner = inner

    @property
    def rates(self) -> tuple[RateLimit, ...]:
        return self._inner.rates

    async def acquire(
        self, lane: Lane, *, max_wait: float | None = None, requeued: bool = False
    ) -> Slot:
        await asyncio.sleep(0)
        return await self._inner.acquire(lane, max_wait=max_wait, requeued=requeued)

    def is_valid(self, slot: Slot) -> bool:
        return self._inner.is_valid(slot)

    async def release(self, slot: Slot, outcome: SlotOutcome) -> None:
        await asyncio.sleep(0)
        await self._inner.release(slot, outcome)

    def budget(self) -> Budget:
        return self._inner.budget()


def with_a_limiter_elsewhere() -> AbstractAsyncContextManager[Ground]:
    return in_the_sandbox(limiter=Hesitant, rate_limit=ONE)


PLACES = (
    waiting_for_budget,
    waiting_with_an_end,
    between_two_attempts,
    after_a_lost_answer,
    after_a_429,
    under_a_slow_server,
    behind_a_full_pool,
    with_a_limiter_elsewhere,
)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("place", PLACES)
async def test_wherever_a_call_waits_nothing_is_left(place: Any, call: Any) -> None:
    async with walking(), place() as ground:
        assert await walk_all(ground, call) >= 1


# ------------------------------------------------------------------ many at once


async def test_after_ten_thousand_at_random_a_pool_of_five_serves_a_hundred_calls() -> None:
    chance = random.Random(7)  # noqa: S311 - not for secrets
    others = asyncio.all_tasks()
    async with (
        ScriptedServer(lambda connection: answers_in_pieces(connection, [])) as server,
        AsyncClient(
            KEY, base_url=server.url, rate_limit=PLENTY, max_connections=5, clock=SystemClock()
        ) as client,
    ):
        cancelled = 0
        waiting: list[asyncio.Task[object]] = []
        while cancelled < 10_000:
            waiting += [asyncio.ensure_future(chance.choice(CALLS)(client)) for _ in range(50)]
            for _ in range(chance.randrange(15)):
                await asyncio.sleep(0)
            chance.shuffle(waiting)
            cancelled += sum(task.cancel() for task in waiting[20:])
            del waiting[20:]
        await asyncio.gather(*waiting, return_exceptions=True)
        seven = [(await client.request("GET", "/leads/7"))["lead"]["id"] for _ in range(20)]
        all_at_once = await asyncio.gather(*(client.leads.get(7) for _ in range(80)))
        assert [*seven, *(lead.id for lead in all_at_once)] == [7] * 100
        Ground(client, [], int).check()
        assert server.most_open <= 5
        assert len(server.requests) >= 300
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == others

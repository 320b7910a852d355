"""A real redis-server that is stopped and started in the middle of a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from syncro_async import AsyncClient, RateLimit
from syncro_async.clock import SystemClock
from syncro_async.errors import ConnectionFailedError
from syncro_async.limiting.budget.state import OWNER_TTL
from syncro_async.sandbox import FULL_KEY, Sandbox
from syncro_async.testing import sandbox_client
from tests.redis_server import RedisServer, running

# A minute of a second: what matters here takes real time.
RATE = RateLimit(30, 1.0)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with running("redis-server") as server:
        yield server


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(200, minute=RATE.seconds, per_minute=RATE.calls, window="sliding")


@asynccontextmanager
async def clients_of(sandbox: Sandbox, url: str) -> AsyncIterator[list[AsyncClient]]:
    """Two of them, each with a place of its own at the store."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                sandbox_client(
                    sandbox=sandbox,
                    clock=SystemClock(),
                    limiter=url,
                    rate_limit=RATE,
                    timeout=2.0,
                )
            )
            for _ in range(2)
        ]


def calls(clients: list[AsyncClient], each: int) -> list[asyncio.Task[object]]:
    return [
        asyncio.ensure_future(client.leads.get(number))
        for number in range(1, each + 1)
        for client in clients
    ]


async def until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    """Come back when it is so; fails when it takes too long."""

    async def look() -> None:
        while not holds():
            await SystemClock().sleep(0.01)

    await asyncio.wait_for(look(), seconds)


async def test_calls_fail_while_it_is_away_and_go_well_again_afterwards(
    server: RedisServer, sandbox: Sandbox
) -> None:
    url = server.url.replace("//", "//:geheim@")
    with server.client() as client:
        client.config_set("requirepass", "geheim")
    async with clients_of(sandbox, url) as clients:
        tasks = calls(clients, 40)
        await until(lambda: len(sandbox.arrivals) >= RATE.calls)
        server.stop()
        before = SystemClock().monotonic()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        errors = [end for end in ends if isinstance(end, BaseException)]
        assert 0 < len(errors) == 80 - len(sandbox.arrivals)
        for error in errors:
            assert isinstance(error, ConnectionFailedError)
            assert str(server.port) in str(error)
            assert "geheim" not in str(error)
        assert SystemClock().monotonic() - before >= OWNER_TTL

        before = SystemClock().monotonic()
        with pytest.raises(ConnectionFailedError, match="because the shared budget is unknown"):
            await clients[0].leads.get(1)
        with pytest.raises(ConnectionFailedError, match="because the shared budget is unknown"):
            await clients[1].refresh_budget()
        assert SystemClock().monotonic() - before < OWNER_TTL

        server.start()
        sent = len(sandbox.arrivals)
        await until_the_store_answers(clients)
        await asyncio.gather(*calls(clients, 20))
        assert len(sandbox.arrivals) - sent == 40
    assert sandbox.refused == 0


async def until_the_store_answers(clients: list[AsyncClient]) -> None:
    for client in clients:
        while True:
            try:
                await client.refresh_budget()
            except ConnectionFailedError:
                await SystemClock().sleep(0.05)
            else:
                break


async def test_with_a_local_share_every_call_goes_well_and_none_draws_a_429(
    server: RedisServer, sandbox: Sandbox
) -> None:
    url = f"{server.url}?on_outage=local&local_share=0.25"
    async with clients_of(sandbox, url) as clients:
        tasks = calls(clients, 60)
        await until(lambda: len(sandbox.arrivals) >= RATE.calls)
        server.stop()
        over_at = SystemClock().monotonic() + OWNER_TTL

        def sent_without() -> list[float]:
            return [arrival.at for arrival in sandbox.arrivals if arrival.at >= over_at]

        await until(lambda: len(sent_without()) >= 20)
        outage = sent_without()
        server.start()
        leads = await asyncio.gather(*tasks)
        assert len(leads) == 120
        await clients[0].refresh_budget()
        assert clients[0].budget().waiting == 0
    assert sandbox.refused == 0
    # Two shares of 7 calls in 1.25 s; the whole budget would have had room for all at once.
    assert outage[14] - outage[0] > RATE.seconds


async def test_a_restart_in_the_middle_of_a_hiccup_draws_no_429(
    server: RedisServer, sandbox: Sandbox
) -> None:
    async with clients_of(sandbox, server.url) as clients:
        tasks = calls(clients, 50)
        for count in (20, 40, 70):
            await until(lambda count=count: len(sandbox.arrivals) >= count)  # type: ignore[misc]
            server.stop()
            server.start()
        assert len(await asyncio.gather(*tasks)) == 100
    assert sandbox.refused == 0


async def test_the_api_key_is_nowhere_in_the_server(server: RedisServer, sandbox: Sandbox) -> None:
    async with clients_of(sandbox, server.url) as clients:
        await asyncio.gather(*calls(clients, 2))
        with server.client() as redis:
            name, heartbeats = sorted(redis.keys())
            assert isinstance(name, bytes)
            assert name.startswith(b"syncro_async:")
            assert heartbeats == b"{%s}:heartbeats" % name
            for held in (name, redis.get(name), *redis.zrange(heartbeats, 0, -1)):
                assert isinstance(held, bytes)
                assert FULL_KEY.encode() not in held

"""A key that a function gives: asked when it is needed, and again when it is refused."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx
import pytest
from httpx_aiohttp import AiohttpTransport

from syncro_async import AsyncClient
from syncro_async.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionFailedError,
    PermissionDeniedError,
)
from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.testing.fake_clock import FakeClock
from syncro_async.transport.http_engine import in_process_transport
from tests.transport.scripted_app import BASE_URL, ONE, Answer, App, Asked
from tests.transport.scripted_server import Connection, ScriptedServer, http

REFUSED = Answer(401, {"message": "API Key expirada."})
LEAD = Answer(body={"lead": {"id": 5}})
LEAD_BODY = b'{"success": true, "lead": {"id": 5}}'


class Keys:
    """Gives one key after the other, and the last one for ever; counts how often it is asked."""

    def __init__(self, *keys: Any) -> None:
        self.keys = list(keys)
        self.asked = 0

    def __call__(self) -> Any:
        key = self.keys[min(self.asked, len(self.keys) - 1)]
        self.asked += 1
        if isinstance(key, Exception):
            raise key
        return key

    async def later(self) -> Any:
        await asyncio.sleep(0)
        return self()


class Server(App):
    """Accepts some keys only."""

    def __init__(self, *valid: str) -> None:
        self.valid = {*valid}
        super().__init__(self.answer)

    async def answer(self, asked: Asked) -> Answer:
        return LEAD if asked.headers["x-api-key"] in self.valid else REFUSED

    @property
    def keys(self) -> list[str]:
        return [asked.headers["x-api-key"] for asked in self.asked]


def client_with(keys: Callable[[], str | Awaitable[str]], app: App, **options: Any) -> AsyncClient:
    transport = in_process_transport(app)
    return AsyncClient(keys, base_url=BASE_URL, clock=app.clock, transport=transport, **options)


@pytest.fixture(params=["sync", "async"])
def way(request: pytest.FixtureRequest) -> Callable[[Keys], Callable[[], Any]]:
    return (lambda keys: keys) if request.param == "sync" else (lambda keys: keys.later)


Way = Callable[[Keys], Callable[[], Any]]


async def test_it_is_asked_once_before_the_first_call(way: Way) -> None:
    keys, app = Keys("crm_first_key"), Server("crm_first_key")
    async with client_with(way(keys), app) as client:
        assert keys.asked == 0
        await asyncio.gather(*(client.leads.get(n) for n in range(20)))
        await client.with_options(lane="bulk").leads.get(5)
    assert keys.asked == 1
    assert app.keys == ["crm_first_key"] * 21


async def test_a_refused_key_is_replaced_and_the_call_sent_again(way: Way) -> None:
    keys, app = Keys("crm_old_key_1", "crm_new_key_2"), Server("crm_new_key_2")
    async with client_with(way(keys), app) as client:
        # A write too: a 401 proves that it was not processed.
        assert (await client.leads.create(name="Ana", pipeline_id=1, stage_id=1)).id == 5
        assert (await client.leads.get(5)).id == 5
    assert app.keys == ["crm_old_key_1", "crm_new_key_2", "crm_new_key_2"]
    assert keys.asked == 2


async def test_calls_that_are_refused_together_share_one_answer(way: Way) -> None:
    keys, app = Keys("crm_old_key_1", "crm_new_key_2"), Server("crm_new_key_2")
    async with client_with(way(keys), app) as client:
        await asyncio.gather(*(client.leads.get(n) for n in range(20)))
    assert keys.asked == 2
    assert app.keys.count("crm_new_key_2") == 20


async def test_the_same_key_again_is_the_end_of_the_call(way: Way) -> None:
    keys, app = Keys("crm_old_key_1"), Server()
    async with client_with(way(keys), app) as client:
        with pytest.raises(AuthenticationError) as caught:
            await client.leads.get(5)
        assert keys.asked == 2
        found = await asyncio.gather(
            *(client.leads.get(n) for n in range(20)), return_exceptions=True
        )
    assert caught.value.reason == "expired"
    assert {type(each) for each in found} == {AuthenticationError}
    assert keys.asked <= 22  # once for each call, and once for those refused together
    assert len(app.asked) == 21


async def test_a_call_asks_once_only(way: Way) -> None:
    keys, app = Keys(*(f"crm_old_key_{n}" for n in range(9))), Server()
    async with client_with(way(keys), app) as client:
        with pytest.raises(AuthenticationError):
            await client.leads.get(5)
    assert app.keys == ["crm_old_key_0", "crm_old_key_1"]


async def test_another_refusal_is_no_reason_to_ask() -> None:
    keys, app = Keys("crm_first_key"), App(Answer(403, {"message": "Conta inativa."}))
    async with client_with(keys, app) as client:
        with pytest.raises(PermissionDeniedError):
            await client.leads.get(5)
    assert keys.asked == 1


async def test_each_key_has_its_own_budget() -> None:
    keys, app = Keys("crm_old_key_1", "crm_new_key_2"), Server("crm_old_key_1")
    async with client_with(keys, app, rate_limit=ONE) as client:
        assert client.budget().available == 1
        await client.leads.get(5)
        assert client.budget().available == 0
        app.valid = {"crm_new_key_2"}
        await client.leads.get(5)  # the old key's slot is free after a minute
        assert client.budget().available == 0
        with_key = AsyncClient("crm_new_key_2", base_url=BASE_URL, clock=app.clock, rate_limit=ONE)
        assert with_key.budget() == client.budget()
    assert app.times == [0.0, 60.25, 60.25]


async def test_the_budget_of_a_key_that_was_not_asked_for_yet(way: Way) -> None:
    keys, app = Keys("crm_first_key"), Server("crm_first_key")
    async with client_with(way(keys), app, rate_limit=ONE) as client:
        assert client.budget().available == 1
        assert client.bulk is not None
        assert keys.asked == 0
        assert (await client.refresh_budget()).available == 1
        await client.refresh_budget()
        assert keys.asked == 1


async def test_a_limiter_of_the_user_counts_for_every_key() -> None:
    keys, app = Keys("crm_old_key_1", "crm_new_key_2"), Server("crm_new_key_2")
    limiter = InProcessLimiter([ONE], app.clock)
    async with client_with(keys, app, limiter=limiter) as client:
        await client.leads.get(5)
        assert client.budget().used == limiter.budget().used == 1


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("", "the API key for Syncro is blank"),
        (None, "returned None instead of a key for Syncro"),
        (5, "the API key must be a str, not int"),
        ("with space", "holds spaces"),
        (OSError("vault is down"), "the function given as api_key raised OSError"),
        (ConnectionFailedError("no way"), "no way"),
    ],
)
async def test_what_is_no_key_is_said(given: Any, why: str, way: Way, monkeypatch: Any) -> None:
    monkeypatch.setenv("SYNCRO_API_KEY", "crm_of_the_environment")
    app = Server()
    async with client_with(way(Keys(given)), app) as client:
        with pytest.raises((ConfigurationError, ConnectionFailedError), match=why):
            await client.leads.get(5)
    assert app.asked == []


async def test_no_key_is_shown() -> None:
    keys = Keys("crm_old_key_1", "crm secret with spaces")
    async with client_with(keys, Server()) as client:
        with pytest.raises(ConfigurationError) as caught:
            await client.leads.get(5)
    shown = "".join(
        traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    )
    assert "crm secret" not in shown.replace(repr(keys.keys), "")
    assert "crm_old_key_1" not in repr(client)


async def test_a_caller_that_is_cancelled_leaves_the_asking_to_the_next() -> None:
    gate = asyncio.Event()

    async def slow() -> str:
        await gate.wait()
        return "crm_first_key"

    app = Server("crm_first_key")
    async with client_with(slow, app) as client:
        first = asyncio.ensure_future(client.leads.get(1))
        second = asyncio.ensure_future(client.leads.get(2))
        await asyncio.sleep(0)
        first.cancel()
        gate.set()
        assert (await second).id == 5
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_a_call_on_its_way_keeps_the_connections_of_its_old_key() -> None:
    gate, arrived = asyncio.Event(), asyncio.Event()

    async def answer(asked: Asked) -> Answer:
        if asked.path == "/leads/1":
            arrived.set()
            await gate.wait()
            return LEAD
        return REFUSED if asked.headers["x-api-key"] == "crm_old_key_1" else LEAD

    app = App(answer)
    async with client_with(Keys("crm_old_key_1", "crm_new_key_2"), app) as client:
        slow = asyncio.ensure_future(client.leads.get(1))
        await arrived.wait()
        await client.leads.get(2)
        gate.set()
        assert (await slow).id == 5


async def test_a_function_that_was_cancelled_by_itself_is_no_cancellation_of_the_call() -> None:
    async def fetch() -> str:
        await asyncio.Event().wait()
        return "crm_first_key"

    async def key() -> str:
        return await shared

    shared = asyncio.ensure_future(fetch())
    async with client_with(key, Server("crm_first_key")) as client:
        calls = [asyncio.ensure_future(client.leads.get(number)) for number in (1, 2)]
        await asyncio.sleep(0)
        calls[0].cancel()
        first, second = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(first, asyncio.CancelledError)
    assert isinstance(second, ConfigurationError)
    assert "cancelled by itself" in str(second)


@pytest.mark.parametrize("kind", [httpx.AsyncHTTPTransport, AiohttpTransport])
async def test_a_transport_of_the_caller_s_serves_the_next_key_too(kind: Any) -> None:
    async def by_key(connection: Connection) -> None:
        while True:
            raw = await connection.request()
            if b"/leads/1 " in raw:
                under_way.set()
                await answer.wait()
            is_old = b"crm_old_key_1" in raw and b"/leads/1 " not in raw
            await connection.send(http(b"{}", "401 No") if is_old else http(LEAD_BODY))

    under_way, answer = asyncio.Event(), asyncio.Event()
    keys = Keys("crm_old_key_1", "crm_new_key_2", "crm_new_key_3")
    transport = kind()
    async with ScriptedServer(by_key) as server:
        async with AsyncClient(keys, base_url=server.url, transport=transport) as client:
            slow = asyncio.ensure_future(client.leads.get(1))
            await under_way.wait()
            refused = await asyncio.gather(*(client.leads.get(number) for number in (2, 3)))
            # The new key's call is on its way while the old key's last one ends.
            later = asyncio.ensure_future(client.leads.create(name="A", pipeline_id=1, stage_id=2))
            answer.set()
            assert [lead.id for lead in (*refused, await slow, await later)] == [5] * 4
            assert (await client.leads.get(4)).id == 5

            async def elsewhere() -> None:
                await client.leads.get(5)

            with pytest.raises(ConfigurationError, match="belongs to the event loop"):
                await asyncio.to_thread(asyncio.run, elsewhere())
        assert is_closed(transport)


def is_closed(transport: Any) -> bool:
    if isinstance(transport, AiohttpTransport):
        return bool(transport.client.closed)
    return not transport._pool.connections


async def test_a_closed_client_asks_nobody() -> None:
    keys = Keys("crm_first_key")
    client = client_with(keys, Server("crm_first_key"))
    await client.aclose()
    with pytest.raises(ConfigurationError, match="closed"):
        await client.leads.get(5)
    assert keys.asked == 0


def test_bulk_jobs_know_an_account_by_the_name_of_the_function() -> None:
    def vault() -> str:
        return "x"

    named = AsyncClient(vault, base_url=BASE_URL, clock=FakeClock())
    assert named._account.endswith(
        "test_rotating_key.test_bulk_jobs_know_an_account_by_the_name_of_the_function.<locals>.vault"
    )
    assert AsyncClient(partial(vault), base_url=BASE_URL)._account.endswith(".partial")


def test_it_works_in_two_event_loops() -> None:
    keys, app = Keys("crm_first_key"), Server("crm_first_key")
    client = client_with(keys, app)

    async def use() -> None:
        await client.leads.get(5)

    asyncio.run(use())
    asyncio.run(use())
    asyncio.run(client.aclose())
    assert keys.asked == 1

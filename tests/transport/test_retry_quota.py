"""How much a server that is down is asked, counted at the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from syncro_async import AsyncClient, Failed, RateLimit, RetryPolicy, Succeeded
from syncro_async.dialects import ROUTEMCP, SYNCRO
from syncro_async.dialects.dialect import Dialect
from syncro_async.errors import (
    ConfigurationError,
    ConnectionFailedError,
    NotFoundError,
    ServerError,
    SyncroError,
)
from syncro_async.events import Event, RetryRefused
from syncro_async.testing import FakeClock

LEAD = {"success": True, "lead": {"id": 1, "name": "Ana"}}
PROVIDER = {"success": False, "message": "no", "raw": {"code": 131047}}


class Server:
    """Answers with what it is told, and counts."""

    def __init__(self, answer: Callable[[], httpx.Response]) -> None:
        self.answer = answer
        self.asked = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        return self.answer()


def client_of(server: Server, dialect: Dialect = SYNCRO, **options: Any) -> AsyncClient:
    retry = options.pop("retry", RetryPolicy(base_delay=1.0, random=lambda: 0.5))
    return AsyncClient(
        "key",
        base_url="https://crm.example/api/v1",
        dialect=dialect,
        transport=httpx.MockTransport(server),
        rate_limit=options.pop("rate_limit", RateLimit(100_000, 1.0)),
        retry=retry,
        clock=options.pop("clock", None) or FakeClock(),
        **options,
    )


def down() -> httpx.Response:
    return httpx.Response(500, content=b"oops")


def well() -> httpx.Response:
    return httpx.Response(200, json=LEAD)


def unreachable() -> httpx.Response:
    raise httpx.ConnectError("refused")


@pytest.mark.parametrize(
    ("answer", "kind"), [(down, ServerError), (unreachable, ConnectionFailedError)]
)
async def test_a_server_that_is_down_gets_about_one_request_a_call(
    answer: Callable[[], httpx.Response], kind: type[SyncroError]
) -> None:
    server = Server(answer)
    async with client_of(server) as client:
        assert client.budget().retries_left == 50
        calls = [client.leads.get(1) for _ in range(500)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert client.budget().retries_left == 0
    assert {type(result) for result in results} == {kind}
    assert server.asked == 550


async def test_a_refused_retry_is_reported_and_raises_the_servers_own_error() -> None:
    seen: list[Event] = []
    server = Server(down)
    retry = RetryPolicy(quota=1, base_delay=0.0)
    async with client_of(server, retry=retry, observers=[seen.append]) as client:
        for _ in range(2):
            with pytest.raises(ServerError, match="oops"):
                await client.leads.get(1)
    refused = [event for event in seen if isinstance(event, RetryRefused)]
    assert refused == [
        RetryRefused("GET", "/leads/1", 2, "ServerError: 500", waits=False),
        RetryRefused("GET", "/leads/1", 1, "ServerError: 500", waits=False, again=True),
    ]


async def test_calls_that_succeed_fill_the_stock_again() -> None:
    answers = iter([down(), *(well() for _ in range(6)), down(), down()])
    server = Server(lambda: next(answers))
    retry = RetryPolicy(quota=2, base_delay=0.0, quota_refill=0.25)
    async with client_of(server, retry=retry) as client:
        left = []
        for _ in range(6):
            await client.leads.get(1)
            left.append(client.budget().retries_left)
        assert left == [2] * 6
        retry = RetryPolicy(quota=2, attempts=2, base_delay=0.0, quota_refill=0.25)
        view = client.with_options(retry=retry)
        with pytest.raises(ServerError):
            await view.leads.get(1)
        assert view.budget().retries_left == 1
        server.answer = well
        for _ in range(4):
            await view.leads.get(1)
        assert view.budget().retries_left == 2


@pytest.mark.parametrize(
    ("dialect", "status", "body", "requests"),
    [
        (SYNCRO, 502, PROVIDER, 4),
        (SYNCRO, 404, {"message": "no"}, 1),
        (ROUTEMCP, 503, {"error": {"code": "PROVIDER_UNAVAILABLE", "message": "x"}}, 4),
        (ROUTEMCP, 502, {"error": {"code": "PROVIDER_ERROR", "message": "x"}}, 4),
        (ROUTEMCP, 503, {"error": {"code": "CIRCUIT_OPEN"}, "retry_after": 1}, 4),
    ],
)
async def test_an_answer_that_the_api_wrote_takes_nothing_from_the_stock(
    dialect: Dialect, status: int, body: object, requests: int
) -> None:
    server = Server(lambda: httpx.Response(status, json=body))
    async with client_of(server, dialect) as client:
        for _ in range(30):
            with pytest.raises((ServerError, NotFoundError)):
                await client.request("GET", "/leads/1")
        assert client.budget().retries_left == 50
    assert server.asked == 30 * requests


@pytest.mark.parametrize("content", [b"<h1>Bad Gateway</h1>", b'{"message": "no"}'])
async def test_a_502_of_a_gateway_takes_from_the_stock(content: bytes) -> None:
    server = Server(lambda: httpx.Response(502, content=content))
    async with client_of(server) as client:
        with pytest.raises(ServerError):
            await client.leads.get(1)
        assert client.budget().retries_left == 47


async def test_without_a_quota_every_call_is_tried_again() -> None:
    server = Server(down)
    async with client_of(server, retry=RetryPolicy(quota=None, base_delay=0.0)) as client:
        calls = [client.leads.get(1) for _ in range(100)]
        await asyncio.gather(*calls, return_exceptions=True)
        assert client.budget().retries_left is None
    assert server.asked == 400


async def test_a_call_that_cannot_be_sent_again_puts_its_retry_back() -> None:
    server = Server(down)
    async with client_of(server, rate_limit=RateLimit(1, 60.0)) as client:
        with pytest.raises(ServerError):
            await client.with_options(max_wait=1.0).leads.get(1)
        assert client.budget().retries_left == 50
    assert server.asked == 1


async def test_a_bulk_job_waits_until_the_server_is_back_and_no_row_fails() -> None:
    clock = FakeClock()
    server = Server(well)
    retry = RetryPolicy(quota=5, base_delay=1.0, max_delay=30.0, random=lambda: 0.5)
    async with client_of(server, clock=clock, retry=retry) as client:

        async def call(number: int) -> int:
            await client.leads.get(number)
            return number

        server.answer = down
        clock.call_at(200.0, lambda: setattr(server, "answer", well))
        asked_before = server.asked
        async with client.bulk.map(call, range(1, 31), concurrency=10) as outcomes:
            results = [outcome async for outcome in outcomes]
    assert [type(result) for result in results] == [Succeeded] * 30
    # One looks for the server every 30 s.
    assert server.asked - asked_before <= 30 + 10 + 5 + 200 / 30 + 20
    assert clock.monotonic() < 300.0


async def test_a_bulk_job_does_not_wait_for_ever() -> None:
    clock = FakeClock()
    server = Server(down)
    retry = RetryPolicy(quota=0, base_delay=1.0, random=lambda: 0.5)
    async with client_of(server, clock=clock, retry=retry) as client:

        async def call(number: int) -> None:
            await client.leads.get(number)

        async with client.bulk.map(call, [1]) as outcomes:
            (result,) = [outcome async for outcome in outcomes]
    assert isinstance(result, Failed)
    assert isinstance(result.error, ServerError)
    assert 3600.0 < clock.monotonic() < 3700.0


@pytest.mark.parametrize("option", ["quota", "quota_cost", "quota_refill"])
def test_values_that_make_no_sense_are_refused(option: str) -> None:
    for value in (-1.0, float("nan")):
        given: dict[str, Any] = {option: value}
        with pytest.raises(ConfigurationError, match=option):
            RetryPolicy(**given)

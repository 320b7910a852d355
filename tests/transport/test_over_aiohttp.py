"""Over httpx-aiohttp, which names its errors otherwise and says nothing on the way."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import httpx
import pytest
from httpx_aiohttp import AiohttpTransport

from syncro_async import AsyncClient
from syncro_async.errors import (
    ConnectionFailedError,
    NoAnswerError,
    OutcomeUnknownError,
    RequestTimeoutError,
)
from tests.transport.programs import answers_everything
from tests.transport.scripted_app import BASE_URL, KEY, at_once
from tests.transport.scripted_server import Connection, Script, ScriptedServer, drops

HALF = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"lead"'


async def silent(connection: Connection) -> None:
    """Take a request, and never answer it."""
    await connection.request()
    await connection.gone()


@asynccontextmanager
async def client_of(url: str, seconds: float = 30.0) -> AsyncIterator[AsyncClient]:
    transport = AiohttpTransport()
    async with AsyncClient(
        KEY, base_url=url, retry=at_once(3), transport=transport, timeout=seconds
    ) as client:
        yield client


@pytest.mark.parametrize(
    "script", [drops(reset=False), drops(), drops(HALF), drops(HALF, reset=False)]
)
async def test_a_write_whose_answer_is_lost_is_sent_once_and_its_outcome_called_unknown(
    script: Script,
) -> None:
    async with ScriptedServer(script) as server, client_of(server.url) as client:
        with pytest.raises(OutcomeUnknownError):
            await client.leads.create(name="Ana", pipeline_id=1, stage_id=4)
        assert len(server.requests) == 1
        assert client.budget().used == 1


async def test_a_read_is_tried_again_and_each_try_of_ours_is_counted() -> None:
    async with ScriptedServer(drops(reset=False)) as server, client_of(server.url) as client:
        with pytest.raises(NoAnswerError) as caught:
            await client.leads.get(7)
        assert type(caught.value) is NoAnswerError
        assert client.budget().used == 3
        # aiohttp sends what may be sent twice once more by itself, and tells nobody.
        assert len(server.requests) in {3, 6}


async def test_where_no_connection_is_made_nothing_was_sent() -> None:
    async with ScriptedServer(answers_everything) as server:
        url = server.url
    async with client_of(url) as client:
        with pytest.raises(ConnectionFailedError):
            await client.leads.create(name="Ana", pipeline_id=1, stage_id=4)
        assert client.budget().used == 0


async def test_an_answer_that_does_not_come_in_time_is_a_timeout() -> None:
    async with ScriptedServer(silent) as server, client_of(server.url, seconds=0.05) as client:
        with pytest.raises(RequestTimeoutError, match=r"no whole answer within 0\.05 s"):
            await client.leads.get(7)
        assert len(server.requests) == 3


async def test_a_connection_that_the_system_gave_up_after_the_request_was_made() -> None:
    class Lost(httpx.AsyncBaseTransport):
        """Tells as httpx-aiohttp does that nobody acknowledged what was sent."""

        sent = 0

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            self.sent += 1
            system = TimeoutError(errno.ETIMEDOUT, "Connection timed out")
            theirs = aiohttp.ClientOSError(*system.args)
            theirs.__cause__ = system
            raise httpx.ConnectTimeout(str(theirs)) from theirs

    transport = Lost()
    async with AsyncClient(KEY, base_url=BASE_URL, retry=at_once(3), transport=transport) as client:
        with pytest.raises(OutcomeUnknownError):
            await client.leads.create(name="Ana", pipeline_id=1, stage_id=4)
        assert transport.sent == 1

"""Over a caller's transport that speaks HTTP/2, where one connection carries many calls."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from syncro_async import AsyncClient
from syncro_async.errors import NoAnswerError, OutcomeUnknownError, RequestTimeoutError
from tests.transport.certificate import server_side
from tests.transport.http2_server import Http2Server, Script, Stream
from tests.transport.scripted_app import KEY, at_once

LEAD = b'{"success": true, "lead": {"id": 7}}'


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    return server_side("good", tmp_path)


@asynccontextmanager
async def client_over(
    tls: ssl.SSLContext, folder: Path, *scripts: Script, **options: Any
) -> AsyncIterator[tuple[AsyncClient, Http2Server]]:
    trust = ssl.create_default_context(cafile=folder / "certificate.pem")
    async with Http2Server(tls, *scripts) as server:
        transport = httpx.AsyncHTTPTransport(verify=trust, http2=True)
        async with AsyncClient(
            KEY, base_url=server.url, transport=transport, retry=at_once(1), **options
        ) as client:
            yield client, server


async def answers(stream: Stream) -> None:
    await stream.answer(LEAD)


async def test_a_second_call_goes_over_a_connection_on_which_there_is_something_to_read(
    tls: ssl.SSLContext, tmp_path: Path
) -> None:
    async def answers_and_pings(stream: Stream) -> None:
        await stream.answer(LEAD)
        await stream.ping()
        pinged.set()

    pinged = asyncio.Event()
    async with client_over(tls, tmp_path, answers_and_pings) as (client, server):
        for _ in range(3):
            assert (await client.leads.get(7)).id == 7
            await pinged.wait()
            pinged.clear()
        assert (server.connections, server.requests) == (1, 3)


async def test_a_call_is_not_held_up_while_a_long_answer_streams(
    tls: ssl.SSLContext, tmp_path: Path
) -> None:
    async def streams(stream: Stream) -> None:
        await stream.begin(LEAD[:10])
        begun.set()
        while not answered.is_set():
            await stream.send(b" ")
            await asyncio.sleep(0)
        await stream.send(LEAD[10:], last=True)

    begun, answered = asyncio.Event(), asyncio.Event()
    async with client_over(tls, tmp_path, streams, answers) as (client, server):
        long = asyncio.ensure_future(client.leads.get(7))
        await begun.wait()
        created = await client.leads.create(name="Ana", pipeline_id=1, stage_id=2)
        assert created.id == 7
        assert not long.done()
        answered.set()
        assert (await long).id == 7
        assert (server.connections, server.requests) == (1, 2)


@pytest.mark.parametrize("begin", [False, True])
async def test_a_call_without_an_answer_ends_in_time_and_leaves_the_others_alone(
    begin: bool,  # noqa: FBT001
    tls: ssl.SSLContext,
    tmp_path: Path,
) -> None:
    async def is_silent(stream: Stream) -> None:
        if begin:
            await stream.begin(b"{")

    async with client_over(tls, tmp_path, is_silent, answers, timeout=0.3) as (client, server):
        silent = asyncio.ensure_future(client.leads.get(7))
        await asyncio.sleep(0)
        with pytest.raises(RequestTimeoutError, match=r"no whole answer within 0\.3 s"):
            await silent
        assert (await client.leads.get(7)).id == 7
        assert (server.connections, server.requests) == (1, 2)


async def test_an_end_of_the_connection_is_an_unknown_outcome_for_a_write(
    tls: ssl.SSLContext, tmp_path: Path
) -> None:
    async def ends(stream: Stream) -> None:
        stream._writer.transport.abort()

    async with client_over(tls, tmp_path, answers, ends) as (client, server):
        await client.leads.get(7)
        with pytest.raises(OutcomeUnknownError) as caught:
            await client.leads.create(name="Ana", pipeline_id=1, stage_id=2)
        assert isinstance(caught.value.__cause__, NoAnswerError)
        assert server.requests == 2

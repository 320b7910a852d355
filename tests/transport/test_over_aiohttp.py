"""Over httpx-aiohttp, which names its errors otherwise and says nothing on the way."""

from __future__ import annotations

import asyncio
import errno
import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx
import httpx_aiohttp.httpx2
import pytest
from httpx_aiohttp import AiohttpTransport

from syncro_async import AsyncClient, RateLimit
from syncro_async.clock import SystemClock
from syncro_async.errors import (
    ConnectionFailedError,
    NoAnswerError,
    OutcomeUnknownError,
    RequestTimeoutError,
)
from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.limiting.protocol import Limiter, Slot
from syncro_async.transport.http_errors import iter_causes
from tests.transport.programs import LEAD, answers_everything
from tests.transport.scripted_app import BASE_URL, KEY, at_once
from tests.transport.scripted_server import Connection, Script, ScriptedServer, answers, drops, http

HALF = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"lead"'


async def silent(connection: Connection) -> None:
    """Take a request, and never answer it."""
    await connection.request()
    await connection.gone()


@asynccontextmanager
async def client_of(
    url: str,
    seconds: float = 30.0,
    *,
    attempts: int = 3,
    transport: Any = None,
    limiter: Limiter | None = None,
) -> AsyncIterator[AsyncClient]:
    transport = transport or AiohttpTransport()
    async with AsyncClient(
        KEY,
        base_url=url,
        retry=at_once(attempts),
        transport=transport,
        timeout=seconds,
        limiter=limiter,
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


@pytest.mark.parametrize("session", [None, {}, {"raise_for_status": True}])
@pytest.mark.parametrize(
    "answer",
    [b"BLAH\r\n\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nno header\r\n\r\n", HALF],
)
async def test_what_is_no_http_is_an_unknown_outcome_whose_cause_has_a_text_and_no_key(
    answer: bytes, session: dict[str, Any] | None
) -> None:
    theirs = None if session is None else aiohttp.ClientSession(**session)
    transport = AiohttpTransport(client=theirs)
    async with (
        ScriptedServer(drops(answer)) as server,
        client_of(server.url, transport=transport) as client,
    ):
        with pytest.raises(OutcomeUnknownError) as caught:
            await client.leads.create(name="Ana", pipeline_id=1, stage_id=4)
        assert len(server.requests) == 1
    for link in iter_causes(caught.value):
        assert str(link)
        assert KEY not in f"{link} {link!r} {vars(link)}"
        assert "x-api-key" not in repr(link) or "***" in repr(link)


async def test_a_status_that_a_session_raises_shows_no_key() -> None:
    transport = AiohttpTransport(client=aiohttp.ClientSession(raise_for_status=True))
    refuses = answers(http(b"{}", "500 No"))
    async with (
        ScriptedServer(refuses) as server,
        client_of(server.url, transport=transport, attempts=1) as client,
    ):
        with pytest.raises(NoAnswerError, match="message='No'") as caught:
            await client.leads.get(7)
        (told,) = [link for link in iter_causes(caught.value) if hasattr(link, "request_info")]
        assert told.request_info.headers["x-api-key"] == "***"


async def test_a_read_is_tried_again_and_each_try_of_ours_is_counted() -> None:
    async with ScriptedServer(drops(reset=False)) as server, client_of(server.url) as client:
        with pytest.raises(NoAnswerError) as caught:
            await client.leads.get(7)
        assert type(caught.value) is NoAnswerError
        assert client.budget().used == 3
        # aiohttp is kept from sending each of them once more by itself.
        assert len(server.requests) == 3


async def test_what_was_sent_is_counted_also_where_aiohttp_cannot_connect_again() -> None:
    async def once(connection: Connection) -> None:
        await connection.request()
        server._server.close()
        connection.reset()

    async with ScriptedServer(once) as server, client_of(server.url, attempts=1) as client:
        with pytest.raises(NoAnswerError) as caught:
            await client.leads.get(7)
        assert not isinstance(caught.value, ConnectionFailedError)
        assert client.budget().used == 1


async def test_where_no_connection_is_made_nothing_was_sent() -> None:
    async with ScriptedServer(answers_everything) as server:
        url = server.url
    async with client_of(url) as client:
        with pytest.raises(ConnectionFailedError):
            await client.leads.create(name="Ana", pipeline_id=1, stage_id=4)
        assert client.budget().used == 0


async def test_an_answer_that_does_not_come_in_time_is_a_timeout() -> None:
    async with ScriptedServer(silent) as server, client_of(server.url, seconds=0.2) as client:
        with pytest.raises(RequestTimeoutError, match=r"no whole answer within 0\.2 s"):
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


OTHER = http(b'{"success": true, "lead": {"id": 666}}')


def talks_on(stray: bytes, read: asyncio.Event, said: asyncio.Event) -> Script:
    """Answers, says something that nobody asked for, and goes on to answer."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(LEAD)
        await read.wait()
        await connection.send(stray)
        said.set()
        await answers_everything(connection)

    return script


@pytest.mark.parametrize("turns", [0, 5], ids=["in the socket", "read by the event loop"])
@pytest.mark.parametrize("stray", [OTHER, OTHER[:-2]], ids=["whole", "nearly whole"])
async def test_what_comes_while_nobody_asks_is_not_the_next_answer(
    stray: bytes, turns: int
) -> None:
    read, said = asyncio.Event(), asyncio.Event()
    async with ScriptedServer(talks_on(stray, read, said), answers_everything) as server:
        async with client_of(server.url) as client:
            await client.leads.get(7)
            read.set()
            await said.wait()
            for _ in range(turns):
                await asyncio.sleep(0)
            assert (await client.leads.get(7)).id == 7
            assert (await client.leads.get(7)).id == 7
        assert (server.connections, len(server.requests)) == (2, 3)


async def test_the_beginning_of_an_answer_is_not_taken_for_one_either() -> None:
    read, said = asyncio.Event(), asyncio.Event()
    async with (
        ScriptedServer(talks_on(OTHER[:20], read, said), answers_everything) as server,
        client_of(server.url) as client,
    ):
        await client.leads.get(7)
        read.set()
        await said.wait()
        assert (await client.leads.get(7)).id == 7


@pytest.mark.parametrize("more", [OTHER, OTHER[:-2]])
async def test_nor_is_what_comes_with_the_answer_before(more: bytes) -> None:
    async with ScriptedServer(answers(LEAD + more, OTHER), answers(LEAD)) as server:
        async with client_of(server.url) as client:
            await client.leads.get(7)
            assert (await client.leads.get(7)).id == 7
        assert server.connections == 2


async def test_the_private_parts_that_are_read_are_there() -> None:
    transport = AiohttpTransport()
    async with (
        ScriptedServer(answers_everything) as server,
        client_of(server.url, transport=transport) as client,
    ):
        await client.leads.get(7)
        assert isinstance(transport.client, aiohttp.ClientSession)
        connector: Any = transport.client.connector
        (kept,) = connector._conns.values()
        assert kept[0][0].should_close is False


async def test_a_quiet_connection_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "poll")  # as on Windows
    async with ScriptedServer(answers_everything) as server:
        async with client_of(server.url) as client:
            for _ in range(3):
                await client.leads.get(7)
        assert (server.connections, len(server.requests)) == (1, 3)


async def test_no_cookie_is_kept_but_by_a_session_of_the_caller_s() -> None:
    sets = http(headers=("Set-Cookie: session=1; Path=/",))
    for theirs in (None, aiohttp.ClientSession):
        async with ScriptedServer(answers(sets, sets)) as server:
            url = server.url.replace("127.0.0.1", "localhost")  # addresses have no cookies
            transport = AiohttpTransport(client=theirs)
            async with client_of(url, transport=transport) as client:
                await client.request("GET", "/leads")
                await client.request("GET", "/leads")
            assert [b"session=1" in raw for raw in server.requests] == [False, theirs is not None]


async def test_a_session_of_the_caller_s_may_have_other_users() -> None:
    async with (
        ScriptedServer(answers_everything) as server,
        aiohttp.ClientSession() as session,
        client_of(server.url, transport=AiohttpTransport(client=session)) as client,
    ):
        for place in (server.url, server.url.replace("127.0.0.1", "localhost")):
            assert (await client.leads.get(7)).id == 7
            async with session.get(place) as answer:
                assert answer.status == 200
        assert len(session.trace_configs) == 1


async def test_a_slot_that_expires_while_it_connects_sends_nothing() -> None:
    class Expires(InProcessLimiter):
        checks = 0

        def is_valid(self, slot: Slot) -> bool:
            self.checks += 1
            return self.checks != 2  # asked before the connection, and behind it

    limiter = Expires([RateLimit(60, 60.0)], SystemClock())
    async with ScriptedServer(answers_everything) as server:
        async with client_of(server.url, limiter=limiter) as client:
            assert (await client.leads.get(7)).id == 7
        assert len(server.requests) == 1
    assert (limiter.checks, limiter.budget().used) == (4, 1)


async def test_over_aiohttp_with_httpx2() -> None:
    transport = httpx_aiohttp.httpx2.AiohttpTransport()
    async with ScriptedServer(drops(reset=False)) as server:
        async with client_of(server.url, transport=transport) as client:
            with pytest.raises(OutcomeUnknownError):
                await client.leads.create(name="Ana", pipeline_id=1, stage_id=4)
        assert len(server.requests) == 1


class Wrapper(httpx.AsyncBaseTransport):
    """Hides which transport it is over."""

    def __init__(self) -> None:
        self.inner: httpx.AsyncBaseTransport = AiohttpTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self.inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self.inner.aclose()


class TestBehindAWrapper:
    async def test_a_write_is_not_sent_where_no_connection_is_made(self) -> None:
        async with ScriptedServer(answers_everything) as server:
            url = server.url
        async with client_of(url, transport=Wrapper()) as client:
            with pytest.raises(ConnectionFailedError):
                await client.leads.create(name="Ana", pipeline_id=1, stage_id=4)
            assert client.budget().used == 0

    async def test_a_read_may_have_been_sent_before_by_aiohttp_itself(self) -> None:
        async with ScriptedServer(answers_everything) as server:
            url = server.url
        async with client_of(url, transport=Wrapper()) as client:
            with pytest.raises(NoAnswerError):
                await client.leads.get(7)
            assert client.budget().used == 3

    @pytest.mark.parametrize("script", [drops(reset=False), drops(), drops(HALF)])
    async def test_a_connection_that_broke_proves_nothing(self, script: Script) -> None:
        async with ScriptedServer(script) as server:
            async with client_of(server.url, transport=Wrapper()) as client:
                with pytest.raises(OutcomeUnknownError):
                    await client.leads.create(name="Ana", pipeline_id=1, stage_id=4)
                assert client.budget().used == 1
            assert len(server.requests) == 1


class ClientConnectorError(Exception):
    """Has the name of an exception of aiohttp's, and is none."""


@pytest.mark.parametrize(
    ("cause", "is_proof"),
    [
        (None, True),
        (TimeoutError(), True),
        (TimeoutError(errno.ETIMEDOUT, "timed out"), False),
        (ClientConnectorError(), False),
        (aiohttp.ServerDisconnectedError(), False),
        (aiohttp.SocketTimeoutError(), False),
        (aiohttp.ClientOSError(errno.ECONNRESET, "reset"), False),
        (aiohttp.ConnectionTimeoutError(), True),
        (aiohttp.ServerFingerprintMismatch(b"a", b"b", "host", 443), True),
    ],
)
async def test_what_led_to_it_decides_whether_a_write_was_sent(
    cause: BaseException | None,
    is_proof: bool,  # noqa: FBT001
) -> None:
    class Failing(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectTimeout("no") from cause

    async with client_of(BASE_URL, transport=Failing(), attempts=1) as client:
        before = client.budget().used
        expected = ConnectionFailedError if is_proof else OutcomeUnknownError
        with pytest.raises(expected):
            await client.leads.create(name="Ana", pipeline_id=1, stage_id=4)
        assert client.budget().used - before == (0 if is_proof else 1)

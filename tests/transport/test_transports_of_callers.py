"""Transports that callers give: each call ends in time, and what is no transport is refused."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest

from syncro_async import AsyncClient
from syncro_async.errors import (
    ConfigurationError,
    NoAnswerError,
    OutcomeUnknownError,
    RequestTimeoutError,
)
from syncro_async.testing import FakeClock
from syncro_async.transport.http_engine import in_process_transport
from syncro_async.transport.http_errors import iter_causes
from tests.transport.scripted_app import BASE_URL, KEY, at_once
from tests.transport.scripted_server import Connection, ScriptedServer, http

LEAD = b'{"success": true, "lead": {"id": 7}}'


class Stubborn(httpx.AsyncBaseTransport):
    """Does not end when it is cancelled, until the test is over."""

    def __init__(self, over: asyncio.Event) -> None:
        self.over = over

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        while not self.over.is_set():
            try:
                await self.over.wait()
            except asyncio.CancelledError:
                continue
        raise httpx.ReadError("late")


class HangingStream(httpx.AsyncByteStream):
    """A body whose reading and closing never end."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async def aclose(self) -> None:
        await asyncio.Event().wait()


class Hanging(httpx.AsyncBaseTransport):
    """Answers with a body that does not end, and does not close either."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=HangingStream())

    async def aclose(self) -> None:
        await asyncio.Event().wait()


def client_over(transport: Any, **options: Any) -> AsyncClient:
    options = {"retry": at_once(1), "clock": FakeClock(), **options}
    return AsyncClient(KEY, base_url=BASE_URL, transport=transport, **options)


async def test_a_transport_that_does_not_end_is_left_behind() -> None:
    over = asyncio.Event()
    clock = FakeClock()
    async with client_over(Stubborn(over), clock=clock, timeout=12.0) as client:
        begun = clock.monotonic()
        with pytest.raises(RequestTimeoutError, match="no whole answer within 12 s"):
            await client.leads.get(7)
        with pytest.raises(OutcomeUnknownError):
            await client.leads.create(name="Ana", pipeline_id=1, stage_id=2)
        assert clock.monotonic() - begun == pytest.approx(24.5)
        assert client.budget().used == 2
        over.set()
        await asyncio.sleep(0.01)  # what it raises in the end is nobody's


async def test_nor_does_one_that_hangs_while_it_cleans_up() -> None:
    clock = FakeClock()
    begun = clock.monotonic()
    async with client_over(Hanging(), clock=clock, timeout=12.0) as client:
        with pytest.raises(RequestTimeoutError):
            await client.leads.get(7)
    # Closing it is given up after five seconds.
    assert clock.monotonic() - begun < 18.0


async def test_nor_an_application_that_catches_a_cancellation() -> None:
    async def catches_one(scope: Any, receive: Any, send: Any) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    clock = FakeClock()
    begun = clock.monotonic()
    async with client_over(in_process_transport(catches_one), clock=clock, timeout=12.0) as client:
        with pytest.raises(RequestTimeoutError):
            await client.leads.get(7)
    assert clock.monotonic() - begun == pytest.approx(12.25)


async def test_in_real_time_too() -> None:
    over = asyncio.Event()
    begun = time.monotonic()
    async with AsyncClient(
        KEY, base_url=BASE_URL, transport=Stubborn(over), retry=at_once(1), timeout=0.05
    ) as client:
        with pytest.raises(RequestTimeoutError):
            await client.leads.get(7)
        assert time.monotonic() - begun < 2.0
        over.set()


async def test_closing_the_client_leaves_it_behind_as_well() -> None:
    over = asyncio.Event()
    clock = FakeClock()
    client = client_over(Stubborn(over), clock=clock, timeout=1000.0)
    call = asyncio.ensure_future(client.leads.get(7))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await client.aclose()
    with pytest.raises(NoAnswerError, match="the client was closed before the answer came"):
        await call
    over.set()


async def test_a_cancellation_of_the_transport_s_own_is_no_cancellation_of_the_caller() -> None:
    class Cancelling(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise asyncio.CancelledError

    async with client_over(Cancelling()) as client:
        with pytest.raises(NoAnswerError, match="the transport cancelled the request"):
            await client.leads.get(7)
        assert client.budget().used == 1


class _WithoutATextError(Exception):
    def __str__(self) -> str:
        raise AttributeError("no text")


class _Raising(httpx.AsyncBaseTransport):
    """Raises what a wrapper may: the status of the answer, or an error that holds the request."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.kind == "without a text":
            raise _WithoutATextError
        if self.kind == "with the request":
            raise OSError("lost", {"Asked": [request], "X-API-Key": request.headers["x-api-key"]})
        if self.kind == "with the request as its object":
            request.no_such_thing  # type: ignore[attr-defined]  # noqa: B018
        return httpx.Response(500, request=request).raise_for_status()


@pytest.mark.parametrize(
    "kind",
    ["status", "without a text", "with the request", "with the request as its object"],
)
async def test_whatever_a_transport_raises_is_an_error_of_ours_without_the_key(kind: str) -> None:
    async with client_over(_Raising(kind)) as client:
        with pytest.raises(OutcomeUnknownError) as caught:
            await client.leads.create(name="Ana", pipeline_id=1, stage_id=4)
    for link in iter_causes(caught.value):
        assert KEY not in f"{vars(link)} {link.args}"
        if not isinstance(link, _WithoutATextError):
            assert KEY not in str(link)
        held = (getattr(link, name, None) for name in ("response", "_request", "obj"))
        assert not any(part and "x-api-key" in part.headers for part in held)


class Plain:
    """Has the right methods, and is of no library."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=LEAD)

    async def aclose(self) -> None:
        pass


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Is an ASGI application."""


NO_TRANSPORTS: dict[str, tuple[Callable[[], object], str]] = {
    "plain object": (Plain, r"Plain is no transport .* httpx\.AsyncBaseTransport"),
    "text": (lambda: "http://proxy", r"transport=builtins\.str is no transport"),
    "class": (lambda: httpx.AsyncHTTPTransport, "is a class; give an instance"),
    "synchronous": (httpx.HTTPTransport, "is a synchronous transport; give the async one"),
    "synchronous, of httpx2": (httpx2.HTTPTransport, "is a synchronous transport"),
    "client": (httpx.AsyncClient, "is a client; give a transport"),
    "client of httpx2": (httpx2.Client, "is a client; give a transport"),
    "application": (lambda: application, r"give httpx\.ASGITransport\(app="),
}


@pytest.mark.parametrize("name", NO_TRANSPORTS)
def test_what_is_no_transport_is_refused_when_the_client_is_made(name: str) -> None:
    make, why = NO_TRANSPORTS[name]
    given: Any = make()
    with pytest.raises(ConfigurationError, match=why):
        AsyncClient(KEY, base_url=BASE_URL, transport=given)


async def test_a_session_of_aiohttp_is_refused_with_the_way_to_use_it() -> None:
    async with aiohttp.ClientSession() as session:
        given: Any = session
        with pytest.raises(ConfigurationError, match=r"httpx_aiohttp\.AiohttpTransport\(client="):
            AsyncClient(KEY, base_url=BASE_URL, transport=given)


async def test_a_transport_of_httpx2_works() -> None:
    async def answer(connection: Connection) -> None:
        await connection.request()
        await connection.send(http(LEAD))

    transport: Any = httpx2.AsyncHTTPTransport()
    async with (
        ScriptedServer(answer) as server,
        AsyncClient(KEY, base_url=server.url, transport=transport) as client,
    ):
        assert (await client.leads.get(7)).id == 7


async def read_all(connection: socket.socket) -> None:
    """Read to the end, which is the end of the request."""
    while await asyncio.get_running_loop().sock_recv(connection, 65536):
        pass


async def test_a_request_whose_time_is_over_is_not_sent_later() -> None:
    """What waits in the buffers of this machine is dropped, and the connection is reset."""
    loop = asyncio.get_running_loop()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)  # noqa: FBT003
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/unsent"
        async with AsyncClient(KEY, base_url=url, retry=at_once(1), timeout=0.1) as client:
            body = "x" * 6_000_000
            call = asyncio.ensure_future(client.request("POST", "/notes", json=body))
            connection, _ = await loop.sock_accept(listener)
            with pytest.raises(OutcomeUnknownError):
                await call
        with connection, pytest.raises(ConnectionResetError):
            await read_all(connection)

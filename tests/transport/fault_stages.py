"""Where a fault is staged: a socket that misbehaves, a sandbox in trouble, a network gone."""

from __future__ import annotations

import asyncio
import itertools
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from syncro_async.sandbox import FULL_KEY, Sandbox, Trouble
from syncro_async.testing.fake_clock import FakeClock
from syncro_async.transport.http_engine import in_process_transport
from tests.transport.certificate import pem, server_side
from tests.transport.scripted_app import BASE_URL, KEY
from tests.transport.scripted_server import Connection, Script, ScriptedServer, answers, http

# An answer that every call of the matrix can read.
WELL = http(b'{"success": true, "created": true, "lead": {"id": 7}}')
TIMEOUT = 30.0


@dataclass
class Place:
    """A server of some kind, ready for a client.

    `asked()` counts the whole requests that reached it, `created()` the leads they made there;
    `left()` waits until no connection is open any more.
    """

    base_url: str
    asked: Callable[[], int]
    clock: FakeClock
    key: str = KEY
    options: dict[str, Any] = field(default_factory=dict)
    created: Callable[[], int] = lambda: 0
    left: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0)


# Stages the fault for the first attempt, or for good.
Stage = Callable[[bool], AbstractAsyncContextManager[Place]]
Meanwhile = Callable[[ScriptedServer, FakeClock], Awaitable[None]]


async def outlast(server: ScriptedServer, clock: FakeClock) -> None:
    """Let the time of every attempt run out, once its request has arrived."""
    for number in itertools.count(1):
        await server.arrived(number)
        await clock.advance(TIMEOUT)


async def _left(server: ScriptedServer) -> None:
    if server.connections:
        await server.closed()


def socket(
    script: Script,
    *,
    meanwhile: Meanwhile | None = None,
    trusted: str = "",
    served: str = "",
    demands: bool = False,
) -> Stage:
    """A server that answers by script, on a clock that stands still.

    `served` names the certificate it has, `trusted` the one the client trusts. With `demands` the
    server refuses a client without a certificate.
    """

    @asynccontextmanager
    async def stage(persists: bool) -> AsyncIterator[Place]:  # noqa: FBT001
        clock = FakeClock(start=1000.0, autojump=False)
        with TemporaryDirectory() as name, patch.dict(os.environ):
            folder = Path(name)
            if trusted:
                os.environ["SSL_CERT_FILE"] = str(pem(trusted, folder))
            scripts = (script,) if persists else (script, answers(WELL))
            tls = server_side(served, folder) if served else None
            if demands and tls is not None:
                scripts, tls = (_refuses_handshake(tls),), None
            async with ScriptedServer(*scripts, tls=tls) as server:
                url = server.url.replace("127.0.0.1", "localhost") if served else server.url
                if demands:
                    url = url.replace("http:", "https:")
                if meanwhile is not None:
                    task = asyncio.ensure_future(meanwhile(server, clock))
                yield Place(url, lambda: len(server.requests), clock, left=lambda: _left(server))
                if meanwhile is not None:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task

    return stage


def _refuses_handshake(tls: ssl.SSLContext) -> Script:
    """A server that demands a certificate of the client, and sends the alert that it has none.

    Not asyncio's own TLS, which closes the connection without the alert.
    """
    tls.verify_mode = ssl.CERT_REQUIRED

    async def script(connection: Connection) -> None:
        received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        side = tls.wrap_bio(received, to_send, server_side=True)
        while True:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                await connection.send(to_send.read())
                received.write(await connection.read())
            except ssl.SSLError:
                break
        await connection.send(to_send.read())
        await connection.gone()

    return script


def no_tls(script: Script, **options: Any) -> Stage:
    """A server that is asked for TLS and does something else. It never comes to its senses."""

    @asynccontextmanager
    async def stage(_: bool) -> AsyncIterator[Place]:  # noqa: FBT001
        clock = FakeClock(start=1000.0, autojump=False)
        async with ScriptedServer(script) as server:
            url = server.url.replace("http:", "https:")
            yield Place(
                url,
                lambda: len(server.requests),
                clock,
                options=options,
                left=lambda: _left(server),
            )

    return stage


def network(step: str, fault: Callable[[], Awaitable[Any]]) -> Stage:
    """A step of connecting that the operating system fails at, before any server is reached."""

    @asynccontextmanager
    async def stage(persists: bool) -> AsyncIterator[Place]:  # noqa: FBT001
        clock = FakeClock(start=1000.0, autojump=False)
        loop = asyncio.get_running_loop()
        usual = getattr(loop, step)
        tried = 0

        async def fails(*args: Any, **kwargs: Any) -> Any:
            nonlocal tried
            tried += 1
            if persists or tried == 1:
                return await fault()
            return await usual(*args, **kwargs)

        async with ScriptedServer(answers(WELL)) as server:
            with patch.object(loop, step, fails):
                host = "localhost" if step == "getaddrinfo" else "127.0.0.1"
                yield Place(
                    server.url.replace("127.0.0.1", host),
                    lambda: len(server.requests),
                    clock,
                    left=lambda: _left(server),
                )

    return stage


def proxy(script: Script) -> Stage:
    """A proxy in front of a server that is in order; a second connection goes through it."""

    @asynccontextmanager
    async def stage(persists: bool) -> AsyncIterator[Place]:  # noqa: FBT001
        clock = FakeClock(start=1000.0, autojump=False)
        with TemporaryDirectory() as name, patch.dict(os.environ):
            folder = Path(name)
            async with ScriptedServer(answers(WELL), tls=server_side("good", folder)) as server:
                scripts = (script,) if persists else (script, tunnel_to(server.port))
                async with ScriptedServer(*scripts) as between:
                    for variable in ("NO_PROXY", "no_proxy", "https_proxy", "ALL_PROXY"):
                        os.environ.pop(variable, None)
                    os.environ["HTTPS_PROXY"] = f"http://127.0.0.1:{between.port}"
                    os.environ["SSL_CERT_FILE"] = str(pem("good", folder))

                    async def left() -> None:
                        await between.closed()
                        await _left(server)
                        # Whatever became of the call: the proxy has not read the key.
                        assert KEY.encode() not in b"".join(between.requests)
                        assert between.requests

                    yield Place(
                        server.url.replace("127.0.0.1", "localhost"),
                        lambda: len(server.requests),
                        clock,
                        left=left,
                    )

    return stage


def tunnel_to(port: int) -> Script:
    """What a proxy does that works: it noted the CONNECT, and passes on what follows."""

    async def script(connection: Connection) -> None:
        await connection.request()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await connection.pass_on(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    return script


def sandbox(trouble: Trouble) -> Stage:
    """The emulated API, in this process and in virtual time, with that trouble."""

    @asynccontextmanager
    async def stage(persists: bool) -> AsyncIterator[Place]:  # noqa: FBT001
        clock = FakeClock()
        server = Sandbox(10, clock=clock)
        server.script(replace(trouble, times=400) if persists else trouble)
        yield Place(
            BASE_URL,
            lambda: len(server.arrivals),
            clock,
            key=FULL_KEY,
            options={"transport": in_process_transport(server.app)},
            created=lambda: len(server.leads) - 10,
        )

    return stage

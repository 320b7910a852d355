"""A server that closes a kept connection in the very moment a write is about to go on it."""

from __future__ import annotations

import asyncio
import re
import select
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from syncro_async import AsyncClient, RetryPolicy
from syncro_async.errors import OutcomeUnknownError, UnexpectedResponseError
from tests.transport.certificate import pem, server_side
from tests.transport.pipelines import pipeline_of
from tests.transport.scripted_app import KEY, Answer, App
from tests.transport.scripted_app import client_of as client_of_app
from tests.transport.scripted_server import Connection, ScriptedServer, answers, http
from tests.transport.test_broken_connections import client_of, still

# Over httpx and over httpx2.
pytestmark = pytest.mark.usefixtures("engine")

LEAD = http(b'{"success": true, "lead": {"id": 7}}')
CREATED = http(b'{"success": true, "lead": {"id": 8}}')
# A call looks at its connection and writes on it within the first few turns of the event loop.
TURNS = 12


@dataclass
class Gap:
    """A server that answers once and then closes the connection, so many turns into a call."""

    turns: int
    reset: bool
    requests: list[bytes] = field(default_factory=list)
    written: list[bytes] = field(default_factory=list)
    written_before: bool | None = None

    async def serve(self, listener: socket.socket) -> None:
        """Keep the first connection; answer a second one like any server."""
        self.kept = await self.answer(listener, LEAD)
        (await self.answer(listener, CREATED)).close()

    async def answer(self, listener: socket.socket, answer: bytes) -> socket.socket:
        loop = asyncio.get_running_loop()
        connection, _ = await loop.sock_accept(listener)
        raw = await loop.sock_recv(connection, 65536)
        while not re.search(rb"\r\n\r\n($|\{.*\}$)", raw):
            raw += await loop.sock_recv(connection, 65536)
        self.requests.append(raw)
        await loop.sock_sendall(connection, answer)
        return connection

    def watch(self, stream: Any) -> None:
        """Note what the client writes on the kept connection from now on."""
        self.client_side = stream.get_extra_info("socket")
        write = stream.write

        async def noted(content: bytes, **limits: Any) -> None:
            self.written.append(content)
            await write(content, **limits)

        stream.write = noted

    def begin(self, turns: int) -> None:
        """Close when the turns are over; the client's side can see it before the next turn."""
        if turns:
            asyncio.get_running_loop().call_soon(self.begin, turns - 1)
            return
        self.written_before = bool(self.written)
        if self.reset:
            linger = struct.pack("ii", 1, 0)
            self.kept.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.kept.close()
        readable, _, _ = select.select([self.client_side], [], [], 5.0)
        assert readable


def the_stream(client: AsyncClient) -> Any:
    """The stream of the one connection that the client keeps."""
    (stream,) = pipeline_of(client)._stages._pool._sockets._streams
    return stream


@asynccontextmanager
async def closing_in(gap: Gap) -> AsyncIterator[AsyncClient]:
    """A client whose one kept connection is closed so many turns from now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)  # noqa: FBT003
        port = listener.getsockname()[1]
        serving = asyncio.ensure_future(gap.serve(listener))
        url = f"http://127.0.0.1:{port}/{id(gap)}"  # a port may come again, and its budget with it
        async with AsyncClient(KEY, base_url=url, clock=still()) as client:
            await client.leads.get(7)
            gap.watch(the_stream(client))
            gap.begin(gap.turns)
            yield client
        serving.cancel()
        await asyncio.wait([serving])


@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
async def test_closed_before_the_first_byte_it_never_makes_a_write_s_outcome_unknown(
    reset: bool,  # noqa: FBT001
) -> None:
    in_time = late = 0
    for turns in range(TURNS):
        gap = Gap(turns, reset)
        async with closing_in(gap) as client:
            create = client.leads.create(name="Ana", pipeline_id=1, stage_id=2)
            (created,) = await asyncio.gather(create, return_exceptions=True)
        if gap.written_before:
            late += 1
            assert isinstance(created, OutcomeUnknownError)
            assert len(gap.requests) == 1
        else:
            in_time += 1
            assert getattr(created, "id", created) == 8
            assert [raw[:4] for raw in gap.requests] == [b"GET ", b"POST"]
            assert gap.written == []
    # The gap was tried from both of its sides.
    assert in_time >= 3
    assert late >= 3


@pytest.mark.parametrize("turns", [0, 1])
async def test_it_costs_neither_an_attempt_nor_a_slot(turns: int) -> None:
    async with closing_in(Gap(turns, reset=False)) as client:
        once = client.with_options(retry=RetryPolicy(attempts=1))
        assert (await once.leads.create(name="Ana", pipeline_id=1, stage_id=2)).id == 8
        assert client.budget().available == 58


OTHER = http(b'{"success": true, "lead": {"id": 666}}')
SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + b'{"success": true}   ' + OTHER
READ = 65536  # what httpcore takes of what was read
WHOLE_READ = http(b"{}".ljust(READ - len(http(b" " * 10_000)) + 10_000))
assert len(WHOLE_READ) == READ
LEFTOVERS = {
    "another answer behind what httpcore takes at once": WHOLE_READ + OTHER,
    "another answer": LEAD + OTHER,
    "half of another answer": LEAD + OTHER[:30],
    "a body longer than its length": SHORT,
    "204 with a body": b"HTTP/1.1 204 No Content\r\n\r\n" + OTHER,
    "304 with a body": b"HTTP/1.1 304 Not Modified\r\n\r\n" + OTHER,
    "bytes behind an error": http(b"{}", "422 No") + OTHER,
    "bytes behind the last chunk": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + OTHER
    ),
}


@pytest.mark.parametrize("name", LEFTOVERS)
async def test_what_is_left_over_from_one_answer_is_not_the_next_one(name: str) -> None:
    async with (
        ScriptedServer(answers(LEFTOVERS[name], OTHER), answers(LEAD)) as server,
        client_of(server) as client,
    ):
        await asyncio.gather(client.leads.delete(7), return_exceptions=True)
        assert (await client.leads.get(7)).id == 7
        assert (server.connections, len(server.requests)) == (2, 2)


@pytest.mark.parametrize(
    "chosen", [{}, {"transport": httpx.AsyncHTTPTransport}], ids=["", "theirs"]
)
async def test_nor_is_what_comes_while_nobody_asks(chosen: dict[str, Any]) -> None:
    async def talks_on(connection: Connection) -> None:
        await connection.request()
        await connection.send(LEAD)
        await read.wait()
        await connection.send(OTHER)
        said.set()
        await connection.gone()

    read, said = asyncio.Event(), asyncio.Event()
    options = {name: make() for name, make in chosen.items()}
    async with (
        ScriptedServer(talks_on, answers(LEAD)) as server,
        client_of(server, **options) as client,
    ):
        await client.leads.get(7)
        stream = the_stream(client)
        read.set()
        await said.wait()
        readable, _, _ = select.select([stream.get_extra_info("socket")], [], [], 5.0)
        assert readable
        assert (await client.leads.get(7)).id == 7
        assert (server.connections, len(server.requests)) == (2, 2)


async def test_a_transport_that_reads_the_answer_first_works() -> None:
    class ReadsAll(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            response = await super().handle_async_request(request)
            await response.aread()
            return response

    async with (
        ScriptedServer(answers(LEAD, LEAD, http(b" " * (2**26 + 1)))) as server,
        client_of(server, transport=ReadsAll()) as client,
    ):
        assert [(await client.leads.get(7)).id for _ in range(2)] == [7, 7]
        assert (server.connections, len(server.requests)) == (1, 2)
        with pytest.raises(UnexpectedResponseError, match="larger than 64 MB"):
            await client.leads.get(7)


class TestOverTLS:
    @pytest.fixture(autouse=True)
    def _trust(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(pem("good", tmp_path)))

    async def test_what_the_protocol_itself_sends_does_not_look_like_an_end(
        self, tmp_path: Path
    ) -> None:
        tls = server_side("good", tmp_path)
        async with ScriptedServer(answers(LEAD, LEAD, CREATED), tls=tls) as server:
            async with client_of(server.url.replace("127.0.0.1", "localhost")) as client:
                await client.leads.get(7)
                await client.leads.get(7)
                await client.leads.create(name="Ana", pipeline_id=1, stage_id=2)
                assert client.budget().available == 57
            assert (server.connections, len(server.requests)) == (1, 3)

    @pytest.mark.parametrize("theirs", [False, True], ids=["", "theirs"])
    async def test_a_second_answer_in_a_record_of_its_own_is_not_the_next_one(
        self,
        tmp_path: Path,
        theirs: bool,  # noqa: FBT001
    ) -> None:
        async def says_two(connection: Connection) -> None:
            await connection.request()
            connection.write(LEAD, OTHER)
            await connection.gone()

        tls = server_side("good", tmp_path)
        trust = ssl.create_default_context(cafile=tmp_path / "certificate.pem")
        options: dict[str, Any] = (
            {"transport": httpx.AsyncHTTPTransport(verify=trust)} if theirs else {"tls": trust}
        )
        async with ScriptedServer(says_two, answers(LEAD), tls=tls) as server:
            async with client_of(server.url.replace("127.0.0.1", "localhost"), **options) as client:
                assert [(await client.leads.get(7)).id for _ in range(2)] == [7, 7]
            assert (server.connections, len(server.requests)) == (2, 2)

    async def test_an_end_is_seen(self, tmp_path: Path) -> None:
        async def once(connection: Connection) -> None:
            await connection.request()
            await connection.send(LEAD)
            await read.wait()
            connection.reset()

        read = asyncio.Event()
        tls = server_side("good", tmp_path)
        async with ScriptedServer(once, answers(CREATED), tls=tls) as server:
            async with client_of(server.url.replace("127.0.0.1", "localhost")) as client:
                await client.leads.get(7)
                read.set()
                await server.closed()
                await client.leads.create(name="Ana", pipeline_id=1, stage_id=2)
            assert (server.connections, len(server.requests)) == (2, 2)


async def test_no_cookie_is_kept_from_one_call_to_the_next() -> None:
    cookies = (("set-cookie", "session=1; path=/"), ("set-cookie", "bomb=" + "x" * 5000))
    app = App(Answer(body={"lead": {"id": 7}}, headers=cookies))
    async with client_of_app(app) as client:
        for _ in range(3):
            await client.leads.get(7)
    assert [asked.headers.get("cookie") for asked in app.asked] == [None] * 3

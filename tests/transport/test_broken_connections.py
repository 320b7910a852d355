"""Connections that fail, break or say too much, on real sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from syncro_async import AsyncClient
from syncro_async.clock import SystemClock
from syncro_async.errors import (
    ConfigurationError,
    ConnectionFailedError,
    NoAnswerError,
    NotFoundError,
    OutcomeUnknownError,
    RequestTimeoutError,
    ServerError,
    UnexpectedResponseError,
    UnprocessableError,
)
from syncro_async.events import RequestSent
from syncro_async.testing.fake_clock import FakeClock
from tests.transport.certificate import untrusted
from tests.transport.scripted_app import AFTER_ITS_ANSWER, AFTER_ITS_LOSS, KEY, ONE, App, at_once
from tests.transport.scripted_app import client_of as client_of_app
from tests.transport.scripted_server import Connection, ScriptedServer, answers, drops, http

# Over httpx and over httpx2.
pytestmark = pytest.mark.usefixtures("engine")

LEAD = http(b'{"success": true, "lead": {"id": 7}}')
HALF = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 36\r\n\r\n" + LEAD[-20:]
)
CHUNKED = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"suc\r\n'
BREAKS = {
    "reset before the status line": drops(),
    "end before the status line": drops(reset=False),
    "garbage for a status line": drops(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", reset=False),
    "headers of 200 kB": drops(b"HTTP/1.1 200 OK\r\nX-Much: " + b"x" * 200_000),
    "end in the headers": drops(b"HTTP/1.1 200 OK\r\nContent-Ty", reset=False),
}
TORN_BODIES = {
    "reset in the body": drops(HALF),
    "end in the body": drops(HALF, reset=False),
    "no last chunk": drops(CHUNKED, reset=False),
}


def still() -> FakeClock:
    """A clock that only moves when it is told to: what sockets do takes no time on it."""
    return FakeClock(start=1000.0, autojump=False)


@asynccontextmanager
async def client_of(server: ScriptedServer | str, **options: Any) -> AsyncIterator[AsyncClient]:
    base_url = server if isinstance(server, str) else server.url
    settings: dict[str, Any] = {"clock": still(), "retry": at_once(), **options}
    async with AsyncClient(KEY, base_url=base_url, **settings) as client:
        yield client


@pytest.fixture
def nobody() -> str:
    """A URL on this machine where nobody listens."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{place.getsockname()[1]}/api/v1"


class TestNoConnection:
    async def test_a_refused_connection_is_named_with_its_host_and_tried_again(
        self, nobody: str
    ) -> None:
        sent: list[object] = []
        async with client_of(nobody, observers=[sent.append]) as client:
            with pytest.raises(ConnectionFailedError, match=r"no connection to 127\.0\.0\.1:\d+"):
                await client.leads.create(name="Ana", pipeline_id=1, stage_id=2)
            assert client.budget().available == 60
        assert sum(isinstance(event, RequestSent) for event in sent) == 4

    async def test_a_thousand_failures_consume_no_budget(self) -> None:
        app = App(httpx.ConnectTimeout("no answer"))
        without_quota = replace(at_once(10), quota=None)
        async with client_of_app(app, rate_limit=ONE, retry=without_quota) as client:
            for _ in range(100):
                with pytest.raises(ConnectionFailedError) as caught:
                    await client.leads.get(7)
                assert not caught.value.permanent
            assert client.budget().available == 1
        assert len(app.asked) == 1000
        assert app.times[-1] == 0.0

    async def test_a_name_without_an_address_is_named(self) -> None:
        unknown = httpx.ConnectError("[Errno -2] Name or service not known")
        async with client_of_app(App(unknown), base_url="https://crm.invalid/v1") as client:
            with pytest.raises(ConnectionFailedError, match=r"crm\.invalid .*Name or service"):
                await client.leads.get(7)

    async def test_an_untrusted_certificate_is_final(self, tmp_path: Path) -> None:
        sent: list[object] = []
        async with ScriptedServer(answers(LEAD), tls=untrusted(tmp_path)) as server:
            url = server.url.replace("127.0.0.1", "localhost")
            async with client_of(url, observers=[sent.append]) as client:
                with pytest.raises(ConnectionFailedError, match="CERTIFICATE_VERIFY_FAILED") as it:
                    await client.leads.get(7)
                assert client.budget().available == 60
        assert it.value.permanent
        assert sum(isinstance(event, RequestSent) for event in sent) == 1
        assert server.requests == []

    async def test_a_handshake_that_breaks_off_is_tried_again_like_a_refusal(self) -> None:
        async def hangs_up(connection: Connection) -> None:
            await connection.hello()
            connection.reset()

        async with ScriptedServer(hangs_up) as server:
            url = server.url.replace("http:", "https:")
            async with client_of(url) as client:
                with pytest.raises(ConnectionFailedError) as caught:
                    await client.leads.create(name="Ana", pipeline_id=1, stage_id=2)
                assert client.budget().available == 60
        assert not caught.value.permanent
        assert server.connections == 4

    async def test_a_handshake_that_hangs_was_no_send_and_leaves_no_socket(self) -> None:
        async def hangs(connection: Connection) -> None:
            await connection.hello()
            await connection.gone()

        async with ScriptedServer(hangs) as server:
            url = server.url.replace("http:", "https:")
            options = {"clock": SystemClock(), "retry": at_once(1), "timeout": 0.2}
            async with client_of(url, **options) as client:
                with pytest.raises(ConnectionFailedError, match=r"no connection to 127\.0\.0\.1"):
                    await client.leads.create(name="Ana", pipeline_id=1, stage_id=2)
                assert client.budget().available == 60
                await server.closed()

    async def test_a_certificate_that_does_not_fit_the_host_is_seen_through_any_wrapping(
        self,
    ) -> None:
        mismatch = ssl.SSLCertVerificationError("Hostname mismatch")
        error = httpx.ConnectError("several addresses failed")
        error.__cause__ = ExceptionGroup("all of them", [OSError("refused"), mismatch])
        error.__cause__.__cause__ = error  # a circle must not hang the search
        app = App(error)
        async with client_of_app(app) as client:
            with pytest.raises(ConnectionFailedError) as caught:
                await client.leads.get(7)
        assert caught.value.permanent
        assert len(app.asked) == 1

    async def test_an_address_that_cannot_be_asked_is_final(self) -> None:
        app = App(httpx.UnsupportedProtocol("no such protocol"))
        async with client_of_app(app) as client:
            with pytest.raises(ConnectionFailedError, match="cannot be sent to localhost") as it:
                await client.leads.get(7)
        assert it.value.permanent
        assert len(app.asked) == 1


class TestProxies:
    @pytest.fixture(autouse=True)
    def _no_exceptions(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy", "https_proxy", "HTTP_PROXY"):
            monkeypatch.delenv(name, raising=False)

    async def test_a_proxy_that_wants_a_password_is_final_and_never_sees_the_key(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        no = http(b"", "407 Proxy Authentication Required")
        async with ScriptedServer(answers(no)) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
            async with client_of("https://crm.invalid/v1") as client:
                with pytest.raises(ConnectionFailedError, match=r"proxy refused.*407") as caught:
                    await client.leads.get(7)
                assert client.budget().available == 60
        assert caught.value.permanent
        (request,) = proxy.requests
        assert request.startswith(b"CONNECT crm.invalid:443 ")
        assert KEY.encode() not in request

    async def test_a_proxy_that_drops_the_connect_has_let_nothing_through(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with ScriptedServer(drops(reset=False)) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
            async with client_of("https://crm.invalid/v1") as client:
                with pytest.raises(ConnectionFailedError, match=r"nothing reached crm\.invalid"):
                    await client.leads.create(name="Ana", pipeline_id=1, stage_id=2)
                assert client.budget().available == 60
        assert len(proxy.requests) == 4

    async def test_a_proxy_variable_that_is_no_url_is_a_matter_of_configuration(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "gopher://proxy.invalid")
        async with client_of("https://crm.invalid/v1") as client:
            with pytest.raises(ConfigurationError, match=r"proxy.*variables"):
                await client.leads.get(7)
            assert client.budget().available == 60


class TestKeptConnections:
    async def test_a_connection_serves_one_request_after_the_other(self) -> None:
        async with ScriptedServer(answers(LEAD, LEAD)) as server, client_of(server) as client:
            await client.leads.get(7)
            await client.leads.get(7)
            assert (server.connections, len(server.requests)) == (1, 2)

    async def test_no_more_are_opened_than_allowed(self) -> None:
        async with (
            ScriptedServer(answers(*[LEAD] * 20)) as server,
            client_of(server, max_connections=3) as client,
        ):
            await asyncio.gather(*(client.leads.get(7) for _ in range(20)))
            assert (server.connections, server.most_open, len(server.requests)) == (3, 3, 20)

    async def test_a_write_goes_on_no_connection_that_the_server_has_closed(self) -> None:
        async def once(connection: Connection) -> None:
            await connection.request()
            await connection.send(LEAD)

        async with ScriptedServer(once) as server, client_of(server) as client:
            await client.leads.get(7)
            await server.closed()
            await client.leads.create(name="Ana", pipeline_id=1, stage_id=2)
            assert (server.connections, len(server.requests)) == (2, 2)

    async def test_a_kept_connection_closed_on_the_request_is_replaced_for_a_read(self) -> None:
        async def twice(connection: Connection) -> None:
            await connection.request()
            await connection.send(LEAD)
            await connection.request()

        async with ScriptedServer(twice, answers(LEAD)) as server, client_of(server) as client:
            await client.leads.get(7)
            assert (await client.leads.get(7)).id == 7
            assert (server.connections, len(server.requests)) == (2, 3)

    async def test_a_kept_connection_closed_on_a_write_leaves_its_outcome_unknown(self) -> None:
        async def twice(connection: Connection) -> None:
            await connection.request()
            await connection.send(LEAD)
            await connection.request()

        async with ScriptedServer(twice, answers(LEAD)) as server, client_of(server) as client:
            await client.leads.get(7)
            with pytest.raises(OutcomeUnknownError):
                await client.leads.send_whatsapp(7, body="Olá")
            assert (server.connections, len(server.requests)) == (1, 2)

    @pytest.mark.parametrize("extra", [b"OK", http(b'{"success": true, "lead": {"id": 666}}')])
    async def test_what_comes_behind_an_answer_does_not_become_the_next_one(
        self, extra: bytes
    ) -> None:
        async with (
            ScriptedServer(answers(LEAD + extra, LEAD), answers(LEAD)) as server,
            client_of(server) as client,
        ):
            assert (await client.leads.get(7)).id == 7
            assert (await client.leads.get(7)).id == 7
            assert (server.connections, len(server.requests)) == (2, 2)

    async def test_a_body_shorter_than_its_length_costs_the_connection_alone(self) -> None:
        async with (
            ScriptedServer(drops(HALF, reset=False), answers(LEAD)) as server,
            client_of(server) as client,
        ):
            assert (await client.leads.get(7)).id == 7
            assert len(server.requests) == 2


@pytest.mark.parametrize("name", BREAKS | TORN_BODIES)
async def test_a_broken_answer_is_asked_for_again_by_a_read(name: str) -> None:
    fault = (BREAKS | TORN_BODIES)[name]
    async with ScriptedServer(fault, fault, answers(LEAD)) as server, client_of(server) as client:
        assert (await client.leads.get(7)).id == 7
        assert len(server.requests) == 3


@pytest.mark.parametrize("name", BREAKS | TORN_BODIES)
async def test_a_broken_answer_to_a_write_is_sent_once(name: str) -> None:
    fault = (BREAKS | TORN_BODIES)[name]
    async with ScriptedServer(fault, answers(LEAD)) as server, client_of(server) as client:
        with pytest.raises(OutcomeUnknownError, match="the connection broke"):
            await client.leads.create(name="Ana", pipeline_id=1, stage_id=2)
        await server.closed()
        assert len(server.requests) == 1


@pytest.mark.parametrize("name", BREAKS)
async def test_without_headers_the_slot_s_clock_starts_five_seconds_late(name: str) -> None:
    async with (
        ScriptedServer(BREAKS[name]) as server,
        client_of(server, rate_limit=ONE, retry=at_once(1)) as client,
    ):
        with pytest.raises(NoAnswerError):
            await client.leads.get(7)
        assert client.budget().next_free_in == AFTER_ITS_LOSS


@pytest.mark.parametrize("name", TORN_BODIES)
async def test_with_headers_it_starts_at_them_however_the_body_ends(name: str) -> None:
    async with (
        ScriptedServer(TORN_BODIES[name]) as server,
        client_of(server, rate_limit=ONE, retry=at_once(1)) as client,
    ):
        with pytest.raises(NoAnswerError):
            await client.leads.get(7)
        assert client.budget().next_free_in == AFTER_ITS_ANSWER


class TestSilence:
    async def test_a_read_is_tried_again_when_its_time_is_over(self) -> None:
        async def silent(connection: Connection) -> None:
            await connection.request()
            await connection.gone()

        clock = still()
        async with (
            ScriptedServer(silent, answers(LEAD)) as server,
            client_of(server, clock=clock, timeout=12.0) as client,
        ):
            call = asyncio.ensure_future(client.leads.get(7))
            await server.arrived()
            await clock.advance(11.9)
            assert not call.done()
            await clock.advance(0.1)
            assert (await call).id == 7
            assert len(server.requests) == 2

    async def test_the_connection_of_a_request_given_up_is_closed(self) -> None:
        async def silent(connection: Connection) -> None:
            await connection.request()
            await connection.gone()

        clock = still()
        async with (
            ScriptedServer(silent) as server,
            client_of(server, clock=clock, rate_limit=ONE, retry=at_once(1)) as client,
        ):
            call = asyncio.ensure_future(client.leads.enroll(7, sequence_id=1))
            await server.arrived()
            await clock.advance(30)
            with pytest.raises(OutcomeUnknownError, match="no whole answer within 30 s") as caught:
                await call
            assert isinstance(caught.value.__cause__, RequestTimeoutError)
            assert client.budget().next_free_in == AFTER_ITS_LOSS
            await server.closed()

    async def test_a_drip_of_bytes_does_not_stretch_the_time(self) -> None:
        async def drips(connection: Connection) -> None:
            await connection.request()
            for byte in LEAD:
                await connection.send(bytes([byte]))
                await dripped.wait()

        dripped = asyncio.Event()
        clock = still()
        async with (
            ScriptedServer(drips) as server,
            client_of(server, clock=clock, rate_limit=ONE, retry=at_once(1)) as client,
        ):
            call = asyncio.ensure_future(client.leads.get(7))
            await server.arrived()
            await clock.advance(30)
            with pytest.raises(RequestTimeoutError):
                await call


class Drip(httpx.AsyncByteStream):
    """A body that comes in pieces, one a second of the clock."""

    def __init__(self, clock: FakeClock, *pieces: bytes) -> None:
        self.clock = clock
        self.pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            await self.clock.sleep(1.0)
            yield piece


class Dripping(httpx.AsyncBaseTransport):
    """Answers with the status at once and with the body bit by bit."""

    def __init__(self, clock: FakeClock, status: int, *pieces: bytes) -> None:
        self.clock = clock
        self.status = status
        self.pieces = pieces
        self.requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        return httpx.Response(self.status, stream=Drip(self.clock, *self.pieces))


@asynccontextmanager
async def dripping(status: int, *pieces: bytes, **options: Any) -> AsyncIterator[AsyncClient]:
    clock = FakeClock()
    transport = Dripping(clock, status, *pieces)
    async with AsyncClient(
        KEY, base_url="http://localhost/v1", clock=clock, transport=transport, **options
    ) as client:
        yield client


class TestSlowBodies:
    async def test_a_body_in_time_is_put_together(self) -> None:
        async with dripping(200, b'{"suc', b'cess": true', b', "lead": {"id": 7}}') as client:
            assert (await client.leads.get(7)).id == 7

    async def test_one_deadline_holds_for_the_whole_attempt(self) -> None:
        pieces = [b" "] * 300
        options = {"rate_limit": ONE, "retry": at_once(1), "timeout": 30.0}
        async with dripping(200, *pieces, **options) as client:
            with pytest.raises(RequestTimeoutError, match="30 s"):
                await client.leads.get(7)
            # Its headers came at once, so its clock has been running for those 30 seconds.
            assert client.budget().next_free_in == AFTER_ITS_ANSWER - 30.0

    async def test_a_write_whose_answer_drips_is_sent_once_and_its_outcome_unknown(self) -> None:
        pieces = [b" "] * 300
        async with dripping(201, *pieces, rate_limit=ONE, timeout=30.0) as client:
            with pytest.raises(OutcomeUnknownError, match="no whole answer within 30 s") as caught:
                await client.leads.create(name="Ana", pipeline_id=1, stage_id=2)
            assert client.budget().next_free_in == AFTER_ITS_ANSWER - 30.0
        assert caught.value.attempts == 1

    @pytest.mark.parametrize(
        ("status", "kind"), [(500, ServerError), (422, UnprocessableError), (404, NotFoundError)]
    )
    async def test_an_error_whose_body_never_ends_is_still_the_error_of_its_status(
        self, status: int, kind: type[Exception]
    ) -> None:
        pieces = [b"Whoops "] * 300
        async with dripping(status, *pieces, retry=at_once(1), timeout=2.5) as client:
            with pytest.raises(kind, match=r"Whoops Whoops$"):
                await client.leads.create(name="Ana", pipeline_id=1, stage_id=2)

    async def test_a_redirect_whose_body_never_ends_is_still_a_redirect(self) -> None:
        async with dripping(302, *[b" "] * 300, timeout=2.5) as client:
            with pytest.raises(UnexpectedResponseError, match="302"):
                await client.leads.get(7)


class TestErrorsThatBreakOff:
    @pytest.mark.parametrize("reset", [True, False])
    async def test_a_422_with_half_a_body_is_a_422(self, reset: bool) -> None:  # noqa: FBT001
        half = b"HTTP/1.1 422 No\r\nContent-Length: 90\r\n\r\nSomething is wr"
        async with (
            ScriptedServer(drops(half, reset=reset)) as server,
            client_of(server, rate_limit=ONE) as client,
        ):
            with pytest.raises(UnprocessableError):
                await client.leads.create(name="Ana", pipeline_id=1, stage_id=2)
            assert client.budget().next_free_in == AFTER_ITS_ANSWER
            assert len(server.requests) == 1


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
async def test_a_redirect_takes_the_key_nowhere(status: str) -> None:
    async with ScriptedServer(answers(LEAD)) as elsewhere:
        there = http(b"", status, (f"Location: {elsewhere.url}/leads/7",))
        async with ScriptedServer(answers(there)) as server, client_of(server) as client:
            with pytest.raises(UnexpectedResponseError, match="which is not followed"):
                await client.leads.get(7)
            assert len(server.requests) == 1
        assert elsewhere.connections == 0

"""Proxies of the environment: used as httpx uses them, and never shown the key of an https API."""

from __future__ import annotations

import asyncio
import base64
import logging
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from syncro_async import AsyncClient
from syncro_async.errors import ConfigurationError, ConnectionFailedError
from syncro_async.transport.proxies import environment_proxy
from tests.transport.certificate import pem, server_side, untrusted
from tests.transport.programs import answers_everything
from tests.transport.scripted_app import KEY, at_once
from tests.transport.scripted_server import Connection, ScriptedServer, http

PASSWORD = base64.b64encode(b"anna:geheim").decode()
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


class Tunnel:
    """A proxy's script: it connects as it is told, and keeps what passes."""

    def __init__(self) -> None:
        self.passed = bytearray()

    async def __call__(self, connection: Connection) -> None:
        raw = await connection.request()
        host, _, port = raw.split()[1].decode().partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        await connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n")

        async def back() -> None:
            while some := await reader.read(65536):
                self.passed += some
                await connection.send(some)

        returning = asyncio.create_task(back())
        try:
            while some := await connection.read():
                self.passed += some
                writer.write(some)
                await writer.drain()
        finally:
            returning.cancel()
            writer.close()


@asynccontextmanager
async def client_of(url: str, **options: Any) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(KEY, base_url=url, retry=at_once(1), **options) as client:
        yield client


@pytest.fixture
async def proxy() -> AsyncIterator[ScriptedServer]:
    """A proxy that answers every request itself."""
    async with ScriptedServer(answers_everything) as server:
        yield server


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
async def test_through_a_proxy_an_https_api_is_reached_and_the_key_is_not_seen(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tunnel = Tunnel()
    tls = untrusted(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    async with (
        ScriptedServer(answers_everything, tls=tls) as server,
        ScriptedServer(tunnel) as proxy,
    ):
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        async with client_of(server.url.replace("127.0.0.1", "localhost")) as client:
            await client.leads.get(7)
            await client.leads.create(name="Ana", pipeline_id=1, stage_id=2)
        assert KEY.encode() in server.requests[1]
        assert len(server.requests) == 2
        (connect,) = proxy.requests
    assert connect.startswith(f"CONNECT localhost:{server.port} ".encode())
    assert len(tunnel.passed) > 1000
    assert KEY.encode() not in connect + tunnel.passed


async def test_an_http_api_is_asked_for_at_the_proxy(
    proxy: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    with pytest.warns(UserWarning, match="not encrypted"):
        client = AsyncClient(KEY, base_url="http://crm.invalid/v1")
    async with client:
        await client.leads.get(7)
    assert proxy.requests[0].startswith(b"GET http://crm.invalid/v1/leads/7 HTTP/1.1\r\n")


async def test_a_host_without_a_proxy_is_asked_itself(
    proxy: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("NO_PROXY", "crm.invalid,127.0.0.1")
    async with ScriptedServer(answers_everything) as server, client_of(server.url) as client:
        await client.leads.get(7)
        assert len(server.requests) == 1
    assert proxy.requests == []


@pytest.mark.parametrize(
    "spared",
    [
        *("", "*", "x, *", "foo,example.com", "example.com", "Example.COM", ".example.com"),
        *("a.example.com", "ample.com", "127.0.0.1", "::1", "10.0.0.0/8", "localhost"),
        *("example.com:8080", "https://", "http://example.com"),
        *("https://example.com", "all://example.com", "https://*.example.com"),
    ],
)
@pytest.mark.parametrize(
    "proxies",
    [
        {"HTTPS_PROXY": "http://proxy.invalid:1"},
        {"ALL_PROXY": "proxy.invalid:1"},
        {"HTTP_PROXY": "http://proxy.invalid:1", "ALL_PROXY": "http://other.invalid:2"},
    ],
    ids=" ".join,
)
def test_they_are_chosen_as_httpx_chooses_them(
    spared: str, proxies: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**proxies, "NO_PROXY": spared}.items():
        monkeypatch.setenv(name, value)
    theirs = httpx.AsyncClient()
    for url in (
        *("https://example.com/v1", "http://example.com/v1", "http://example.com:8080"),
        *("https://a.example.com", "https://b.a.example.com:8080", "https://notexample.com"),
        *("http://127.0.0.1:8000/x", "http://[::1]:8000", "http://localhost:8000"),
    ):
        chosen: Any = theirs._transport_for_url(httpx.URL(url))
        proxy = None
        if chosen is not theirs._transport:
            place = chosen._pool._proxy_url
            proxy = f"http://{place.host.decode()}:{place.port}"
        assert environment_proxy(url) == proxy, url


@pytest.mark.parametrize(
    ("spared", "url", "is_spared"),
    [
        ("example.com:443", "https://example.com/v1", True),
        ("example.com:443", "http://example.com/v1", False),
        ("example.com:80", "http://a.example.com", True),
        ("example.com:80", "http://example.com:8080", False),
        ("https://example.com:443", "https://example.com", True),
        ("https://example.com:443/", "https://example.com:443/v1", True),
        ("http://example.com:80", "http://example.com", True),
        ("http://example.com:443", "https://example.com", False),
        ("HTTPS://Example.COM", "https://example.com", True),
        ("example.com.", "https://example.com", True),
        ("example.com", "https://example.com./v1", True),
        ("10.0.0.0/8", "https://10.1.2.3/v1", True),
        ("10.0.0.0/8", "https://11.1.2.3/v1", False),
        ("10.0.0.0/8", "https://example.com/v1", False),
        ("10.1.2.3:443", "https://10.1.2.3/v1", True),
        ("10.1.2.3:8443", "https://10.1.2.3/v1", False),
        ("https://10.1.2.3", "https://10.1.2.3/v1", True),
        ("fd00::/8", "https://[fd00::1]/v1", True),
        ("0:0:0:0:0:0:0:1", "http://[::1]:8000/v1", True),
        ("[::1]:8000", "http://[::1]:8000/v1", True),
        ("[::1]", "http://[::1]:8000/v1", True),
    ],
)
def test_ports_that_a_scheme_implies_networks_and_addresses_are_understood(
    spared: str,
    url: str,
    is_spared: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.invalid:1")
    monkeypatch.setenv("NO_PROXY", f"other.invalid, {spared}")
    assert (environment_proxy(url) is None) == is_spared


async def test_a_transport_of_the_caller_s_goes_its_own_way(
    proxy: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    async with (
        ScriptedServer(answers_everything) as server,
        client_of(server.url, transport=httpx.AsyncHTTPTransport()) as client,
    ):
        await client.leads.get(7)
        assert len(server.requests) == 1
    assert proxy.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        http(b"", "407 Proxy Authentication Required"),
        http(b"", f"407 Proxy-Authorization: Basic {PASSWORD}"),
        http(b"", "503 Service Unavailable"),
        http(b"<p>no</p>", "403 Forbidden"),
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"",
    ],
    ids=["407", "407 with it", "503", "403", "garbage", "nothing"],
)
async def test_the_password_of_a_proxy_that_refuses_is_in_no_error_and_no_log(
    answer: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuses(connection: Connection) -> None:
        await connection.request()
        await connection.send(answer)

    caplog.set_level(logging.DEBUG)
    async with ScriptedServer(refuses) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://anna:geheim@127.0.0.1:{proxy.port}")
        async with client_of("https://crm.invalid/v1") as client:
            with pytest.raises(ConnectionFailedError) as caught:
                await client.leads.create(name="Ana", pipeline_id=1, stage_id=2)
            assert client.budget().available == 60
            assert "geheim" not in repr(client)
    assert f"http://127.0.0.1:{proxy.port}" in str(caught.value)
    assert b"Proxy-Authorization: Basic" in proxy.requests[0]
    assert KEY.encode() not in proxy.requests[0]
    for shown in (str(caught.value), repr(caught.value.__cause__)):
        assert "geheim" not in shown
        assert PASSWORD not in shown
    assert "geheim" not in caplog.text


@pytest.mark.parametrize("scheme", ["http", "https", "socks5", "socks"])
@pytest.mark.parametrize("url", ["https://crm.invalid/v1", "http://localhost:9/v1"])
async def test_a_proxy_that_is_not_reached_is_named_without_its_password(
    scheme: str, url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "syncro_async")
    async with ScriptedServer(answers_everything) as server:
        port = server.port
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://anna:geheim@127.0.0.1:{port}")
    async with client_of(url) as client:
        with pytest.raises(ConnectionFailedError) as caught:
            await client.leads.create(name="Ana", pipeline_id=1, stage_id=2)
        assert client.budget().available == 60
    shown = scheme.replace("socks", "socks5").replace("55", "5")
    assert f"no connection to the proxy {shown}://127.0.0.1:{port} " in str(caught.value)
    assert "geheim" not in str(caught.value) + caplog.text


async def test_a_proxy_whose_own_certificate_nobody_trusts_is_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ScriptedServer(answers_everything, tls=untrusted(tmp_path)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"https://localhost:{proxy.port}")
        async with AsyncClient(KEY, base_url="https://crm.invalid/v1") as client:
            with pytest.raises(
                ConnectionFailedError, match="to the proxy https://localhost"
            ) as caught:
                await client.leads.get(7)
    assert caught.value.attempts == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://anna:gehe#im@proxy.invalid:1",
        "http://anna:gehe/im@proxy.invalid:1",
        "http://anna:geheim@proxy.invalid:port",
        "gopher://anna:geheim@proxy.invalid:1",
        "socks4://anna:geheim@proxy.invalid:1",
    ],
)
async def test_nor_is_that_of_one_that_cannot_be_used_not_even_in_a_frame(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url)
    async with client_of("https://crm.invalid/v1") as client:
        with pytest.raises(ConfigurationError, match="look at the environment's proxy") as caught:
            await client.leads.get(7)
        assert client.budget().available == 60
    error: BaseException | None = caught.value
    texts = []
    while error is not None:
        texts.append(repr(error))
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_name != caught.traceback[0].name:  # this test's own
                texts += [repr(value) for value in frame.f_locals.values()]
        error = error.__cause__ or error.__context__
    assert not any("gehe" in text for text in texts)


async def test_certificates_are_read_anew_where_their_file_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = server_side("good", tmp_path)
    file = pem("for another host", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    async with ScriptedServer(answers_everything, tls=tls) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        async with client_of(url) as client:
            with pytest.raises(ConnectionFailedError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.leads.get(7)
        pem("good", tmp_path)
        async with client_of(url) as client:
            assert (await client.leads.get(7)).id == 7


@pytest.mark.parametrize("spared", ["fd00::/8", "example.com:port", "https://[::1", "::1/129"])
def test_what_names_no_host_spares_none_and_stops_nobody(
    spared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid:1")
    monkeypatch.setenv("NO_PROXY", f"{spared},other.invalid")
    assert environment_proxy("https://example.com/v1") == "http://proxy.invalid:1"
    assert environment_proxy("https://other.invalid/v1") is None

"""Proxies that speak SOCKS 5: their refusals, and what their passwords cost."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from syncro_async import AsyncClient
from syncro_async.errors import ConfigurationError, ConnectionFailedError
from tests.transport.certificate import server_side
from tests.transport.programs import answers_everything
from tests.transport.scripted_app import KEY, at_once
from tests.transport.scripted_server import Connection, ScriptedServer

# Over httpx and over httpx2.
pytestmark = pytest.mark.usefixtures("engine")

NO_PASSWORD, WITH_PASSWORD, NO_METHOD = b"\x05\x00", b"\x05\x02", b"\x05\xff"
ACCEPTED, REFUSED = b"\x01\x00", b"\x01\x01"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


class Socks:
    """A proxy's script: it greets as it is told, and then connects where it is told."""

    def __init__(self, *greeting: bytes, reply: int = 0) -> None:
        self.greeting = greeting
        self.reply = reply
        self.heard = b""

    async def __call__(self, connection: Connection) -> None:
        for answer in self.greeting:
            self.heard += await connection.read()
            await connection.send(answer)
        asked = await connection.read()
        host = asked[5:-2].decode()
        reply = bytes([5, self.reply, 0, 1, 0, 0, 0, 0, 0, 0])
        if self.reply:
            await connection.send(reply)
            return
        reader, writer = await asyncio.open_connection(host, int.from_bytes(asked[-2:], "big"))
        try:
            await connection.send(reply)
            await connection.pass_on(reader, writer)
        finally:
            writer.close()


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks", "SOCKS"])
async def test_an_https_api_is_reached_through_it(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = server_side("good", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    socks = Socks(WITH_PASSWORD, ACCEPTED)
    async with (
        ScriptedServer(answers_everything, tls=tls) as server,
        ScriptedServer(socks) as proxy,
    ):
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://anna:geheim@127.0.0.1:{proxy.port}/")
        url = server.url.replace("127.0.0.1", "localhost")
        async with AsyncClient(KEY, base_url=url) as client:
            await client.leads.get(7)
            await client.leads.create(name="Ana", pipeline_id=1, stage_id=2)
        await proxy.closed()
        assert (proxy.connections, len(server.requests)) == (1, 2)
    assert b"geheim" in socks.heard


@pytest.mark.parametrize(
    "socks",
    [Socks(WITH_PASSWORD, REFUSED), Socks(NO_METHOD), Socks(NO_PASSWORD)],
    ids=["wrong password", "no method", "another method"],
)
async def test_one_that_refuses_the_password_is_asked_once(
    socks: Socks, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ScriptedServer(socks) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"socks5://anna:geheim@127.0.0.1:{proxy.port}")
        async with AsyncClient(KEY, base_url="https://crm.invalid/v1") as client:
            with pytest.raises(ConnectionFailedError, match="it is socks5://127") as caught:
                await client.leads.get(7)
            assert client.budget().available == 60
        await proxy.closed()
        assert proxy.connections == 1
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    "socks",
    [Socks(NO_PASSWORD, reply=5), Socks(NO_PASSWORD, reply=1), Socks(b"HTTP/1.1 400 No\r\n\r\n")],
    ids=["refused", "failure", "no SOCKS"],
)
async def test_what_may_pass_is_tried_again_and_nothing_stays_open(
    socks: Socks, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ScriptedServer(socks) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{proxy.port}")
        async with AsyncClient(KEY, base_url="https://crm.invalid/v1", retry=at_once(3)) as client:
            with pytest.raises(ConnectionFailedError, match=f"socks5://127.0.0.1:{proxy.port}"):
                await client.leads.create(name="Ana", pipeline_id=1, stage_id=2)
            await proxy.closed()
            assert client.budget().available == 60
        assert proxy.connections == 3


async def test_without_the_extra_the_way_to_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "socksio", None)
    async with AsyncClient(KEY, base_url="https://crm.invalid/v1") as client:
        with pytest.raises(ConfigurationError, match=r'pip install "syncro-async\[socks\]"'):
            await client.leads.get(7)


async def test_version_4_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks4://anna:geheim@127.0.0.1:9")
    async with AsyncClient(KEY, base_url="https://crm.invalid/v1") as client:
        with pytest.raises(ConfigurationError, match="version 5") as caught:
            await client.leads.get(7)
    assert "geheim" not in str(caught.value)

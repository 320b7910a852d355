"""Certificates of the caller's own: of a CA, and of the client, on every way to the service."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from syncro_async import AsyncClient
from syncro_async.cli import main
from syncro_async.dialects import WOLFEO
from syncro_async.errors import ConfigurationError, ConnectionFailedError, NoAnswerError
from tests.transport.certificate import server_side
from tests.transport.programs import answers_everything
from tests.transport.scripted_app import KEY, at_once
from tests.transport.scripted_server import Connection, Script, ScriptedServer
from tests.transport.test_proxies import Tunnel

# Over httpx and over httpx2.
pytestmark = pytest.mark.usefixtures("engine")

# It opens nothing: it was made for this test, and so was its password.
_ENCRYPTED_KEY = (
    "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAh4GrDwrmzaJwICCAAw"
    "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEC7agQzuFKnsk79ysoq6OXkEgZCD"
    "z+JvpPTp8rp0ufJPSl/hMqKAeIl2rEGBnc1TfrfgMq1oTCho6oL7wxn71uCNQdVy"
    "mcjGllap25pmKkK6AcsNJT27N6mhSFGUZ5sh63sz712kQtjTCe/5DlKcKj4OG89A"
    "9n0z5wjqsuk6nZU54d92Rpr5ufuXD/eeR/tIKDlL3LwzLtWeMEweoIr3i8RvOSA="
)


@pytest.fixture(autouse=True)
def _nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SYNCRO_CLIENT_CERT", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with the CA (`certificate.pem`), its key, and both in `client.pem`."""
    server_side("good", tmp_path)
    both = (tmp_path / "certificate.pem").read_text() + (tmp_path / "key.pem").read_text()
    (tmp_path / "client.pem").write_text(both)
    return tmp_path


def context(files: Path, *, certificate: bool = False) -> ssl.SSLContext:
    tls = ssl.create_default_context(cafile=files / "certificate.pem")
    if certificate:
        tls.load_cert_chain(files / "client.pem")
    return tls


@asynccontextmanager
async def served(files: Path, *, demands_one: bool = False) -> AsyncIterator[ScriptedServer]:
    """A server with a certificate that only this CA vouches for."""
    tls = server_side("good", files)
    if demands_one:
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_verify_locations(files / "certificate.pem")
    async with ScriptedServer(answers_everything, tls=tls) as server:
        yield server


def local(server: ScriptedServer) -> str:
    return server.url.replace("127.0.0.1", "localhost")


def client_of(server: ScriptedServer, **options: Any) -> AsyncClient:
    return AsyncClient(KEY, base_url=local(server), retry=at_once(1), **options)


async def test_a_ca_of_ones_own_is_trusted(files: Path) -> None:
    async with served(files) as server:
        async with client_of(server) as client:
            with pytest.raises(ConnectionFailedError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.leads.get(7)
        async with client_of(server, tls=context(files)) as client:
            assert (await client.leads.get(7)).id == 7


async def test_a_server_that_demands_a_certificate_gets_it(files: Path) -> None:
    async with served(files, demands_one=True) as server:
        async with client_of(server, tls=context(files)) as client:
            with pytest.raises(NoAnswerError):
                await client.leads.get(7)
        async with client_of(server, tls=context(files, certificate=True)) as client:
            assert (await client.leads.get(7)).id == 7
        assert len(server.requests) == 1


async def test_the_context_holds_for_each_event_loop(files: Path) -> None:
    async with served(files, demands_one=True) as server:
        client = client_of(server, tls=context(files, certificate=True))

        async def in_a_loop_of_its_own() -> int:
            return (await client.leads.get(7)).id

        ids = [await asyncio.to_thread(asyncio.run, in_a_loop_of_its_own()) for _ in range(2)]
        assert (ids, await in_a_loop_of_its_own()) == ([7, 7], 7)
        await client.aclose()
        assert (server.connections, len(server.requests)) == (3, 3)


async def test_and_through_a_proxy(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with ScriptedServer(Tunnel()) as proxy, served(files, demands_one=True) as server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with client_of(server, tls=context(files, certificate=True)) as client:
            assert (await client.leads.get(7)).id == 7
        assert proxy.connections == 1


async def test_a_proxy_that_is_reached_over_tls_is_checked_with_the_same_context(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = ScriptedServer(answers_everything, tls=server_side("good", files))
    async with proxy:
        monkeypatch.setenv("HTTP_PROXY", f"https://localhost:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "")
        with pytest.warns(UserWarning, match="is not encrypted"):
            client = AsyncClient(
                KEY, base_url="http://crm.invalid/v1", retry=at_once(1), tls=context(files)
            )
        async with client:
            assert (await client.leads.get(7)).id == 7
        assert proxy.requests[0].startswith(b"GET http://crm.invalid/v1/leads/7 ")


def demands_a_certificate(files: Path) -> Script:
    """The server's side of TLS 1.3, with the alert that it sends behind its handshake."""

    async def script(connection: Connection) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = server_side("good", files)
        tls.verify_mode = ssl.CERT_REQUIRED
        side = tls.wrap_bio(incoming, outgoing, server_side=True)
        refused = False
        while not refused:
            incoming.write(await connection.read())
            try:
                side.do_handshake()
            except ssl.SSLError as error:
                refused = not isinstance(error, ssl.SSLWantReadError)
            await connection.send(outgoing.read())
        await connection.gone()

    return script


@pytest.mark.parametrize("through_a_proxy", [False, True])
async def test_who_demands_a_certificate_is_named(
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    through_a_proxy: bool,  # noqa: FBT001
) -> None:
    async with ScriptedServer(demands_a_certificate(files)) as server:
        who, base_url = f"localhost:{server.port}", f"https://localhost:{server.port}/v1"
        if through_a_proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"https://{who}")
            who, base_url = f"the proxy https://{who}", "https://crm.invalid/v1"
        async with AsyncClient(KEY, base_url=base_url, tls=context(files)) as client:
            with pytest.raises(ConnectionFailedError) as caught:
                await client.leads.create(name="Ana", pipeline_id=1, stage_id=4)
            assert client.budget().used == 0
        assert caught.value.message.startswith(f"{who} refused the TLS handshake: it demands a")
        assert (caught.value.permanent, caught.value.attempts) == (True, 1)


class TestTheEnvironment:
    async def test_names_the_ca_and_the_certificate(
        self, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(files / "certificate.pem"))
        monkeypatch.setenv("SYNCRO_CLIENT_CERT", str(files / "client.pem"))
        async with served(files, demands_one=True) as server:
            async with client_of(server) as client:
                assert (await client.leads.get(7)).id == 7
            # Another service does not get it: its variable has another name.
            async with AsyncClient(
                "wolfeo", base_url=local(server), dialect=WOLFEO, retry=at_once(1)
            ) as client:
                with pytest.raises(NoAnswerError):
                    await client.request("GET", "/leads")

    async def test_and_the_command_uses_them(
        self, files: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        async with served(files, demands_one=True) as server:
            for name, value in {
                "SSL_CERT_FILE": files / "certificate.pem",
                "SYNCRO_CLIENT_CERT": files / "client.pem",
                "SYNCRO_BASE_URL": local(server),
                "SYNCRO_API_KEY": KEY,
            }.items():
                monkeypatch.setenv(name, str(value))
            await asyncio.to_thread(main, ["leads", "export", str(files / "leads.jsonl")])
            assert "certificate" not in capfd.readouterr().err
            assert server.requests[0].startswith(b"GET ")

    async def test_tls_given_goes_before_it(
        self, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(files / "missing.pem"))
        monkeypatch.setenv("SYNCRO_CLIENT_CERT", str(files / "missing.pem"))
        async with served(files) as server, client_of(server, tls=context(files)) as client:
            assert (await client.leads.get(7)).id == 7

    @pytest.mark.parametrize("content", ["", "-----BEGIN CERTIFICATE-----\n", None])
    async def test_a_file_that_is_no_certificate_is_named(
        self, content: str | None, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = files / "other.pem"
        if content is not None:
            file.write_text(content)
        monkeypatch.setenv("SYNCRO_CLIENT_CERT", str(file))
        async with served(files) as server, client_of(server) as client:
            with pytest.raises(ConfigurationError, match=r"other\.pem") as caught:
                await client.leads.get(7)
            assert "certificate" in str(caught.value)
            assert server.connections == 0

    async def test_a_key_that_is_encrypted_is_an_error_and_no_question_on_the_terminal(
        self, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = files / "encrypted.pem"
        lines = ssl.DER_cert_to_PEM_cert(base64.b64decode(_ENCRYPTED_KEY))
        lines = lines.replace("CERTIFICATE", "ENCRYPTED PRIVATE KEY")
        file.write_text((files / "certificate.pem").read_text() + lines)
        monkeypatch.setenv("SYNCRO_CLIENT_CERT", str(file))
        async with served(files) as server, client_of(server) as client:
            with pytest.raises(ConfigurationError, match="not encrypted"):
                await client.leads.get(7)


class TestWhatCannotWork:
    @pytest.mark.parametrize("given", ["ca.pem", True, object()])
    def test_what_is_no_context(self, given: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"create_default_context\(cafile="):
            AsyncClient(KEY, tls=given)

    def test_a_context_for_servers(self) -> None:
        with pytest.raises(ConfigurationError, match="context for servers"):
            AsyncClient(KEY, tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))

    def test_a_context_beside_a_transport(self, files: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"httpx\.AsyncHTTPTransport\(verify="):
            AsyncClient(KEY, tls=context(files), transport=httpx.AsyncHTTPTransport())

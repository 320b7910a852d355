"""The private parts of httpx and httpcore that are read with a default are still there."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest

from syncro_async.transport.urls import RequestUrls
from tests.transport.certificate import server_side
from tests.transport.scripted_server import ScriptedServer, answers, http

STREAM = ("stream", "_httpcore_stream", "_stream", "_connection", "_h11_state")
CONNECTION = ("_connection", "_network_stream")
QUEUE = ("_stream", "_protocol", "read_queue")


def follow(link: Any, *names: str) -> Any:
    """The last part; a part that is gone fails the test with its name."""
    for name in names:
        assert hasattr(link, name), f"{type(link)} has no {name}: change transport/connections.py"
        link = getattr(link, name)
    return link


BASES = (
    "http://127.0.0.1:8080/api/v1",
    "https://crm.example",
    "https://\u00fc.example:444/a%20b/c",
)
PATHS = ("/leads", "/leads/7", "/a%2Fb", "/leads/7/tags/v%C3%ADp", "/a.b", "/a:b@c", "/")
QUERIES = ("", "page=2&per_page=200", "tags%5B%5D=a+b&q=%C3%A1", "a='(x)'", "a=%zz")


@pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda library: library.__name__)
@pytest.mark.parametrize("base", BASES)
def test_a_url_is_made_as_the_library_makes_it(library: Any, base: str) -> None:
    assert hasattr(library.URL(base), "_uri_reference"), "change RequestUrls in transport/urls.py"
    urls = RequestUrls(library.URL, base)
    for path in PATHS:
        for query in QUERIES:
            made, parsed = urls.url(path, query), library.URL(f"{base}{path}?{query}".rstrip("?"))
            assert made == parsed
            assert made.raw_path == parsed.raw_path
            assert (made.raw_scheme, made.raw_host, made.port) == (
                parsed.raw_scheme,
                parsed.raw_host,
                parsed.port,
            )


def test_a_url_without_private_parts_is_parsed() -> None:
    assert (
        RequestUrls(str, "https://a.example").url("/leads", "a=1") == "https://a.example/leads?a=1"
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda library: library.__name__)
async def test_the_parts_that_connections_reads_are_there(library: Any) -> None:
    waiting: list[Any] = []

    async def trace(event: str, _: dict[str, Any]) -> None:
        if event.endswith("send_request_headers.started"):
            waiting.extend(follow(transport, "_pool", "_requests"))

    async with (
        ScriptedServer(answers(http() + b"more")) as server,
        library.AsyncHTTPTransport() as transport,
    ):
        request = library.Request("GET", server.url, extensions={"trace": trace})
        response = await transport.handle_async_request(request)
        await response.aread()
        [pooled] = waiting
        assert follow(pooled, "request", "extensions")["trace"] is trace
        stream = follow(pooled, "connection", *CONNECTION)
        assert stream.get_extra_info("is_readable") in {True, False}
        assert follow(response, *STREAM, "trailing_data") == (b"more", False)
        assert not follow(response.extensions["network_stream"], *QUEUE)
        await response.aclose()


@pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda library: library.__name__)
async def test_the_parts_of_a_connection_over_tls_are_there(library: Any, tmp_path: Path) -> None:
    tls = server_side("good", tmp_path)
    trust = ssl.create_default_context(cafile=tmp_path / "certificate.pem")
    async with (
        ScriptedServer(answers(http()), tls=tls) as server,
        library.AsyncHTTPTransport(verify=trust) as transport,
    ):
        request = library.Request("GET", server.url.replace("127.0.0.1", "localhost"))
        response = await transport.handle_async_request(request)
        await response.aread()
        over_tls = follow(response.extensions["network_stream"], "_stream")
        assert follow(over_tls, "_read_bio", "pending") == 0
        assert not follow(over_tls, "transport_stream", *QUEUE[1:])
        await response.aclose()

"""The private parts of httpx and httpcore that are read with a default are still there."""

from __future__ import annotations

from typing import Any

import httpx
import httpx2
import pytest

from tests.transport.scripted_server import ScriptedServer, answers, http

STREAM = ("stream", "_httpcore_stream", "_stream", "_connection", "_h11_state")
CONNECTION = ("_connection", "_network_stream")


def follow(link: Any, *names: str) -> Any:
    """The last part; a part that is gone fails the test with its name."""
    for name in names:
        assert hasattr(link, name), f"{type(link)} has no {name}: change transport/connections.py"
        link = getattr(link, name)
    return link


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
        await response.aclose()

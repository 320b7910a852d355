"""Whatever a caller puts into ids, tags, paths and parameters: the request lies below the base."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from syncro_async import AsyncClient, RateLimit
from syncro_async.errors import UnexpectedResponseError
from tests.transport.programs import answers_everything
from tests.transport.scripted_app import KEY
from tests.transport.scripted_server import ScriptedServer

WAYS: dict[str, Callable[[AsyncClient, str], Awaitable[object]]] = {
    "id": lambda client, text: client.leads.get(text),  # type: ignore[arg-type]
    "tag": lambda client, text: client.leads.remove_tag(7, text),
    "sequence": lambda client, text: client.leads.unenroll(7, sequence_id=text),  # type: ignore[arg-type]
    "path": lambda client, text: client.request("GET", text),
    "path in a folder": lambda client, text: client.request("GET", f"/leads/{text}/tags"),
    "name of a parameter": lambda client, text: client.request("GET", "/x", params={text: 1}),
    "parameter": lambda client, text: client.request("GET", "/x", params={"q": text}),
    "list in a parameter": lambda client, text: client.request("GET", "/x", params={"q": [text]}),
}
# What has a meaning in a URL, in a header, or to a server that decodes once more.
SHARP = (
    *("/", "//", "\\", ".", "..", "../", "/..", "%2e", "%2E%2e", "%2f", "%5c", "%252e", "%00"),
    *(
        "?",
        "#",
        "&",
        ";",
        ":",
        "@",
        "[",
        "]",
        "evil.invalid",
        "http://",
        "https:",
        "//evil.invalid",
    ),
    *("\r\n", "\n", "\t", " ", "\0", "\x85", "\u2028", "X-Evil: 1", " HTTP/1.1", "é", "\ud800"),
)
TEXTS = st.lists(st.sampled_from(SHARP) | st.text(max_size=3), max_size=6).map("".join)

HEADERS = {b"host", b"accept", b"accept-encoding", b"user-agent", b"x-api-key"}


def check(raw: bytes, server: ScriptedServer) -> None:
    """One request, for this server, below its base URL, however often it is decoded."""
    lines = raw.removesuffix(b"\r\n\r\n").split(b"\r\n")
    method, target, version = lines[0].split(b" ")
    assert method in {b"GET", b"DELETE"}
    assert version == b"HTTP/1.1"
    base = server.url.partition(str(server.port))[2].encode()
    assert target.startswith(base + b"/")
    path = unquote_to_bytes(target.partition(b"?")[0])
    assert not {b".", b".."} & {step.strip() for step in re.split(rb"[/\\]", path)}
    headers = dict(line.lower().split(b": ", 1) for line in lines[1:])
    assert headers.keys() == HEADERS
    assert len(headers) == len(lines) - 1
    assert headers[b"host"] == f"127.0.0.1:{server.port}".encode()


async def send(client: AsyncClient, server: ScriptedServer, way: str, text: str) -> int:
    """Make the call; how many requests the server saw."""
    server.requests.clear()
    refused = False
    try:
        await WAYS[way](client, text)
    except ValueError:
        refused = True
    except UnexpectedResponseError:
        pass  # the answer need not fit the call
    assert len(server.requests) == (0 if refused else 1)
    for raw in server.requests:
        check(raw, server)
    return len(server.requests)


@pytest.mark.parametrize("way", WAYS)
def test_the_request_lies_below_it_or_is_refused_unsent(way: str) -> None:
    @settings(max_examples=150, deadline=None, database=None, derandomize=True)
    @given(text=TEXTS)
    @example(text="../../../v2/webhooks/1")
    @example(text="..%2f..%2fadmin")
    @example(text="@evil.invalid/")
    @example(text="//evil.invalid/api/v1/x")
    @example(text="x HTTP/1.1\r\nHost: evil.invalid\r\n\r\n")
    def one(text: str) -> None:
        sent.append(runner.run(send(client, server, way, text)))

    sent: list[int] = []
    with asyncio.Runner() as runner:
        server = ScriptedServer(answers_everything)
        runner.run(server.__aenter__())
        client = AsyncClient(KEY, base_url=server.url, rate_limit=RateLimit(10_000, 60.0))
        one()
        runner.run(client.aclose())
        runner.run(server.__aexit__(None, None, None))
    assert set(sent) in ({0, 1}, {1})


@pytest.mark.parametrize(
    "elsewhere",
    [
        "http://evil.invalid/leads",
        "http://127.0.0.1/api/v1/leads",
        "{url}.evil.invalid/leads",
        "{url}@evil.invalid/leads",
        "{url}/../v2/leads",
        "HTTP://evil.invalid{path}/leads",
        "//evil.invalid{path}/leads",
        "\\\\evil.invalid\\leads",
        "https:evil.invalid",
        "javascript:alert(1)",
    ],
)
async def test_a_url_of_another_place_is_refused(elsewhere: str) -> None:
    async with (
        ScriptedServer(answers_everything) as server,
        AsyncClient(KEY, base_url=server.url) as client,
    ):
        path = server.url.partition(str(server.port))[2]
        with pytest.raises(ValueError, match=r"not below|must not hold"):
            await client.request("GET", elsewhere.format(url=server.url, path=path))
        assert server.connections == 0
        assert await client.request("GET", f"{server.url}/leads") is not None
        assert server.connections == 1


@pytest.mark.parametrize("json", [{"a\r\nX-Evil: 1": "b"}, {"x": "\r\n\r\nGET /evil HTTP/1.1"}])
async def test_what_is_in_a_body_stays_in_it(json: Any) -> None:
    async with (
        ScriptedServer(answers_everything) as server,
        AsyncClient(KEY, base_url=server.url) as client,
    ):
        await client.request("POST", "/x", json=json)
        (raw,) = server.requests
        _, _, body = raw.partition(b"\r\n\r\n")
        assert b"\r\n" not in body
        assert f"Content-Length: {len(body)}".encode() in raw


async def test_what_one_request_says_of_its_body_no_later_one_says_of_its_own() -> None:
    async with (
        ScriptedServer(answers_everything) as server,
        AsyncClient(KEY, base_url=server.url) as client,
    ):
        await client.request("POST", "/x")
        await client.request("GET", "/x")
        await client.request("DELETE", "/x", json={"a": 1})
        await client.request("DELETE", "/x")
        said = [re.findall(rb"(?i)\r\n(content-[^\r]*)", raw) for raw in server.requests]
    length, kind = b"Content-Length: 7", b"Content-Type: application/json"
    assert [sorted(lines) for lines in said] == [[b"Content-Length: 0"], [], [length, kind], []]

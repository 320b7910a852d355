"""Answers that are far too large, plain and packed: what they cost, and what is said of them."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from syncro_async.errors import APIError, ServerError, UnexpectedResponseError
from syncro_async.transport.body_limits import ERROR_CAP
from syncro_async.transport.http_engine import RESPONSE_CAP
from tests.transport.scripted_app import AFTER_ITS_ANSWER, KEY, ONE, Answer, App, at_once
from tests.transport.scripted_app import client_of as client_of_app
from tests.transport.scripted_server import Connection, Script, ScriptedServer, answers, http
from tests.transport.test_broken_connections import client_of
from tests.transport.test_key_is_never_shown import shown_by

MEGABYTE = 2**20
LEAD = http(b'{"success": true, "lead": {"id": 7}}')
GZIP = (("content-encoding", "gzip"),)
# What lies beside the answer itself: buffers, the test's own pieces.
BESIDES = 8 * MEGABYTE


def bomb(megabytes: int) -> bytes:
    """Gzip that unpacks to so many megabytes of spaces, a thousandth of it long."""
    packing = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packing.compress(b" " * MEGABYTE) + packing.flush(zlib.Z_FULL_FLUSH)
    head = gzip.compress(b"")[:10]
    return head + block * megabytes + packing.flush() + struct.pack("<II", 0, 0)


def streams(head: bytes, part: bytes, times: int) -> Script:
    """Answer with the part so often, unless the client leaves before."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(head, *[part] * times)
        await connection.gone()

    return script


@contextmanager
def at_most(limit: int) -> Iterator[None]:
    """See to it that no more memory than that is taken at any moment."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < limit, f"{peak / MEGABYTE:.0f} MB"


def head(*lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", *lines, "", "")).encode()


LARGE = {
    "200 MB with their length": streams(
        head(f"Content-Length: {200 * MEGABYTE}"), b" " * MEGABYTE, 200
    ),
    "200 MB until the end of the connection": streams(head(), b" " * MEGABYTE, 200),
    "chunks without end": streams(
        head("Transfer-Encoding: chunked"), b"100000\r\n" + b" " * MEGABYTE + b"\r\n", 200
    ),
    "1 GB in 1 MB of gzip": streams(
        head("Content-Encoding: gzip", f"Content-Length: {len(bomb(1024))}"), bomb(1024), 1
    ),
}


@pytest.mark.parametrize("name", LARGE)
async def test_reading_stops_at_the_cap_and_takes_little_more_memory_than_that(name: str) -> None:
    async with ScriptedServer(LARGE[name], answers(LEAD)) as server:
        async with client_of(server, rate_limit=ONE) as client:
            with (
                at_most(RESPONSE_CAP + BESIDES),
                pytest.raises(UnexpectedResponseError, match="larger than 64 MB; reading was sto"),
            ):
                await client.leads.get(7)
            assert client.budget().next_free_in == AFTER_ITS_ANSWER
        await server.closed()
        assert len(server.requests) == 1


async def test_the_call_after_it_goes_on_a_connection_of_its_own() -> None:
    script = LARGE["200 MB with their length"]
    async with ScriptedServer(script, answers(LEAD)) as server, client_of(server) as client:
        with pytest.raises(UnexpectedResponseError):
            await client.leads.create(name="Ana", pipeline_id=1, stage_id=2)
        assert (await client.leads.get(7)).id == 7
        assert server.connections == 2


async def test_a_bomb_that_comes_in_one_piece_is_unpacked_no_further_than_the_cap() -> None:
    app = App(Answer(200, bomb(1024), GZIP))
    async with client_of_app(app) as client:
        with at_most(RESPONSE_CAP + BESIDES), pytest.raises(UnexpectedResponseError):
            await client.leads.get(7)


async def test_a_bomb_in_a_bomb_is_not_unpacked_at_all() -> None:
    app = App(Answer(200, gzip.compress(bomb(1024)), (("content-encoding", "gzip, gzip"),)))
    async with client_of_app(app) as client:
        with at_most(BESIDES), pytest.raises(UnexpectedResponseError, match="'gzip, gzip'"):
            await client.leads.get(7)


async def test_an_answer_as_large_as_the_cap_is_read() -> None:
    body = b'{"success": true, "lead": {"id": 7}}'
    packed = gzip.compress(body + b" " * (RESPONSE_CAP - len(body)), compresslevel=1)
    async with client_of_app(App(Answer(200, packed, GZIP))) as client:
        assert (await client.leads.get(7)).id == 7


async def test_a_server_error_that_is_too_large_is_a_server_error() -> None:
    script = streams(head(status="500 Oops"), b"Whoops! " * (MEGABYTE // 8), 200)
    async with (
        ScriptedServer(script) as server,
        client_of(server, retry=at_once(1)) as client,
    ):
        with (
            at_most(2 * RESPONSE_CAP + BESIDES),
            pytest.raises(ServerError, match=r"500: Whoops! Whoops!") as caught,
        ):
            await client.leads.get(7)
    assert caught.value.status == 500
    assert isinstance(caught.value.body, bytes)
    assert ERROR_CAP - MEGABYTE <= len(caught.value.body) <= ERROR_CAP


async def test_so_much_is_kept_of_a_refusal_under_200() -> None:
    body = b'{"success": false, "message": "' + b"a" * (2 * ERROR_CAP) + b'"}'
    async with (
        ScriptedServer(answers(http(body))) as server,
        client_of(server, retry=at_once(1)) as client,
    ):
        with pytest.raises(APIError) as caught:
            await client.leads.get(7)
    assert caught.value.status == 200
    assert caught.value.body == body[:ERROR_CAP]


async def test_no_frame_of_the_error_shows_the_key() -> None:
    for content in (bomb(65), b"no gzip at all"):
        async with client_of_app(App(Answer(200, content, GZIP))) as client:
            with pytest.raises(UnexpectedResponseError) as caught:
                await client.leads.get(7)
        assert KEY not in shown_by(caught.value)

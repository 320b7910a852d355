"""Compressed answers as the RFCs allow them, and what they unpack to, over a socket."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from syncro_async import AsyncClient
from syncro_async.dialects.pagination import Cursor
from syncro_async.errors import UnexpectedResponseError
from syncro_async.paging.page_decoding import MOST_ITEMS
from syncro_async.transport.decompression import make_decompressor
from tests.paging.raw_lists import body_of, client_of_list
from tests.transport.scripted_app import KEY
from tests.transport.scripted_server import ScriptedServer, answers, http
from tests.transport.test_key_spellings import MANY

MEGABYTE = 2**20
LEAD = b'{"success": true, "lead": {"id": 7, "name": "Jos\xc3\xa9"}}'


def raw_deflate(content: bytes) -> bytes:
    packing = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packing.compress(content) + packing.flush()


def packed(content: bytes, *codings: str) -> bytes:
    return http(content, headers=tuple(f"Content-Encoding: {coding}" for coding in codings))


GOOD = {
    "gzip": packed(gzip.compress(LEAD), "gzip"),
    "x-gzip": packed(gzip.compress(LEAD), "x-gzip"),
    "capitals": packed(gzip.compress(LEAD), " GZip "),
    "two members": packed(gzip.compress(LEAD[:9]) + gzip.compress(LEAD[9:]), "gzip"),
    "an empty member between": packed(
        gzip.compress(LEAD[:9]) + gzip.compress(b"") * 3 + gzip.compress(LEAD[9:]), "gzip"
    ),
    "zeros behind it": packed(gzip.compress(LEAD) + bytes(700), "gzip"),
    "identity": packed(LEAD, "identity"),
    "identity twice": packed(LEAD, "identity", "identity"),
    "identity and gzip": packed(gzip.compress(LEAD), "identity, gzip"),
    "gzip, then identity in a line of its own": packed(gzip.compress(LEAD), "gzip", "identity"),
    "empty names": packed(gzip.compress(LEAD), ", gzip ,"),
    "deflate": packed(zlib.compress(LEAD), "deflate"),
    "deflate without its frame": packed(raw_deflate(LEAD), "deflate"),
}
BAD = {
    "deflate that is none": packed(LEAD, "deflate"),
    "deflate cut short": packed(zlib.compress(LEAD)[:-5], "deflate"),
    "deflate of one byte": packed(b"x", "deflate"),
    "deflate with bytes behind it": packed(zlib.compress(LEAD) + b"OK", "deflate"),
    "gzip twice": packed(gzip.compress(gzip.compress(LEAD)), "gzip, gzip"),
    "deflate in gzip": packed(gzip.compress(zlib.compress(LEAD)), "deflate", "gzip"),
    "br": packed(LEAD, "br"),
    "an odd name": packed(LEAD, "\x1b[31m" + "x" * 300),
}


@pytest.mark.parametrize("pieces", ["whole", "byte by byte"])
async def test_what_the_rfcs_allow_is_read(pieces: str) -> None:
    raws = list(GOOD.values())
    async with (
        ScriptedServer(answers(*raws)) as server,
        AsyncClient(KEY, base_url=server.url, rate_limit=MANY) as client,
    ):
        for name in GOOD:
            assert (await client.leads.get(7)).name == "José", name
    for coding, content in (("deflate", zlib.compress(LEAD)), ("deflate", raw_deflate(LEAD))):
        size = len(content) if pieces == "whole" else 1
        unpacking = make_decompressor(coding)
        parts = [content[at : at + size] for at in range(0, len(content), size)]
        assert b"".join(b"".join(unpacking.feed(part)) for part in parts) == LEAD
        unpacking.end()


@pytest.mark.parametrize("name", BAD)
async def test_the_rest_is_a_typed_error(name: str) -> None:
    async with (
        ScriptedServer(answers(BAD[name])) as server,
        AsyncClient(KEY, base_url=server.url) as client,
    ):
        with pytest.raises(UnexpectedResponseError, match="which was not asked for") as caught:
            await client.leads.get(7)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_an_empty_deflate_body_is_accepted() -> None:
    unpacking = make_decompressor("deflate")
    assert list(unpacking.feed(b"")) == []
    unpacking.end()


class TestWhatAPageUnpacksTo:
    """A page of a few kilobytes that holds a million items, or what is larger than it looks."""

    @pytest.mark.parametrize(
        ("of", "part"),
        [("pages", b"{}"), ("pages", b'{"id":1}'), ("cursors", b"0"), ("users", b"[]")],
    )
    async def test_is_bounded_before_it_is_built(self, part: bytes, of: str) -> None:
        page = body_of([part] * (2 * MEGABYTE // (len(part) + 1)))
        raw = packed(gzip.compress(page, 9), "gzip")
        assert len(raw) < 32_000
        async with client_of_list(lambda _: raw) as client:
            tracemalloc.start()
            try:
                with pytest.raises(UnexpectedResponseError, match="the answer is too large"):
                    await read(client, of)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        assert peak < 24 * MEGABYTE

    async def test_as_many_items_as_are_allowed_come(self) -> None:
        page = body_of([b'{"id":1}'] * MOST_ITEMS)
        async with client_of_list(lambda _: page) as client:
            assert len(await client.leads.list().collect()) == MOST_ITEMS

    @pytest.mark.parametrize("of", ["any pages", "cursors"])
    async def test_in_a_short_answer_they_are_counted_too(self, of: str) -> None:
        page = body_of([b"0"] * (MOST_ITEMS + 1))
        async with client_of_list(lambda _: page) as client:
            with pytest.raises(UnexpectedResponseError, match="holds more than 10,000 items"):
                await read(client, of)


async def read(client: AsyncClient, of: str) -> object:
    match of:
        case "pages":
            return await client.leads.list().collect()
        case "any pages":
            return await client.paginate("/x").collect()
        case "cursors":
            return await client.paginate("/x", paging=Cursor("cursor", "meta.next")).collect()
        case _:
            return await client.users.list()

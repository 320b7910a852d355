"""Asks what a lead costs when a whole list is streamed, against decoding its bytes and no more.

    python -m benchmarks.stream [--quick]

100,000 leads in pages of 200. The other side is msgspec decoding the same pages to the same
structs, without a network. The memory is that of a process of its own: how far it grows between
the second page and the last.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec

from benchmarks.calls import OURS, OVER_AIOHTTP, over_aiohttp
from benchmarks.harness import (
    NO_BUDGET,
    Report,
    Row,
    alternating,
    middle,
    program,
    ratios,
    resident,
    there,
)
from benchmarks.loopback import Book, serving
from syncro_async import AsyncClient, Lead
from syncro_async.sandbox import FULL_KEY

PAGE = 200
LEADS = 100_000
ROUNDS = 5
COST, MEMORY = "CPU a lead streamed against msgspec alone", "memory a stream adds"
BARS = {OURS: 5.0, OVER_AIOHTTP: 3.0}
GROWTH = 8.0


class Listing(msgspec.Struct):
    """A page of `GET /leads`."""

    data: list[Lead]
    meta: dict[str, Any]
    success: bool = True


async def stream(url: str, transport: Any = None) -> int:
    """Read all leads there are, the usual way."""
    count = 0
    async with AsyncClient(
        FULL_KEY, base_url=url, rate_limit=NO_BUDGET, transport=transport
    ) as syncro:
        async for _ in syncro.leads.list(page_size=PAGE):
            count += 1
    return count


async def stream_over_aiohttp(url: str) -> int:
    """The same through the other transport."""
    return await stream(url, over_aiohttp())


STREAMS = {OURS: stream, OVER_AIOHTTP: stream_over_aiohttp}


class Decoding:
    """Msgspec, and what it costs: not what it takes to have the bytes."""

    def __init__(self, leads: int) -> None:
        self._book = Book(list(range(1, leads + 1)))
        self._read = msgspec.json.Decoder(Listing, strict=False).decode
        self._pages = leads // PAGE

    def once(self) -> float:
        """Decode every page (s of CPU)."""
        spent = 0.0
        for number in range(1, self._pages + 1):
            page = self._book.page(number, PAGE)
            began = time.process_time()
            for _ in self._read(page).data:
                pass
            spent += time.process_time() - began
        return spent


async def costs(url: str, decoding: Decoding, rounds: int) -> dict[str, list[float]]:
    """Seconds of CPU for the list, by who; msgspec alone is `decoding`."""
    base: list[float] = []

    async def decode() -> None:
        base.append(decoding.once())

    works = {name: partial(run, url) for name, run in usable()}
    found = await alternating({"decoding": decode, **works}, rounds)
    return {**found, "decoding": base[1:]}


def usable() -> Iterator[tuple[str, Any]]:
    """The streams that can be had here."""
    for name, run in STREAMS.items():
        if name != OVER_AIOHTTP or there("httpx_aiohttp"):
            yield name, run


def growth(name: str, url: str) -> float:
    """How far this process grows while it streams (MB); for a process of its own."""

    async def watch() -> float:
        most, first, count = 0.0, 0.0, 0
        transport = over_aiohttp() if name == OVER_AIOHTTP else None
        async with AsyncClient(
            FULL_KEY, base_url=url, rate_limit=NO_BUDGET, transport=transport
        ) as syncro:
            async for _ in syncro.leads.list(page_size=PAGE):
                count += 1
                if count % PAGE == 0:
                    most = max(most, resident())
                    first = most if count <= 2 * PAGE else first
        return most - first

    return asyncio.run(watch())


def ask(quick: bool) -> Report:
    """Measure, and hold it against the bars."""
    leads, rounds = (1_000, 1) if quick else (LEADS, ROUNDS)
    rows = []
    with serving(leads=leads) as server:
        found = asyncio.run(costs(server.url, Decoding(leads), rounds))
        context = multiprocessing.get_context("spawn")
        grown = {}
        for name, _ in usable():
            with context.Pool(1) as pool:
                grown[name] = pool.apply(growth, (name, server.url))
    base = found.pop("decoding")
    for name, took in found.items():
        ratio, noise = middle(ratios(took, base))
        spent = (
            f"{middle(took)[0] / leads * 1e6:.1f} µs against {middle(base)[0] / leads * 1e6:.1f} µs"
        )
        rows.append(Row(COST, name, ratio, "×", noise, BARS[name], beside=spent))
        rows.append(Row(MEMORY, name, grown[name], "MB", bar=GROWTH, beside=f"{leads:,} leads"))
    return Report(rows)


if __name__ == "__main__":
    sys.exit(program(__doc__, ask, "httpx-aiohttp", "aiohttp"))

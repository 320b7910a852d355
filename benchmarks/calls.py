"""Asks what one `leads.get` costs, against httpx and msgspec alone, by the number of callers.

    python -m benchmarks.calls [--quick]

No budget stands in the way: the limiter counts every call, and none has to wait. The other side
is the least one can write: `httpx.AsyncClient.get`, and a msgspec decoder for the same struct. It
has a connection for each caller, because that many are to be on the wire; the pool that httpx
comes with, which lets 100 through and queues the rest, is a row of its own. One caller is answered
at once, several after 20 ms. Cost is the CPU time of this process; the server has another.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import httpx
import msgspec

from benchmarks.harness import (
    NO_BUDGET,
    Report,
    Row,
    alternating,
    callers,
    middle,
    program,
    ratios,
    there,
)
from benchmarks.loopback import serving
from syncro_async import AsyncClient, Lead
from syncro_async.sandbox import FULL_KEY

Get = Callable[[int], Awaitable[object]]
QUESTION = "CPU a `leads.get` against raw httpx + msgspec"
RAW, OURS, OVER_AIOHTTP = "httpx + msgspec", "syncro_async", "syncro_async over httpx-aiohttp"
DEFAULT_POOL = "httpx + msgspec, its default pool"
# Callers at once, and calls in a round.
SIZES = {1: 400, 500: 500}
ROUNDS, COLD_ROUNDS = 5, 2
# Of an answer (s), where there are several callers: without it only a few would be on the wire.
LATENCY = 0.02
BARS = {(1, OURS): 1.0, (500, OURS): 0.35, (500, OVER_AIOHTTP): 0.10}


class Answer(msgspec.Struct):
    """The answer to `GET /leads/{id}`."""

    lead: Lead
    success: bool = True


@asynccontextmanager
async def raw(url: str, connections: int | None = None) -> AsyncIterator[Get]:
    """Httpx and msgspec, and nothing else; with its own limits, or for so many connections."""
    read = msgspec.json.Decoder(Answer, strict=False).decode
    headers = {"X-API-Key": FULL_KEY, "Accept": "application/json"}
    most, kept = (100, 20) if connections is None else (connections, connections)
    limits = httpx.Limits(max_connections=most, max_keepalive_connections=kept)
    async with httpx.AsyncClient(headers=headers, timeout=60.0, limits=limits) as client:

        async def get(number: int) -> Lead:
            answer = await client.get(f"{url}/leads/{number}")
            return read(answer.raise_for_status().content).lead

        yield get


@asynccontextmanager
async def ours(url: str, **options: Any) -> AsyncIterator[Get]:
    """This package."""
    async with AsyncClient(FULL_KEY, base_url=url, rate_limit=NO_BUDGET, **options) as syncro:
        yield syncro.leads.get


def over_aiohttp() -> Any:
    """The transport of the extra `aiohttp`."""
    from httpx_aiohttp import AiohttpTransport

    return AiohttpTransport()


Found = dict[str, list[float]]


def sides(number: int) -> dict[str, Callable[[str], Any]]:
    """Who is measured with so many callers."""
    made: dict[str, Callable[[str], Any]] = {RAW: partial(raw, connections=number), OURS: ours}
    if number > 100:
        made[DEFAULT_POOL] = raw
    if there("httpx_aiohttp"):
        made[OVER_AIOHTTP] = lambda url: ours(url, transport=over_aiohttp())
    return made


async def measure(url: str, number: int, calls: int, rounds: int) -> Found:
    """Seconds of CPU a call by so many callers, by who."""
    async with AsyncExitStack() as stack:
        gets = {
            name: await stack.enter_async_context(make(url)) for name, make in sides(number).items()
        }
        works = {name: callers(number, calls, get) for name, get in gets.items()}
        warm_up = {name: callers(number, number, get) for name, get in gets.items()}
        costs = await alternating(works, rounds, warm_up)
    return {name: [each / calls for each in took] for name, took in costs.items()}


async def measure_cold(url: str, number: int, rounds: int) -> Found:
    """The same where each caller makes one call, and no connection is open."""

    async def burst(make: Callable[[str], Any]) -> None:
        async with make(url) as get:
            await callers(number, number, get)()

    works = {name: partial(burst, make) for name, make in sides(number).items()}
    costs = await alternating(works, rounds)
    return {name: [each / number for each in took] for name, took in costs.items()}


def rows_of(found: Found, number: int, when: str = "") -> list[Row]:
    """Each of them against httpx and msgspec."""
    rows = []
    base = middle(found[RAW])[0]
    for name in [name for name in found if name != RAW]:
        ratio, noise = middle(ratios(found[name], found[RAW]))
        spent = f"{middle(found[name])[0] * 1e3:.2f} ms against {base * 1e3:.2f} ms"
        who = f"{name}, {number} caller{'s' * (number > 1)}{when}"
        bar = None if when else BARS.get((number, name))
        rows.append(Row(QUESTION, who, ratio, "×", noise, bar, beside=spent))
    return rows


def ask(quick: bool) -> Report:
    """Measure, and hold it against the bars."""
    sizes, rounds = ({1: 5, 10: 10}, 1) if quick else (SIZES, ROUNDS)
    found = {}
    for number, calls in sizes.items():
        latency = LATENCY if number > 1 else 0.0
        with serving(latency=(latency, latency)) as server:
            found[number] = asyncio.run(measure(server.url, number, calls, rounds))
    most = max(sizes)
    with serving(latency=(LATENCY, LATENCY)) as server:
        cold = asyncio.run(measure_cold(server.url, most, min(COLD_ROUNDS, rounds)))
    rows = [row for number, costs in found.items() for row in rows_of(costs, number)]
    rows += rows_of(cold, most, ", no connection open yet")
    return Report(rows)


if __name__ == "__main__":
    sys.exit(program(__doc__, ask, "httpx-aiohttp", "aiohttp"))

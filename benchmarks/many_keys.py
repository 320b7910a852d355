"""Asks what a thousand keys in one process cost, against one key without a limit.

    python -m benchmarks.many_keys [--quick]

Both sides make the same calls, 100 at once over the aiohttp transport: through a thousand
clients, each with a key and a budget of its own and all with one set of connections, and through
one client whose budget is never in the way. Counted are calls in a second of CPU, so that a busy
machine does not decide.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

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
from syncro_async import AsyncClient, RateLimit

KEYS, CALLS, AT_ONCE, ROUNDS = 1_000, 4_000, 100, 6
BAR = 0.9
QUESTION = "calls a second with many keys against one key without a limit"

Call = Callable[[int], Awaitable[object]]


@asynccontextmanager
async def connections() -> AsyncIterator[Callable[[], Any]]:
    """One set of connections, and transports that all use it."""
    import aiohttp
    from httpx_aiohttp import AiohttpTransport

    context = ssl.create_default_context()
    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield lambda: AiohttpTransport(client=session, verify=context)


async def measure(url: str, keys: int, calls: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of CPU for these calls, with many keys and with one."""
    async with AsyncExitStack() as stack:
        transport = await stack.enter_async_context(connections())

        async def client(number: int, rate: RateLimit) -> AsyncClient:
            made = AsyncClient(
                f"crm_{number}",
                base_url=url,
                rate_limit=rate,
                transport=transport(),
                max_connections=AT_ONCE,
            )
            return await stack.enter_async_context(made)

        one = await client(0, NO_BUDGET)
        # Never too few: the calls of all rounds together are spread over the keys.
        enough = RateLimit(max(60, calls * (rounds + 2) // keys), 60.0)
        many = [await client(1 + number, enough) for number in range(keys)]
        order = iter(range(calls * (rounds + 2)))

        async def by_turns(number: int) -> None:
            await many[next(order) % keys].leads.get(number)

        works = {
            "one": callers(AT_ONCE, calls, one.leads.get),
            "many": callers(AT_ONCE, calls, by_turns),
        }
        return await alternating(works, rounds)


def ask(quick: bool) -> Report:
    """Measure, and hold it against the bar."""
    if not there("httpx_aiohttp"):
        return Report([])
    keys, calls, rounds = (20, 100, 1) if quick else (KEYS, CALLS, ROUNDS)
    with serving() as server:
        found = asyncio.run(measure(server.url, keys, calls, rounds))
    ratio, noise = middle(ratios(found["one"], found["many"]))
    speeds = {name: calls / middle(took)[0] for name, took in found.items()}
    beside = f"{speeds['many']:,.0f} against {speeds['one']:,.0f} calls in a second of CPU"
    who = f"{keys:,} keys"
    return Report([Row(QUESTION, who, ratio, "×", noise, BAR, at_least=True, beside=beside)])


if __name__ == "__main__":
    sys.exit(program(__doc__, ask, "httpx-aiohttp", "aiohttp"))

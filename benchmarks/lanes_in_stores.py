"""Asks how long the visitors of one process wait for budget beside the bulk jobs of two others.

    python -m benchmarks.lanes --stores [--quick]

Real processes share a key in an SQLite file, in Redis, and in Redis 1 ms away, 60 calls in 6 s: a
tenth of the minute, so that all other times are a tenth too, but not the way to server and store.
Each bulk process has twenty workers that always want more. In the third process visitors come as in
`benchmarks.lanes`, and each waits at most 1 s for its slot. The waits are those until the answer is
there. The visitors of the first window
are left out, because bulk jobs that ran before have used its slots. The server is a socket that
counts the requests that arrive, and answers after 5 to 80 ms. The share of the bound is that of the
calls after the first window. Everything stays on the loopback.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from benchmarks.chaos import Server
from benchmarks.harness import Report, Row
from benchmarks.proxy import farther_away
from benchmarks.shared_budget import redis, redis_program
from syncro_async import AsyncClient, BudgetWaitError, RateLimit
from syncro_async.clock import SystemClock
from syncro_async.errors import SyncroError
from syncro_async.events import AnswerReceived, Event

RATE = RateLimit(60, 6.0)
WORKERS, MAX_WAIT = 20, 1.0
SECONDS, QUICK_SECONDS = 60.0, 12.0
BULK = "bulk"


def one_every_third(dice: random.Random) -> Iterator[tuple[float, int]]:
    """One visitor every 0.3 s."""
    del dice
    while True:
        yield 0.3, 1


def at_random(dice: random.Random) -> Iterator[tuple[float, int]]:
    """Thirty in a window, one independent of the other."""
    while True:
        yield dice.expovariate(5.0), 1


def ten_at_once(dice: random.Random) -> Iterator[tuple[float, int]]:
    """Ten together, every 3 s."""
    del dice
    while True:
        yield 3.0, 10


# How visitors come, how many of them may be refused (%), and the longest wait of 95 of 100 (s): a
# tenth of the bars of `lanes`, and 0.15 s for the way to the store and to the server.
VISITS: dict[str, Callable[[random.Random], Iterator[tuple[float, int]]]] = {
    "one every 0.3 s": one_every_third,
    "30 in 6 s, at random": at_random,
    "ten at once, every 3 s": ten_at_once,
}
BARS = {"one every 0.3 s": (0.0, 0.26), "30 in 6 s, at random": (0.0, 0.5)}
BAR_OF_CROWDS = (1.0, MAX_WAIT + 0.15)
# The bulk processes run alone for so long, and visitors count after one more window (s).
_ALONE = 1.0
# How long processes may take to start and to end (s).
_PATIENCE = 60.0


class Ends(NamedTuple):
    """What one process saw; `visitors` and `refused` are those after the first window."""

    visitors: int
    refused: int
    lost: int
    waits: list[float]
    latencies: float
    answered: int


class Work:
    """One process: endless bulk workers, or visitors of one kind, for so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._clock = SystemClock()
        begins = self._clock.monotonic()
        self._until = begins + seconds
        self._counts_from = begins + _ALONE + RATE.hold_seconds
        self._waits: list[float] = []
        self._visitors = self._refused = self._lost = self._answered = 0
        self._latencies = 0.0

    async def play(self, role: str, base_url: str, limiter: str) -> Ends:
        """Make calls until the time is over."""
        async with (
            AsyncClient(
                "lanes", base_url=base_url, limiter=limiter, rate_limit=RATE, observers=[self._see]
            ) as syncro,
            asyncio.TaskGroup() as group,
        ):
            if role == BULK:
                for _ in range(WORKERS):
                    group.create_task(self._bulk(syncro.with_options(lane="bulk")))
            else:
                await self._clock.sleep(_ALONE)
                patient = syncro.with_options(max_wait=MAX_WAIT)
                for gap, number in VISITS[role](random.Random(1)):  # noqa: S311 - no secret
                    await self._clock.sleep(gap)
                    if self._clock.monotonic() >= self._until:
                        break
                    for _ in range(number):
                        group.create_task(self._visit(patient))
        seen = self._visitors, self._refused, self._lost
        return Ends(*seen, self._waits, self._latencies, self._answered)

    def _see(self, event: Event) -> None:
        if isinstance(event, AnswerReceived):
            self._answered += 1
            self._latencies += event.latency

    async def _bulk(self, syncro: AsyncClient) -> None:
        while self._clock.monotonic() < self._until:
            try:
                await syncro.request("GET", "/x")
            except SyncroError:
                self._lost += 1

    async def _visit(self, syncro: AsyncClient) -> None:
        came = self._clock.monotonic()
        counts = came >= self._counts_from
        self._visitors += counts
        try:
            await syncro.request("GET", "/x")
        except BudgetWaitError:
            self._refused += counts
        except SyncroError:
            self._lost += 1
        else:
            if counts:
                self._waits.append(self._clock.monotonic() - came)


async def measured(limiter: str, visits: str, seconds: float) -> tuple[Ends, float, int]:
    """What the visitors saw, the share of the bound (%), and the fullest window of the server."""
    server = Server(random.Random(1), RATE.seconds)  # noqa: S311 - no secret
    async with await asyncio.start_server(server, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        about = (f"http://127.0.0.1:{port}", limiter, str(seconds))
        command = (sys.executable, "-m", "benchmarks.lanes_in_stores")
        processes = [
            await asyncio.create_subprocess_exec(
                *command, role, *about, stdout=asyncio.subprocess.PIPE
            )
            for role in (BULK, BULK, visits)
        ]
        try:
            async with asyncio.timeout(seconds + _PATIENCE):
                said = [(await process.communicate())[0] for process in processes]
        finally:
            for process in processes:
                if process.returncode is None:
                    process.kill()
    ends = [Ends(*json.loads(text)) for text in said]
    latency = sum(end.latencies for end in ends) / sum(end.answered for end in ends)
    arrivals = server.arrivals
    # Whole windows, as in `lanes`, are too coarse for so few: the rate after the first window.
    began = arrivals[0] + _ALONE + RATE.hold_seconds
    later = [at for at in arrivals if at >= began]
    bound = len(later) / RATE.calls * (RATE.hold_seconds + latency)
    lost = sum(end.lost for end in ends)
    share = 100.0 * bound / (arrivals[-1] - began)
    return ends[-1]._replace(lost=lost), share, server.most_in_a_window()


@contextmanager
def places() -> Iterator[dict[str, str]]:
    """Where the budget is kept: name and URL. Without a redis-server only SQLite."""
    redis_server = redis_program()
    with tempfile.TemporaryDirectory() as folder:
        file = {"SQLite": f"sqlite://{Path(folder).resolve()}/budget.db"}
        if redis_server is None:
            yield file
            return
        with redis(redis_server) as url:
            port = urlsplit(url).port or 0
            with farther_away(port, 0.001) as near:
                yield file | {"Redis": f"{url}", "Redis 1 ms away": f"redis://127.0.0.1:{near}/1"}


def ask(quick: bool) -> Report:
    """Measure each store with each kind of visits."""
    rows = []
    seconds = QUICK_SECONDS if quick else SECONDS
    with places() as known:
        for (store, url), visits in itertools.product(known.items(), VISITS):
            seen, share, fullest = asyncio.run(measured(url, visits, seconds))
            who = f"{store}: {visits}"
            refused = 100.0 * seen.refused / max(1, seen.visitors)
            waits = sorted(seen.waits) or [0.0]
            wait = waits[int(0.95 * (len(waits) - 1))]
            most, longest = BARS.get(visits, BAR_OF_CROWDS)
            rows += [
                Row("visitors refused beside two bulk jobs", who, refused, "%", bar=most),
                Row("wait of 95 of 100 visitors", who, wait, "s", bar=longest),
                Row("all calls, of the bound", who, share, "%", bar=90.0, at_least=True),
                Row("calls in the fullest window", who, fullest, "", bar=RATE.calls),
                Row("calls that failed in another way", who, seen.lost, "", bar=0),
            ]
    return Report(rows)


def main(arguments: Sequence[str]) -> int:
    """One of the processes."""
    role, base_url, limiter, seconds = arguments
    print(json.dumps(asyncio.run(Work(float(seconds)).play(role, base_url, limiter))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

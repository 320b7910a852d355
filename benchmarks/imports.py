"""Imports many rows in virtual time, against a sandbox that answers after 10 to 500 ms.

    python benchmarks/imports.py [--rows 50000] [--memory]

The first row of the table imports new leads. The second imports as many again of which one in ten
has changed: all leads are read first, and only changes are sent.

*Of the bound* is floor((n − 1) / 60) · (W + guard + mean latency) / elapsed for n requests: nobody
who knows only when calls were sent and answered can safely be faster. With `--memory` the import of
new leads is made once more while every allocation is traced, which takes several times as long;
what the sandbox holds is left out, for on a server it would be elsewhere.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import platform
import random
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syncro_async import AsyncClient, ImportSummary, Progress, RateLimit, __version__
from syncro_async.events import AnswerReceived, Event
from syncro_async.sandbox import FULL_KEY, Sandbox
from syncro_async.testing import FakeClock
from syncro_async.transport.http_engine import in_process_transport

RATE = RateLimit(60, 60.0)
SANDBOX = str(Path("syncro_async", "sandbox"))
LOOKS = 10


@dataclass(slots=True)
class Latencies:
    """An observer that adds the latencies up."""

    answers: int = 0
    seconds: float = 0.0

    def __call__(self, event: Event) -> None:
        """Take one event of the client."""
        if isinstance(event, AnswerReceived):
            self.answers += 1
            self.seconds += event.latency


@dataclass(frozen=True, slots=True)
class Measured:
    """One import: what it did, how near the bound it came, and what it cost."""

    summary: ImportSummary
    refused: int
    share: float
    wall: float


def rows_of(count: int, changed: Callable[[int], bool] = bool) -> Iterator[dict[str, Any]]:
    """Rows as a program would make them; those that are `changed` have another value."""
    for number in range(count):
        yield {
            "name": f"Lead {number}",
            "email": f"lead.{number}@example.com",
            "phone": f"+55119{number:08}",
            "pipeline_id": 1,
            "stage_id": 4,
            "value": number + 0.5 * changed(number),
            "source": "site",
        }


def a_tenth(number: int) -> bool:
    """Whether a row is the one of ten that has changed."""
    return number % 10 == 3


def none(_: int) -> bool:
    """No row has changed."""
    return False


class Distant:
    """A sandbox whose every answer takes 10 to 500 ms of virtual time."""

    def __init__(self, sandbox: Sandbox, clock: FakeClock, seed: int) -> None:
        self._app: Any = sandbox.app
        self._clock = clock
        self._dice = random.Random(seed)  # noqa: S311  # to be the same every time

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Take half of the time on the way there and half on the way back."""
        latency = self._dice.uniform(0.010, 0.500)
        await self._clock.sleep(latency / 2)

        async def send_later(message: Any) -> None:
            if message["type"] == "http.response.start":
                await self._clock.sleep(latency / 2)
            await send(message)

        await self._app(scope, receive, send_later)


async def measure(
    rows: int, *, again: bool = False, journal: Path | None = None, seed: int = 1
) -> list[Measured]:
    """Import that many new leads; with `again` a second time, a tenth of them changed."""
    clock = FakeClock()
    sandbox = Sandbox(0, clock=clock)
    transport = in_process_transport(Distant(sandbox, clock, seed))
    base_url = "http://localhost/api/v1"
    measured = []
    latencies = Latencies()
    async with AsyncClient(
        FULL_KEY, base_url=base_url, clock=clock, transport=transport, observers=(latencies,)
    ) as syncro:
        bulk = syncro.bulk
        measured.append(
            await _one(sandbox, latencies, bulk.upsert_leads(rows_of(rows, none), journal=journal))
        )
        if again:
            await clock.sleep(RATE.hold_seconds)
            work = bulk.upsert_leads(rows_of(rows, a_tenth))
            measured.append(await _one(sandbox, latencies, work))
    return measured


async def _one(sandbox: Sandbox, latencies: Latencies, work: Awaitable[ImportSummary]) -> Measured:
    answers, seconds, refused = latencies.answers, latencies.seconds, sandbox.refused
    began = time.perf_counter()
    summary = await work
    wall = time.perf_counter() - began
    mean = (latencies.seconds - seconds) / (latencies.answers - answers)
    bound = (summary.requests - 1) // RATE.calls * (RATE.hold_seconds + mean)
    return Measured(summary, sandbox.refused - refused, bound / summary.seconds, wall)


async def growth(rows: int) -> float:
    """How much more memory the client's side of an import takes at most than before it (MB)."""
    clock = FakeClock()
    sandbox = Sandbox(0, clock=clock)
    transport = in_process_transport(Distant(sandbox, clock, 1))
    most = 0

    def look(progress: Progress) -> None:
        nonlocal most
        if progress.done % max(1, rows // LOOKS) == 0:
            most = max(most, _ours())

    async with AsyncClient(
        FULL_KEY, base_url="http://localhost/api/v1", clock=clock, transport=transport
    ) as syncro:
        await syncro.leads.list().first()
        tracemalloc.start()
        try:
            before = _ours()
            await syncro.bulk.upsert_leads(rows_of(rows, none), on_progress=look)
        finally:
            tracemalloc.stop()
    return (most - before) / 1e6


def _ours() -> int:
    """Bytes held now by everything but the sandbox (and this look)."""
    gc.collect()
    traces = tracemalloc.take_snapshot().statistics("filename")
    return sum(trace.size for trace in traces if SANDBOX not in trace.traceback[0].filename)


def main(words: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--memory", action="store_true")
    given = parser.parse_args(words)
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, syncro_async {__version__};"
        f" {given.rows} rows, {RATE.calls} in {RATE.seconds:.0f} s\n"
    )
    print("| import | created | updated | unchanged | requests | 429s | of the bound | took |")
    print("|---|---|---|---|---|---|---|---|")
    names = ("of new leads", "a tenth changed")
    for name, one in zip(names, asyncio.run(measure(given.rows, again=True)), strict=True):
        said = one.summary
        print(
            f"| {name} | {said.created} | {said.updated} | {said.unchanged} | {said.requests}"
            f" | {one.refused} | {one.share:.2%} | {said.seconds / 3600:.2f} virtual h,"
            f" {one.wall:.0f} s |"
        )
    if given.memory:
        print(f"\nThe client's memory grew by {asyncio.run(growth(given.rows)):.1f} MB at most.")


if __name__ == "__main__":
    main()

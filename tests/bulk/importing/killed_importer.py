"""A program that imports a file, is killed again and again, and at last allowed to finish.

    python killed_importer.py URL KIND ROWS JOURNAL KILLS SEED

It prints the summary of the last run as JSON. The client's clock runs ten times as fast as the
machine's, so that waiting for a lost request to arrive late does not take all day.
"""

from __future__ import annotations

import asyncio
import os
import random
import select
import signal
import sys
import time
from collections.abc import Callable

import msgspec

from syncro_async import AsyncClient, ImportSummary, RateLimit
from syncro_async.clock import SystemClock, Timer
from syncro_async.sandbox import FULL_KEY

SPEED = 10.0
LONGEST_RUN = 0.7


class FastClock(SystemClock):
    """The machine's clock, ten times as fast; the calendar is everybody's."""

    def monotonic(self) -> float:
        return time.monotonic() * SPEED

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / SPEED)

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        return super().call_at(when / SPEED, callback)


async def run(url: str, kind: str, rows: str, journal: str) -> ImportSummary:
    rate = RateLimit(8, 2.0, guard=0.0)  # forty requests in a second of the machine's clock
    async with AsyncClient(FULL_KEY, base_url=url, rate_limit=rate, clock=FastClock()) as syncro:
        work = syncro.bulk.create_leads if kind == "create" else syncro.bulk.upsert_leads
        return await work(rows, journal=journal, max_failures=0)


def killed(work: Callable[[], object], after: float) -> bool:
    """Do the work in a process of its own; kill it then, unless it has ended before."""
    heard, held = os.pipe()
    child = os.fork()
    if not child:
        work()
        os._exit(0)
    os.close(held)  # the child holds the other end until it ends
    ended, _, _ = select.select([heard], [], [], after)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(heard)
    return not ended


def main(kills: int, seed: int, work: Callable[[], ImportSummary]) -> None:
    dice = random.Random(seed)  # noqa: S311  # to be the same every time
    while kills:
        kills -= killed(work, dice.uniform(0.0, LONGEST_RUN))
    sys.stdout.write(msgspec.json.encode(work()).decode())


if __name__ == "__main__":
    url, kind, rows, journal, kills, seed = sys.argv[1:]
    main(int(kills), int(seed), lambda: asyncio.run(run(url, kind, rows, journal)))

"""Asks what the queue for budget costs: a place in it, and a slot that is free.

    python -m benchmarks.queueing [--quick]

The limiter alone, without requests. A waiter is a task that acquires a slot and settles it once
it has it; they pass through windows of 60 calls in virtual time, and what the clock costs that
jumps for them is in the figure, but not what garbage collection costs: it looks at all tasks there
are, so it takes longer for each the more there are, also where they wait for nothing of ours. The
bytes of a waiter are those of task and coroutine too.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import tracemalloc
from collections.abc import Iterator

from benchmarks.harness import Report, Row, middle, program
from benchmarks.shared_budget import cost, places, shared
from syncro_async import RateLimit
from syncro_async.clock import SystemClock
from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.limiting.protocol import Answered
from syncro_async.testing.fake_clock import FakeClock

ROUNDS = 15
SLOTS = 1_000
# Where nothing grows; more would show in the noise.
GROWTH = 1.1
WAITERS = (1_000, 10_000, 40_000)
WHO = "acquire and settle"
FREE, PLACE, BYTES = "a slot that is free", "a waiter of {:,}", "memory of a waiter of {:,}"


async def free_slot() -> tuple[float, float]:
    """An acquire, and one with its settle (s of CPU)."""
    limiter = InProcessLimiter([RateLimit(SLOTS, 60.0)], SystemClock())
    gc.collect()
    began = time.process_time()
    slots = [await limiter.acquire("interactive") for _ in range(SLOTS)]
    acquired = time.process_time()
    for slot in slots:
        await limiter.release(slot, Answered(0.0))
    ended = time.process_time()
    return (acquired - began) / SLOTS, (ended - began) / SLOTS


async def queue_time(waiters: int, *, collecting: bool = False) -> float:
    """From the first in the queue to the last out of it (s of CPU each)."""
    clock = FakeClock()
    limiter = InProcessLimiter([RateLimit(60, 60.0)], clock)

    async def wait() -> None:
        slot = await limiter.acquire("interactive")
        await limiter.release(slot, Answered(clock.monotonic()))

    gc.collect()
    if not collecting:
        gc.disable()
    began = time.process_time()
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(waiters):
                group.create_task(wait())
        return (time.process_time() - began) / waiters
    finally:
        gc.enable()


async def queue_bytes(waiters: int) -> float:
    """With every slot taken, and nobody moving."""
    limiter = InProcessLimiter([RateLimit(1, 60.0)], FakeClock(autojump=False))
    await limiter.acquire("interactive")
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tasks = [asyncio.ensure_future(limiter.acquire("interactive")) for _ in range(waiters)]
    await asyncio.sleep(0)
    gc.collect()
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return held / waiters


def shared_slots(rounds: int) -> Iterator[Row]:
    """The same where processes share the budget."""
    with places() as known:
        for name, url in known.items():
            if url is not None:
                took = cost(shared(url), rounds)
                yield Row(FREE, f"{WHO}, shared in {name}", took, "µs")


def ask(quick: bool) -> Report:
    """Measure, and hold it against the bars."""
    rounds = 1 if quick else ROUNDS
    alone = [asyncio.run(free_slot()) for _ in range(rounds)]
    acquired, noise = middle([acquire * 1e6 for acquire, _ in alone])
    whole = middle([both * 1e6 for _, both in alone])[0]
    rows = [Row(FREE, "acquire", acquired, "µs", noise, 5.0, beside=f"{whole:.1f} with settle")]
    first: dict[str, float] = {}
    for waiters in (100, 300) if quick else WAITERS:
        taken = [asyncio.run(queue_time(waiters)) * 1e6 for _ in range(1 if quick else 3)]
        spent, noise = middle(taken)
        held = asyncio.run(queue_bytes(waiters))
        collected = asyncio.run(queue_time(waiters, collecting=True)) * 1e6
        first.setdefault("µs", spent)
        beside = f"{collected:.1f} with garbage collection"
        rows.append(Row(PLACE.format(waiters), WHO, spent, "µs", noise, 20.0, beside=beside))
        beside = f"{held / first.setdefault('bytes', held):.2f} × that of the fewest"
        rows.append(
            Row(BYTES.format(waiters), "in the queue", held, "bytes", bar=2048, beside=beside)
        )
    growth = spent / first["µs"]
    beside = "from the fewest to the most"
    rows.append(Row("growth of a waiter's cost", WHO, growth, "×", bar=GROWTH, beside=beside))
    rows += shared_slots(1 if quick else 5)
    return Report(rows)


if __name__ == "__main__":
    sys.exit(program(__doc__, ask))

"""Thousands of keys in one process: what each costs, and that none is in another's way."""

from __future__ import annotations

import subprocess
import sys

import pytest

from syncro_async import RateLimit
from syncro_async.limiting.protocol import Answered, Throttled
from syncro_async.limiting.registry import in_process_limiter
from syncro_async.testing.fake_clock import FakeClock

MINUTE = (RateLimit(60, 60.0),)
# 10,000 keys are to cost less than 20 MB.
DEAREST = 30 * 2**20 / 10_000
# In a process of its own: what tables that others have filled grow by is no key's cost.
WEIGHING = """
import gc, tracemalloc
from syncro_async import AsyncClient, RateLimit, SystemClock
from syncro_async.limiting.registry import in_process_limiter

MINUTE, CLOCK = (RateLimit(60, 60.0),), SystemClock()
make = lambda key: {made}
keys = [f"key-{{number:06}}" for number in range(2_000)]
make("key-the-first")  # what is made once, for all of them
gc.collect()
tracemalloc.start()
kept = [make(key) for key in keys]
gc.collect()
print(tracemalloc.get_traced_memory()[0] / len(kept))
"""


@pytest.mark.parametrize(
    "made",
    [
        'in_process_limiter("http://fleet", key, MINUTE, CLOCK)',
        'AsyncClient(key, base_url="http://127.0.0.1/fleet")',
    ],
    ids=["its budget", "a client that has sent nothing yet"],
)
def test_a_key_costs_little(made: str) -> None:
    command = [sys.executable, "-c", WEIGHING.format(made=made)]
    weighed = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 0 < float(weighed.stdout) < DEAREST


async def test_a_key_that_waits_never_delays_another() -> None:
    clock = FakeClock()
    paused, used_up, free = (
        in_process_limiter("http://fleet", key, MINUTE, clock) for key in ("a", "b", "c")
    )
    await paused.release(await paused.acquire("bulk"), Throttled(3600.0))
    for _ in range(60):
        await used_up.release(await used_up.acquire("bulk"), Answered(0.0))
    assert (await free.acquire("bulk", max_wait=0.0)).taken_at == 0.0
    assert (await used_up.acquire("bulk")).taken_at == 60.25
    assert (await free.acquire("bulk", max_wait=0.0)).taken_at == 60.25

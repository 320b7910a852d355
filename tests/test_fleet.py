"""Thousands of keys in one process: what each costs, and that none is in another's way."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

from syncro_async import AsyncClient, RateLimit, SystemClock
from syncro_async.fake_clock import FakeClock
from syncro_async.limiting.limiter import Answered, Refused
from syncro_async.limiting.registry import in_process_limiter

MINUTE = (RateLimit(60, 60.0),)
MANY = 2_000
# 10,000 keys are to cost less than 20 MB.
DEAREST = 20 * 2**20 / 10_000


def bytes_each(make: Callable[[str], object]) -> float:
    keys = [f"key-{number:06}" for number in range(MANY)]
    make("key-the-first")  # what is made once, for all of them
    gc.collect()
    tracemalloc.start()
    try:
        kept = [make(key) for key in keys]
        gc.collect()
        return tracemalloc.get_traced_memory()[0] / len(kept)
    finally:
        tracemalloc.stop()


def test_the_budget_of_a_key_is_small() -> None:
    clock = SystemClock()
    assert bytes_each(lambda key: in_process_limiter("http://fleet", key, MINUTE, clock)) < DEAREST


def test_so_is_a_client_that_has_sent_nothing_yet() -> None:
    assert bytes_each(lambda key: AsyncClient(key, base_url="http://127.0.0.1/fleet")) < DEAREST


async def test_a_key_that_waits_never_delays_another() -> None:
    clock = FakeClock()
    paused, used_up, free = (
        in_process_limiter("http://fleet", key, MINUTE, clock) for key in ("a", "b", "c")
    )
    await paused.settle(await paused.acquire("bulk"), Refused(3600.0))
    for _ in range(60):
        await used_up.settle(await used_up.acquire("bulk"), Answered(0.0))
    assert (await free.acquire("bulk", patience=0.0)).taken_at == 0.0
    assert (await used_up.acquire("bulk")).taken_at == 60.25
    assert (await free.acquire("bulk", patience=0.0)).taken_at == 60.25

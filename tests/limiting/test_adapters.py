"""Limiters that a program brings along."""

from __future__ import annotations

import asyncio

import pytest
from aiolimiter import AsyncLimiter

from syncro_async import AsyncClient, BudgetWaitError, ConfigurationError, RateLimit
from syncro_async.clock import SystemClock
from syncro_async.limiting.adapters import AiolimiterAdapter
from syncro_async.limiting.protocol import Answered, Throttled
from syncro_async.sandbox import FULL_KEY, Sandbox, Trouble, serving
from syncro_async.testing import FakeClock


class Earlier:
    """A limiter with the method names of release 0.1."""

    rates = (RateLimit(60, 60.0),)

    async def acquire(self) -> None: ...

    def holds(self) -> bool:
        return True

    async def settle(self) -> None: ...


def test_the_earlier_method_names_are_refused_with_the_new_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"Earlier has holds\(\), which is now is_valid"):
        AsyncClient("key", limiter=Earlier())  # type: ignore[arg-type]


async def test_aiolimiters_limiter_limits_a_client() -> None:
    with serving(Sandbox(5)) as url:
        limiter = AsyncLimiter(3, 600.0)
        async with AsyncClient(FULL_KEY, base_url=url, limiter=limiter, max_wait=0.05) as client:
            assert client.budget().available == 3
            for number in range(1, 4):
                await client.leads.get(number)
            budget = client.budget()
            assert (budget.limit, budget.window, budget.available) == (3, 600.0, 0)
            assert (budget.in_flight, budget.waiting, budget.next_free_in) == (0, 0, 200.0)
            with pytest.raises(BudgetWaitError) as caught:
                await client.leads.get(1)
            assert caught.value.wait_needed == 200.0
            assert (await client.refresh_budget()).available == 0


async def test_a_429_pauses_all_its_calls() -> None:
    sandbox = Sandbox(5)
    sandbox.script(Trouble(status=429, headers={"Retry-After": "30"}))
    with serving(sandbox) as url:
        limiter = AsyncLimiter(30, 60.0)
        async with AsyncClient(FULL_KEY, base_url=url, limiter=limiter, max_wait=1.0) as client:
            with pytest.raises(Exception, match="429"):
                await client.leads.get(1)
            assert client.budget().gate_closed_for > 25.0
            with pytest.raises(BudgetWaitError):
                await client.leads.get(1)


async def test_a_slot_is_no_longer_valid_in_a_pause_and_the_pause_is_waited_for() -> None:
    clock = FakeClock()
    adapter = AiolimiterAdapter(AsyncLimiter(30, 60.0), clock)
    first, second = await adapter.acquire("bulk"), await adapter.acquire("interactive")
    assert adapter.is_valid(second)
    await adapter.release(first, Throttled(20.0))
    await adapter.release(first, Answered(clock.monotonic()))  # the second report changes nothing
    assert not adapter.is_valid(second)
    assert adapter.budget().in_flight == 1
    before = clock.monotonic()
    await adapter.acquire("bulk", max_wait=25.0)
    assert clock.monotonic() - before == 20.0


async def test_a_cancelled_call_leaves_the_queue() -> None:
    adapter = AiolimiterAdapter(AsyncLimiter(1, 600.0), SystemClock())
    await adapter.acquire("bulk")
    for max_wait in (None, 60.0):
        waiting = asyncio.ensure_future(adapter.acquire("bulk", max_wait=max_wait))
        await asyncio.sleep(0)
        assert adapter.budget().waiting == 1
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert adapter.budget().waiting == 0

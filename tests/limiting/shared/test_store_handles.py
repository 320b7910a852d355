"""One store for all clients of a process that name the same URL."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from syncro_async.clock import Clock, SystemClock
from syncro_async.errors import ConfigurationError
from syncro_async.limiting.budget.messages import Limit, SyncRequest, SyncResponse
from syncro_async.limiting.from_url import shared_limiter
from syncro_async.limiting.protocol import Answered
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.limiting.shared import store as leases
from syncro_async.limiting.shared.limiter import SharedLimiter
from syncro_async.limiting.shared.sqlite_store import SqliteStore
from syncro_async.limiting.shared.store import StoreHandle, StoreUnreachableError
from tests.limiting.shared.memory_store import MemoryStore
from tests.limiting.waiters import LoopThread, still_clock

TOLD = SyncRequest("a", "a", [Limit(1, 1.0)], 1.0, closes=True)
BASE_URL = "https://x.invalid"
TWO = RateLimit(2, 60.0)


class Store(MemoryStore):
    """Knows in which event loops it is open."""

    def __init__(self) -> None:
        super().__init__(still_clock())
        self.open_in: list[asyncio.AbstractEventLoop] = []
        self.closings = 0

    async def sync(self, key: str, visit: SyncRequest) -> SyncResponse:
        loop = asyncio.get_running_loop()
        if loop not in self.open_in:
            self.open_in.append(loop)
        return await super().sync(key, visit)

    async def aclose(self) -> None:
        self.open_in.remove(asyncio.get_running_loop())
        self.closings += 1


# Takes a lease of the store at the place of that name.
Leasing = Callable[..., StoreHandle]


@pytest.fixture
def clock() -> Clock:
    return still_clock()


@pytest.fixture
def stores() -> list[Store]:
    """Those that were made."""
    return []


@pytest.fixture
def lease(clock: Clock, stores: list[Store]) -> Leasing:
    def make() -> Store:
        stores.append(Store())
        return stores[-1]

    return lambda name="one": StoreHandle((name, clock), make)


async def test_two_of_one_place_have_one_store_and_the_last_one_closes_it(
    lease: Leasing, stores: list[Store]
) -> None:
    one, two = lease(), lease()
    await one.sync("k", TOLD)
    assert (await two.sync("k", TOLD)).leases_held == 0
    (store,) = stores
    await one.aclose()
    assert store.closings == 0
    await one.aclose()
    assert store.closings == 0
    await two.aclose()
    assert store.closings == 1
    with pytest.raises(ConfigurationError, match="closed"):
        await one.sync("k", TOLD)


async def test_other_places_have_other_stores(lease: Leasing, stores: list[Store]) -> None:
    one, two = lease("one"), lease("two")
    assert len(stores) == 2
    await one.aclose()
    await two.aclose()
    assert [store.closings for store in stores] == [0, 0]  # they were never used


async def test_it_is_forgotten_when_nobody_has_a_lease(
    clock: Clock, lease: Leasing, stores: list[Store]
) -> None:
    first, second = lease(), lease()
    del first
    assert [name for name, of in leases._registry.known if of is clock] == ["one"]
    await second.aclose()
    del second
    assert [name for name, of in leases._registry.known if of is clock] == []
    await lease().aclose()
    assert len(stores) == 2


async def test_in_each_event_loop_the_last_one_there_closes_it(
    lease: Leasing, stores: list[Store]
) -> None:
    here, there, everywhere = lease(), lease(), lease()
    with LoopThread() as thread:
        await here.sync("k", TOLD)
        await everywhere.sync("k", TOLD)
        thread.run(there.sync("k", TOLD))
        thread.run(everywhere.sync("k", TOLD))
        (store,) = stores
        assert store.open_in == [asyncio.get_running_loop(), thread.loop]
        await here.aclose()
        assert store.open_in == [asyncio.get_running_loop(), thread.loop]
        await everywhere.aclose()
        assert store.open_in == [thread.loop]
        thread.run(there.aclose())
        assert store.open_in == []


def test_event_loops_that_have_gone_are_forgotten(lease: Leasing, stores: list[Store]) -> None:
    one = lease()
    for _ in range(3):
        asyncio.run(one.sync("k", TOLD))
    assert not one._shared.used_in
    asyncio.run(one.aclose())
    assert stores[0].closings == 3  # each loop took its connections along


def test_so_are_those_that_were_closed_by_hand(lease: Leasing) -> None:
    one = lease()
    for _ in range(2):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(one.sync("k", TOLD))
        loop.close()
    assert list(one._shared.used_in) == [loop]


async def test_what_ends_with_the_event_loop_is_not_opened_anew(
    lease: Leasing, stores: list[Store]
) -> None:
    one = lease()
    await one.sync("k", TOLD)
    await one._shared.end(one._uses.get())  # as the loop does, in no order
    with pytest.raises(StoreUnreachableError, match="the event loop is ending"):
        await one.sync("k", TOLD)
    assert stores[0].open_in == []


def test_the_outcomes_of_the_last_calls_are_reported_when_the_event_loop_ends(
    tmp_path: Path,
) -> None:
    clock = SystemClock()
    handle = StoreHandle(("last", clock), lambda: SqliteStore(tmp_path / "budget.db", clock))
    limiter = SharedLimiter(handle, "k", [RateLimit(9, 60.0)], timeout=30.0, clock=clock)

    async def call() -> None:
        slot = await limiter.acquire("interactive")
        await limiter.release(slot, Answered(clock.monotonic()))

    async def counted() -> tuple[int, int]:
        await limiter.refresh()
        await limiter.aclose()
        return limiter.budget().in_flight, limiter.budget().used

    for _ in range(4):  # the event loop closes its things in no order
        asyncio.run(call())
    assert asyncio.run(counted()) == (0, 4)


# ------------------------------------------------------------------------------ as clients do it


@pytest.fixture
async def limiters(tmp_path: Path) -> AsyncIterator[dict[str, SharedLimiter]]:
    url = f"sqlite://{tmp_path}/budget.db"

    def of(api_key: str, *rates: RateLimit, base_url: str = BASE_URL) -> SharedLimiter:
        return shared_limiter(url, base_url, api_key, rates, timeout=5.0, clock=SystemClock())

    made = {
        "one": of("crm_1", TWO),
        "its twin": of("crm_1", TWO),
        "another key": of("crm_2", TWO),
        "another service": of("crm_1", TWO, base_url="https://y.invalid"),
        "other rates": of("crm_1", RateLimit(3, 60.0)),
    }
    yield made
    for limiter in made.values():
        await limiter.aclose()


async def test_clients_of_one_key_share_its_budget(limiters: dict[str, SharedLimiter]) -> None:
    slot = await limiters["one"].acquire("interactive")
    await limiters["its twin"].acquire("interactive")
    await limiters["one"].release(slot, Answered(SystemClock().monotonic()))
    await limiters["one"].refresh()
    budget = limiters["one"].budget()
    assert (budget.used, budget.in_flight, budget.available) == (1, 1, 0)


async def test_another_key_or_service_has_another_budget(
    limiters: dict[str, SharedLimiter],
) -> None:
    for name in ("one", "another key", "another service"):
        for _ in range(2):
            await limiters[name].acquire("interactive", max_wait=5.0)


async def test_other_rates_for_one_key_are_refused_while_the_first_are_in_use(
    limiters: dict[str, SharedLimiter],
) -> None:
    await limiters["one"].acquire("interactive")
    with pytest.raises(ConfigurationError, match=r"other rates \(2 in 60.25 s, guard included\)"):
        await limiters["other rates"].acquire("interactive")


async def test_closing_one_leaves_the_others_as_they_are(
    limiters: dict[str, SharedLimiter],
) -> None:
    await limiters["one"].acquire("interactive")
    await limiters["one"].aclose()
    await limiters["its twin"].acquire("interactive")
    assert limiters["its twin"].budget().in_flight == 2
    assert any(thread.name.startswith("syncro-budget") for thread in threading.enumerate())

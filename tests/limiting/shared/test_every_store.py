"""The same rules wherever the budget is kept: in memory, in an SQLite file, in Redis and Valkey."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from syncro_async.errors import BudgetWaitError
from syncro_async.limiting.budget.state import HEARTBEAT, OWNER_TTL
from syncro_async.limiting.protocol import Answered, NotCounted, SlotOutcome, Unknown
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.limiting.shared.limiter import SharedLimiter
from syncro_async.limiting.shared.sqlite_store import SqliteStore
from syncro_async.limiting.shared.store import Store, StoreUnreachableError
from syncro_async.testing.fake_clock import FakeClock
from tests.limiting.shared.memory_store import (
    TIMEOUT,
    InVirtualTime,
    Key,
    MemoryStore,
    RedisInVirtualTime,
)
from tests.limiting.waiters import still_clock, within_virtual_days
from tests.redis_server import PACKAGES, RedisServer, running

ONE = RateLimit(1, 60.0)


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, RedisServer]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(running(name)) for name in PACKAGES}


@pytest.fixture(params=["memory", "sqlite", *PACKAGES])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def store_of(
    kind: str, clock: FakeClock, folder: Path, servers: dict[str, RedisServer]
) -> InVirtualTime:
    store: Store
    if kind == "memory":
        store = MemoryStore(clock)
    elif kind == "sqlite":
        store = SqliteStore(folder / "budget.db", clock)
    else:
        with servers[kind].client() as client:
            client.flushall()
        store = RedisInVirtualTime(servers[kind].url, clock)
    return InVirtualTime(store, clock)


@pytest.fixture
async def key(kind: str, tmp_path: Path, servers: dict[str, RedisServer]) -> AsyncIterator[Key]:
    clock = still_clock()
    key = Key(clock, store_of(kind, clock, tmp_path, servers))
    yield key
    await key.aclose()


async def test_a_slot_returns_window_and_guard_after_the_answer_and_nobody_polls(key: Key) -> None:
    a, b = key.process(ONE), key.process(ONE)
    await a.call("a")
    await key.clock.advance(7.0)
    await a.answer("a")
    await b.call("b")
    asked = len(b.way.visited_at)
    await key.clock.advance(60.25)
    assert key.names == ["a", "b"]
    assert key.let_go[1][1] == pytest.approx(1067.25, abs=1e-5)
    assert len(b.way.visited_at) - asked in {121, 122}


async def test_interactive_calls_overtake_bulk_which_gets_its_fifth_slot(key: Key) -> None:
    importer, web = key.process(ONE), key.process(ONE)
    await web.call("first")
    await importer.call("b1", "b2", lane="bulk")
    await web.call(*(f"i{number}" for number in range(6)))
    for _ in range(8):
        holder = key.names[-1]
        await (importer if holder[0] == "b" else web).hand_back(holder)
        await key.clock.advance(HEARTBEAT)
    assert key.names == ["first", "i0", "i1", "i2", "i3", "b1", "i4", "i5", "b2"]


async def test_a_cancelled_waiter_hands_its_turn_on_and_who_comes_first_goes_first(
    key: Key,
) -> None:
    a, b = key.process(ONE), key.process(ONE)
    await a.call("a", "gone")
    await b.call("b")
    await b.call("again", requeued=True)
    await a.cancel("gone")
    await a.hand_back("a")
    await key.clock.advance(HEARTBEAT)
    await b.hand_back("again")
    assert key.names == ["a", "again", "b"]


async def test_too_long_a_wait_is_refused_at_once_and_spends_nothing(key: Key) -> None:
    a, b = key.process(ONE), key.process(ONE)
    await a.call("a")
    await a.answer("a")
    await a.call("a2")
    await b.call("b", max_wait=100.0)
    error = await b.error("b")
    assert isinstance(error, BudgetWaitError)
    assert error.wait_needed == pytest.approx(120.5)
    assert key.clock.monotonic() == 1000.0
    assert b.limiter.budget().waiting == 1


async def test_a_429_pauses_every_process_then_one_call_goes_alone(key: Key) -> None:
    many = RateLimit(60, 60.0)
    a, b = key.process(many), key.process(many)
    await a.call("a")
    await b.call("b")
    await a.refuse("a", 10.0)
    await key.clock.advance(HEARTBEAT)
    assert not b.limiter.is_valid(b.slots["b"])
    assert b.limiter.budget().gate_closed_for == pytest.approx(9.5)
    await b.answer("b")
    await a.call("a again", requeued=True)
    await b.call("b2", "b3")
    await key.clock.advance(15.0)
    assert key.names[2:] == ["a again"]
    assert key.let_go[2][1] == pytest.approx(1010.0, abs=1e-5)
    await a.answer("a again")
    await key.clock.advance(HEARTBEAT)
    assert key.names[3:] == ["b2", "b3"]


async def test_what_a_dead_process_held_comes_back(key: Key) -> None:
    a, b = key.process(ONE), key.process(ONE)
    await a.call("a", "a2")
    a.die()
    await b.call("b")
    assert b.limiter.budget().waiting == 2
    await key.clock.advance(OWNER_TTL + HEARTBEAT)
    assert b.limiter.budget().waiting == 1
    await key.clock.advance(TIMEOUT + 60.25)
    assert key.names == ["a", "b"]
    counts_for = OWNER_TTL + TIMEOUT + 60.25
    assert key.let_go[1][1] == pytest.approx(1000.0 + counts_for, abs=HEARTBEAT)


async def test_an_outage_is_told_and_what_happened_in_it_is_heard_of_afterwards(key: Key) -> None:
    a = key.process(RateLimit(4, 60.0), local_share=0.5)
    b = key.process(RateLimit(4, 60.0))
    await b.limiter.refresh()
    for process in (a, b):
        process.way.trouble = StoreUnreachableError("away")
    await a.call("a1", "a2", "a3")
    await b.call("b")
    await key.clock.advance(60.25 + HEARTBEAT)
    assert "away; nothing was sent, because the shared budget is unknown" in str(await b.error("b"))
    assert key.names == ["a1", "a2"]
    await a.answer("a1")
    a.way.trouble = b.way.trouble = None
    await key.clock.advance(2.0)
    await b.limiter.refresh()
    budget = b.limiter.budget()
    assert (budget.used, budget.in_flight, budget.available) == (1, 2, 1)


async def test_no_window_holds_more_than_the_limit_and_nobody_is_forgotten(
    kind: str, tmp_path: Path, servers: dict[str, RedisServer]
) -> None:
    clock, dice = FakeClock(start=500.0), random.Random(kind)  # noqa: S311 - no secret
    store = store_of(kind, clock, tmp_path, servers)
    key, rate = Key(clock, store), RateLimit(7, 5.0)
    processes = [key.process(rate) for _ in range(3)]
    arrivals: list[float] = []

    async def calls(limiter: SharedLimiter) -> None:
        for _ in range(5):
            slot = await limiter.acquire(dice.choice(["interactive", "bulk"]))
            sent_at, took = clock.monotonic(), dice.uniform(0.0, 2.0)
            await clock.sleep(took)
            fates: list[SlotOutcome] = [Unknown(), NotCounted(), *[Answered(clock.monotonic())] * 8]
            fate = dice.choice(fates)
            if not isinstance(fate, NotCounted):
                arrivals.append(dice.uniform(sent_at, clock.monotonic()))
            await limiter.release(slot, fate)

    async def leaves(limiter: SharedLimiter) -> None:
        for _ in range(10):
            await clock.sleep(dice.uniform(0.0, 3.0))
            waiting = asyncio.ensure_future(limiter.acquire("interactive"))
            await clock.sleep(dice.uniform(0.0, 1.0))
            if waiting.done():
                await limiter.release(waiting.result(), NotCounted())
            waiting.cancel()

    work = [calls(process.limiter) for process in processes for _ in range(4)]
    work += [leaves(process.limiter) for process in processes]
    await within_virtual_days(clock, asyncio.gather(*work))
    await key.aclose()
    arrivals.sort()
    assert len(arrivals) > 40
    pairs = zip(arrivals, arrivals[rate.calls :], strict=False)
    assert min(later - first for first, later in pairs) >= rate.hold_seconds - 1e-5

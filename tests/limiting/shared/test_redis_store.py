"""Budgets in a real Redis and a real Valkey."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest

from syncro_async.errors import ConfigurationError
from syncro_async.limiting.budget.messages import Join, Limit, Outcome, SyncRequest
from syncro_async.limiting.budget.state import OWNER_TTL
from syncro_async.limiting.budget.stored_state import read_state
from syncro_async.limiting.shared.redis_store import RedisStore
from syncro_async.limiting.shared.store import Store, StoreUnreachableError
from tests.redis_server import PACKAGES, RedisServer, running

LIMITS = [Limit(2, 60.25)]
TIMEOUT = 30.0
ENTRY = "syncro_async:k"
HEARTBEATS = "{syncro_async:k}:heartbeats"


def visit(
    owner: str, joins: str = "", *settled: Outcome, limits: list[Limit] = LIMITS
) -> SyncRequest:
    waiting = [Join(ticket, bulk=False) for ticket in joins.split()]
    return SyncRequest(owner, "v", limits, TIMEOUT, joins=waiting, outcomes=list(settled))


@pytest.fixture(scope="module", params=list(PACKAGES))
def running_server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with running(request.param) as server:
        yield server


@pytest.fixture
def server(running_server: RedisServer) -> RedisServer:
    running_server.start()  # the test before may have failed while it was stopped
    with running_server.client() as client:
        client.flushall()
    return running_server


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[RedisStore]:
    store = RedisStore(server.url)
    yield store
    await store.aclose()


async def test_two_stores_share_one_budget(server: RedisServer, store: Store) -> None:
    assert (await store.sync("k", visit("a", "a1"))).granted == ["a1"]
    other = RedisStore(server.url)
    ruling = await other.sync("k", visit("b", "b1 b2"))
    await other.aclose()
    assert (ruling.granted, ruling.positions, ruling.leases_held) == (["b1"], {"b2": 0}, 2)
    ruling = await store.sync("k", visit("a", "", Outcome("a1", "answered", 7.5)))
    assert (ruling.granted, ruling.positions, ruling.waiting) == ([], {}, 1)
    assert ruling.seconds_until_free == [[pytest.approx(52.75)]]


async def test_each_key_has_a_budget_of_its_own(store: Store) -> None:
    for key in ("k", "l"):
        assert (await store.sync(key, visit("a", "1 2"))).granted == ["1", "2"]


async def test_visits_at_the_same_time_never_share_a_slot(store: Store) -> None:
    visits = [store.sync("k", visit(f"p{n}", f"t{n}", limits=[Limit(7, 9.0)])) for n in range(50)]
    rulings = await asyncio.gather(*visits)
    assert sum(len(ruling.granted) for ruling in rulings) == 7


async def test_the_servers_clock_is_the_one_that_counts(server: RedisServer, store: Store) -> None:
    await store.sync("k", visit("a"))
    with server.client() as client:
        stored = client.get(ENTRY)
        assert isinstance(stored, bytes)
        state = read_state(stored)
        seconds, micros = client.time()
    assert 0.0 <= seconds + micros / 1e6 - state.clock < 30.0


async def test_an_entry_lives_as_long_as_something_in_it_matters(
    server: RedisServer, store: Store
) -> None:
    async def lives(told: SyncRequest) -> float:
        await store.sync("k", told)
        with server.client() as client:
            assert sorted(client.keys()) == [ENTRY.encode(), HEARTBEATS.encode()]
            return float(client.pttl(ENTRY)) / 1000.0 - 86_400.0

    def below(seconds: float) -> object:
        return pytest.approx(seconds - 0.5, abs=0.5)

    assert await lives(visit("a")) == below(OWNER_TTL)
    assert await lives(visit("a", "a1")) == below(OWNER_TTL + TIMEOUT + 60.25)
    assert await lives(visit("a", "", Outcome("a1", "answered", 10.0))) == below(50.25)
    assert await lives(visit("a", "", Outcome("a2", "refused", 900.0))) == below(900.0)


async def test_other_limits_are_refused_while_the_first_are_in_use(store: Store) -> None:
    others = [Limit(5, 60.25)]
    await store.sync("k", visit("a", "a1"))
    with pytest.raises(ConfigurationError, match=r"other rates \(2 in 60.25 s, guard included\)"):
        await store.sync("k", visit("b", "b1", limits=others))
    ruling = await store.sync("k", visit("a", "", Outcome("a1", "back")))
    assert (ruling.waiting, ruling.limits) == (0, [2])
    ruling = await store.sync("k", visit("b", "b1", limits=others))
    assert (ruling.granted, ruling.limits) == (["b1"], [5])


async def test_more_limits_are_other_limits(store: Store) -> None:
    await store.sync("k", visit("a", "a1"))
    with pytest.raises(ConfigurationError, match="other rates"):
        await store.sync("k", visit("b", limits=[*LIMITS, Limit(9, 99.0)]))


async def test_a_server_that_forgot_the_script_is_taught_it_again(
    server: RedisServer, store: Store
) -> None:
    await store.sync("k", visit("a", "a1"))
    with server.client() as client:
        client.script_flush()
    assert (await store.sync("k", visit("a"))).granted == ["a1"]


async def test_a_stopped_server_is_unreachable_until_it_is_back(
    server: RedisServer, store: Store
) -> None:
    await store.sync("k", visit("a", "a1"))
    server.stop()
    with pytest.raises(StoreUnreachableError, match=f"Redis: .*{server.port}"):
        await store.sync("k", visit("a"))
    server.start()
    assert (await store.sync("k", visit("a", "a2"))).granted == ["a2"]


async def test_a_restart_between_two_visits_goes_unnoticed(
    server: RedisServer, store: Store
) -> None:
    await asyncio.gather(*(store.sync("k", visit(owner)) for owner in "abc"))
    server.stop()
    server.start()
    assert (await store.sync("k", visit("a", "a1"))).granted == ["a1"]


async def test_a_hanging_server_is_unreachable_in_good_time(server: RedisServer) -> None:
    store = RedisStore(f"{server.url}?socket_timeout=0.1")
    await store.sync("k", visit("a"))
    with server.hanging(), pytest.raises(StoreUnreachableError, match="Timeout"):
        await store.sync("k", visit("a", "a1"))
    # Whether the first try was heard or not: told again, it is one call with one slot.
    assert (await store.sync("k", visit("a", "a1"))).leases_held == 1
    await store.aclose()


async def test_cancelled_visits_leave_the_store_as_usable_as_before(
    server: RedisServer, store: Store
) -> None:
    await store.sync("k", visit("a"))
    with server.hanging():
        for number in range(40):
            going = asyncio.ensure_future(store.sync("k", visit("a", f"a{number}")))
            await asyncio.wait({going}, timeout=0.01)
            going.cancel()
            await asyncio.wait({going})
            # On a busy machine the store may have been given up a moment before.
            with suppress(asyncio.CancelledError, StoreUnreachableError):
                await going
    rulings = await asyncio.gather(*(store.sync("l", visit(f"p{n}")) for n in range(20)))
    assert [ruling.leases_held for ruling in rulings] == [0] * 20


async def test_a_server_without_tls_is_no_rediss_server(server: RedisServer) -> None:
    store = RedisStore(server.url.replace("redis://", "rediss://") + "?socket_connect_timeout=0.1")
    with pytest.raises(StoreUnreachableError):
        await store.sync("k", visit("a"))
    await store.aclose()


async def test_a_wrong_password_is_told_without_showing_it(server: RedisServer) -> None:
    store = RedisStore(server.url.replace("//", "//somebody:geheim@"))
    with pytest.raises(StoreUnreachableError, match=r"(?i)password") as caught:
        await store.sync("k", visit("a"))
    assert "geheim" not in str(caught.value)
    await store.aclose()


async def test_closing_is_harmless_and_not_the_end(store: RedisStore) -> None:
    await store.aclose()
    assert (await store.sync("k", visit("a", "a1"))).granted == ["a1"]
    await store.aclose()
    await store.aclose()
    assert (await store.sync("k", visit("a"))).granted == ["a1"]


def test_one_store_serves_one_event_loop_after_the_other(server: RedisServer) -> None:
    store = RedisStore(server.url)

    async def come(owner: str) -> int:
        ruling = await store.sync("k", visit(owner, owner))
        await store.aclose()
        return ruling.leases_held

    assert [asyncio.run(come(owner)) for owner in "ab"] == [1, 2]


def test_event_loops_that_were_closed_are_forgotten() -> None:
    store = RedisStore("redis://127.0.0.1:1")

    async def come() -> None:
        with pytest.raises(StoreUnreachableError):
            await store.sync("k", visit("a"))

    for _ in range(3):
        asyncio.run(come())
    assert len(store._scripts) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:6379",
        "redis://:geheim@127.0.0.1:sixty",
        "redis://127.0.0.1:6379?socket_timeout=soon",
        "redis://127.0.0.1:6379?nonsense=geheim",
    ],
)
def test_a_url_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ConfigurationError, match="redis://user:password@host:6379/0") as caught:
        RedisStore(url)
    assert "geheim" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_without_redis_py_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(ConfigurationError, match=r'pip install "syncro-async\[redis\]"'):
        RedisStore("redis://127.0.0.1")

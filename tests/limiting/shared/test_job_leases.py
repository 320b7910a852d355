"""The leases of jobs: one rule in memory, in a file and in Redis, and the errors of stores."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from syncro_async.clock import Clock, SystemClock
from syncro_async.errors import ConfigurationError
from syncro_async.limiting.job_leases import MemoryJobStore, job_store
from syncro_async.limiting.shared.job_lease import JobClaim, JobHolder, JobStore, decide
from syncro_async.limiting.shared.redis_store import RedisStore
from syncro_async.limiting.shared.sqlite_store import SqliteStore
from syncro_async.limiting.shared.store import StoreHandle, StoreUnreachableError
from syncro_async.testing import FakeClock
from tests.redis_server import RedisServer, running

LASTS = 30.0


def claim(
    holder: str, place: str = "", *, seconds: float = LASTS, renews: bool = False, name: str = "j"
) -> JobClaim:
    return JobClaim(name, holder, place or f"place-of-{holder}", seconds, renews)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running("redis-server") as started:
        yield started


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, server: RedisServer
) -> AsyncIterator[JobStore]:
    made: dict[str, Callable[[], JobStore]] = {
        "memory": lambda: MemoryJobStore(FakeClock(autojump=False)),
        "sqlite": lambda: SqliteStore(tmp_path / "budget.db", SystemClock()),
        "redis": lambda: RedisStore(server.url),
    }
    store = made[request.param]()
    yield store
    await store.aclose()
    with server.client() as client:
        client.flushall()


GRANTED = 0.0
# Who claims what, in this order, and whether it is granted.
HISTORIES = {
    "one holder at a time": [(claim("a"), True), (claim("b"), False), (claim("a"), True)],
    "each job by itself": [(claim("a"), True), (claim("b", name="k"), True)],
    "released": [(claim("a"), True), (claim("a", seconds=0.0), True), (claim("b"), True)],
    "released by another": [
        (claim("a"), True),
        (claim("b", seconds=0.0), False),
        (claim("b"), False),
    ],
    "the place of a dead holder": [
        (claim("a", "here"), True),
        (claim("b", "here"), True),
        (claim("a", "here", renews=True), False),
        (claim("a", "here", seconds=0.0, renews=True), False),
        (claim("c"), False),
    ],
    "renewed": [(claim("a"), True), (claim("a", renews=True), True), (claim("b"), False)],
    "renewed after a loss of the store": [(claim("a", renews=True), True), (claim("b"), False)],
    "released twice": [(claim("a", seconds=0.0), True), (claim("a", seconds=0.0), True)],
}


@pytest.mark.parametrize("history", HISTORIES)
async def test_every_store_has_the_same_rule(store: JobStore, history: str) -> None:
    for number, (each, granted) in enumerate(HISTORIES[history]):
        rest = await store.claim_job(each)
        assert (rest == GRANTED) is granted, number
        assert 0.0 <= rest <= LASTS


async def test_a_lease_that_is_not_renewed_ends(server: RedisServer) -> None:
    redis = RedisStore(server.url)
    assert await redis.claim_job(claim("a", seconds=0.05)) == GRANTED
    rest = await redis.claim_job(claim("b"))
    while rest := await redis.claim_job(claim("b")):
        assert rest <= 0.05
    await redis.aclose()
    clock = FakeClock(autojump=False)
    memory = MemoryJobStore(clock)
    assert await memory.claim_job(claim("a")) == GRANTED
    await clock.advance(LASTS - 1.0)
    assert await memory.claim_job(claim("b")) == 1.0
    await clock.advance(1.0)
    assert await memory.claim_job(claim("b")) == GRANTED


def test_a_lease_that_has_ended_is_anybodys() -> None:
    held = JobHolder("a", "there", 10.0)
    assert decide(held, claim("b"), 9.0) == (held, 1.0)
    assert decide(held, claim("b"), 10.0) == (JobHolder("b", "place-of-b", 40.0), GRANTED)


class TestFile:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "budget.db"

    @pytest.fixture
    def foreign(self, path: Path) -> Path:
        path.write_text("no database at all" * 100)
        return path

    async def test_a_lease_ends_with_its_time(self, path: Path) -> None:
        clock = FakeClock(autojump=False)
        store = SqliteStore(path, clock)
        await store.claim_job(claim("a"))
        await clock.advance(LASTS)
        assert await store.claim_job(claim("b")) == GRANTED
        await store.aclose()

    async def test_nothing_runs_any_more_after_a_restart_of_the_machine(self, path: Path) -> None:
        store = SqliteStore(path, SystemClock())
        await store.claim_job(claim("a"))
        with closing(sqlite3.connect(path)) as db:
            db.execute("UPDATE jobs SET boot = 'an earlier one'")
            db.commit()
        assert await store.claim_job(claim("b")) == GRANTED
        await store.aclose()

    async def test_a_file_of_something_else_is_refused(self, foreign: Path) -> None:
        store = SqliteStore(foreign, SystemClock())
        with pytest.raises(ConfigurationError, match="is not the file of a limiter"):
            await store.claim_job(claim("a"))
        await store.aclose()


class TestRedis:
    async def test_a_server_that_was_replaced_is_found_again(self, server: RedisServer) -> None:
        store = RedisStore(server.url)
        await store.claim_job(claim("a"))
        server.stop()
        server.start()
        assert await store.claim_job(claim("b")) == GRANTED
        await store.aclose()

    async def test_a_server_that_is_away(self, server: RedisServer) -> None:
        store = RedisStore(server.url)
        server.stop()
        try:
            with pytest.raises(StoreUnreachableError, match="the limiter's Redis"):
                await store.claim_job(claim("a"))
        finally:
            server.start()
        await store.aclose()

    async def test_a_database_that_is_not_there(self, server: RedisServer) -> None:
        store = RedisStore(server.url.removesuffix("/0") + "/99")
        with pytest.raises(ConfigurationError, match="name a database"):
            await store.claim_job(claim("a"))
        await store.aclose()

    async def test_an_entry_of_another_program_at_the_second_attempt(
        self, server: RedisServer
    ) -> None:
        with server.client() as client:
            client.lpush("syncro_async:job:j", "x")
        store = RedisStore(server.url)
        with pytest.raises(ConfigurationError, match="another program uses the entries"):
            await store.claim_job(claim("a"))
        await store.aclose()
        with server.client() as client:
            client.flushall()

    async def test_the_permissions_that_the_error_names_are_enough(
        self, server: RedisServer
    ) -> None:
        with server.client() as client:
            client.acl_setuser(
                "crm",
                reset=True,
                enabled=True,
                nopass=True,
                commands=["+evalsha", "+script|load", "+get", "+set", "+del", "+pttl"],
                keys=["*syncro_async:*"],
            )
        store = RedisStore(server.url.replace("//", "//crm:x@"))
        assert await store.claim_job(claim("a")) == GRANTED
        assert await store.claim_job(claim("b")) > GRANTED
        assert await store.claim_job(claim("a", seconds=0.0)) == GRANTED
        await store.aclose()


class TestWhere:
    @pytest.mark.parametrize("limiter", [None, "memory://"])
    async def test_in_this_process(self, limiter: str | None) -> None:
        clock: Clock = SystemClock()
        name = f"of {limiter}"
        assert await job_store(limiter, clock).claim_job(claim("a", name=name)) == GRANTED
        assert await MemoryJobStore(SystemClock()).claim_job(claim("b", name=name)) > GRANTED

    async def test_beside_the_budget_of_a_file(self, tmp_path: Path) -> None:
        file = tmp_path / "budget.db"
        url = f"sqlite://{file}"
        one, other = job_store(url, SystemClock()), job_store(url, SystemClock())
        assert await one.claim_job(claim("a")) == GRANTED
        assert await other.claim_job(claim("b")) > GRANTED
        await one.aclose()
        await other.aclose()
        with closing(sqlite3.connect(file)) as db:
            assert db.execute("SELECT name, holder FROM jobs").fetchall() == [("j", "a")]

    async def test_in_the_state_folder_of_the_user(self, state_folder: Path) -> None:
        store = job_store("host", SystemClock())
        assert isinstance(store, StoreHandle)
        assert await store.claim_job(claim("a")) == GRANTED
        await store.aclose()
        assert {each.name[:5] for each in (state_folder / "syncro_async").iterdir()} == {"jobs-"}

    async def test_in_this_process_when_the_user_has_no_folder(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
        assert isinstance(job_store("host", SystemClock()), MemoryJobStore)

    async def test_not_after_the_end_of_its_event_loop(self, tmp_path: Path) -> None:
        store = job_store(f"sqlite://{tmp_path}/budget.db", SystemClock())
        await store.claim_job(claim("a"))
        await store.aclose()
        with pytest.raises(ConfigurationError, match="closed"):
            await store.claim_job(claim("a"))

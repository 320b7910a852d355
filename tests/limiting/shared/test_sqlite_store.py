"""Budgets in an SQLite file, and everything that may be wrong with the file."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from syncro_async.clock import SystemClock
from syncro_async.errors import ConfigurationError, ConnectionFailedError
from syncro_async.limiting.budget.messages import Join, Limit, Outcome, SyncRequest, SyncResponse
from syncro_async.limiting.budget.state import OWNER_TTL, Host
from syncro_async.limiting.budget.stored_state import read_state, write_state
from syncro_async.limiting.host_identity import machine_id
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.limiting.shared.sqlite_store import SqliteStore
from syncro_async.limiting.shared.store import StoreUnreachableError
from syncro_async.sandbox import FULL_KEY
from syncro_async.testing import sandbox_client
from syncro_async.testing.fake_clock import FakeClock
from tests.limiting.shared.memory_store import InVirtualTime, Key
from tests.limiting.waiters import still_clock

LIMITS = [Limit(2, 60.25)]
OF_0_1 = "CREATE TABLE budgets (key TEXT PRIMARY KEY, seen REAL, state BLOB)"


def visit(
    owner: str, joins: str = "", *settled: Outcome, limits: list[Limit] = LIMITS
) -> SyncRequest:
    waiting = [Join(ticket, bulk=False) for ticket in joins.split()]
    return SyncRequest(owner, owner, limits, 30.0, joins=waiting, outcomes=list(settled))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "budget.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path, still_clock())
    yield store
    await store.aclose()


def content_of(path: Path) -> bytes:
    return path.read_bytes()


def delete(path: Path, *, keep: Path | None = None) -> None:
    """With everything that SQLite has put beside it."""
    for file in path.parent.iterdir():
        if file != keep:
            file.unlink()


_READ = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(*connection.execute("SELECT hex(state) FROM budgets").fetchone())
"""


def rows(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [key for (key,) in connection.execute("SELECT key FROM budgets ORDER BY key")]


def threads() -> list[threading.Thread]:
    """Those that work on files."""
    return [found for found in threading.enumerate() if found.name.startswith("syncro-budget")]


class TestTogether:
    async def test_two_stores_share_one_budget(self, path: Path, store: SqliteStore) -> None:
        other = SqliteStore(path, still_clock())
        assert (await store.sync("k", visit("a", "a1"))).granted == ["a1"]
        ruling = await other.sync("k", visit("b", "b1 b2"))
        assert (ruling.granted, ruling.positions, ruling.leases_held) == (["b1"], {"b2": 0}, 2)
        ruling = await store.sync("k", visit("a", "", Outcome("a1", "answered", 7.5)))
        assert ruling.seconds_until_free == [[52.75]]
        await other.aclose()

    async def test_each_key_has_a_budget_of_its_own(self, store: SqliteStore) -> None:
        for key in ("k", "l"):
            assert (await store.sync(key, visit("a", "1 2 3"))).granted == ["1", "2"]

    async def test_visits_at_the_same_time_never_share_a_slot(self, path: Path) -> None:
        stores = [SqliteStore(path, still_clock()) for _ in range(6)]
        visits = [
            store.sync("k", visit(f"p{number}{turn}", f"t{number}{turn}", limits=[Limit(7, 9.0)]))
            for number, store in enumerate(stores)
            for turn in range(8)
        ]
        rulings = await asyncio.gather(*visits)
        assert sum(len(ruling.granted) for ruling in rulings) == 7
        for store in stores:
            await store.aclose()

    async def test_other_limits_are_refused_and_change_nothing(
        self, path: Path, store: SqliteStore
    ) -> None:
        other = SqliteStore(path, still_clock())
        await store.sync("k", visit("a", "a1"))
        with pytest.raises(ConfigurationError, match=r"other rates \(2 in 60.25 s"):
            await other.sync("k", visit("b", "b1", limits=[Limit(5, 60.25)]))
        assert (await store.sync("k", visit("a"))).waiting == 0
        await other.aclose()

    def test_event_loops_in_several_threads_use_one_store(self, path: Path) -> None:
        store = SqliteStore(path, still_clock())
        together = threading.Barrier(4)

        async def come(number: int) -> list[SyncResponse]:
            together.wait()
            told = [visit(f"p{number}", f"{number}.{turn}") for turn in range(5)]
            rulings = [await store.sync("k", each) for each in told]
            await store.aclose()
            return rulings

        with ThreadPoolExecutor(4) as pool:
            rulings = list(pool.map(lambda number: asyncio.run(come(number)), range(4)))
        assert (
            len({ticket for each in rulings for ruling in each for ticket in ruling.granted}) == 2
        )

    def test_one_store_serves_one_event_loop_after_the_other(self, path: Path) -> None:
        store = SqliteStore(path, still_clock())
        before = threads()

        async def come(owner: str) -> int:
            return (await store.sync("k", visit(owner, owner))).leases_held

        # None of them closes it: the next one lets go of what they had open.
        assert [asyncio.run(come(owner)) for owner in "abc"] == [1, 2, 2]
        asyncio.run(store.aclose())
        for thread in threads():
            if thread not in before:
                thread.join(10)
                assert not thread.is_alive()


class TestTime:
    async def test_a_host_that_was_started_anew_waits_no_longer_than_a_window(
        self, path: Path
    ) -> None:
        before = SqliteStore(path, FakeClock(start=1e6))
        await before.sync("k", visit("a", "a1 a2"))
        await before.sync("k", visit("a", "", Outcome("a1", "answered"), Outcome("a2", "back")))
        await before.aclose()
        clock = FakeClock(start=5.0, autojump=False)
        after = SqliteStore(path, clock)
        ruling = await after.sync("k", visit("b", "b1 b2"))
        assert (ruling.granted, ruling.seconds_until_free) == (["b1"], [[60.25]])
        await after.aclose()

    async def test_budgets_nobody_asked_for_in_a_day_are_forgotten(self, path: Path) -> None:
        clock = still_clock()
        store = SqliteStore(path, clock)
        await store.sync("old", visit("a"))
        await clock.advance(50_000.0)
        await store.sync("newer", visit("a"))
        await clock.advance(50_000.0)
        await store.sync("newer", visit("a"))
        assert rows(path) == ["newer", "old"]
        await store.sync("newest", visit("a"))
        assert rows(path) == ["newer", "newest"]
        await store.aclose()

    async def test_an_earlier_boot_does_not_make_them_old(self, path: Path) -> None:
        before = SqliteStore(path, FakeClock(start=1e6))
        await before.sync("k", visit("a", "", Outcome("a1", "answered"), Outcome("a2", "answered")))
        await before.aclose()
        store = SqliteStore(path, FakeClock(start=5.0, autojump=False))
        await store.sync("another key", visit("b"))
        response = await store.sync("k", visit("b", "b1"))
        assert response.granted == []
        await store.aclose()

    async def test_the_event_loop_goes_on_while_another_process_locks_the_file(
        self, path: Path, store: SqliteStore
    ) -> None:
        await store.sync("k", visit("a", "a1"))
        turns = 0
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            asking = asyncio.ensure_future(store.sync("k", visit("a")))
            while not asking.done():
                turns += 1
                await asyncio.wait({asking}, timeout=0.01)
            with pytest.raises(
                StoreUnreachableError, match=r"budget\.db cannot be used: .* locked"
            ):
                await asking
        assert turns > 10
        assert (await store.sync("k", visit("a"))).granted == ["a1"]

    async def test_a_visit_waits_for_one_that_is_being_made(
        self, path: Path, store: SqliteStore
    ) -> None:
        await store.sync("k", visit("a", "a1"))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            asking = asyncio.ensure_future(store.sync("k", visit("a")))
            done, _ = await asyncio.wait({asking}, timeout=0.05)
            assert not done
            other.execute("COMMIT")
            assert (await asking).granted == ["a1"]

    async def test_a_visit_whose_caller_leaves_is_made_to_its_end(
        self, path: Path, store: SqliteStore
    ) -> None:
        await store.sync("k", visit("a"))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            asking = asyncio.ensure_future(store.sync("k", visit("a", "a1")))
            await asyncio.wait({asking}, timeout=0.05)
            asking.cancel()
            await asyncio.wait({asking})
            other.execute("COMMIT")
        assert (await store.sync("k", visit("b"))).leases_held == 1


class TestFilesThatAreNone:
    async def refused(self, path: Path) -> str:
        """What a call is told that would use the file; it is not sent."""
        key = Key(still_clock())
        key.store = InVirtualTime(SqliteStore(path, key.clock), key.clock)
        a = key.process(RateLimit(2, 60.0))
        await a.call("a")
        error = await a.error("a")
        await key.aclose()
        assert isinstance(error, ConfigurationError)
        assert key.names == []
        return str(error)

    @pytest.mark.parametrize("content", [b"garbage" * 1000, b"SQLite format 3\x00" + b"\xff" * 500])
    async def test_garbage_is_refused_and_it_is_said_what_to_do(
        self, path: Path, content: bytes
    ) -> None:
        await asyncio.to_thread(path.write_bytes, content)
        told = await self.refused(path)
        assert f"the limiter's file {path} is damaged, or is not the file of a limiter (" in told
        assert told.endswith("stop the programs that use it and delete it, or name another file")
        assert content_of(path) == content

    @pytest.mark.parametrize(
        "table",
        [
            "CREATE TABLE leads (id)",
            "CREATE TABLE budgets (id)",
            "CREATE VIEW budgets AS SELECT 1",
            OF_0_1,
        ],
    )
    async def test_a_database_of_somebody_else_s_is_refused_and_left_as_it_is(
        self, path: Path, table: str
    ) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(table)
            connection.commit()
        before = content_of(path)
        assert "is not the file of a limiter (it holds other tables," in await self.refused(path)
        assert content_of(path) == before

    @pytest.mark.parametrize("blob", [b"", b"\xc1", b"\x93\x01\x02\x03", b"\x80"])
    async def test_a_state_that_is_none_is_refused(self, path: Path, blob: bytes) -> None:
        store = SqliteStore(path, still_clock())
        await store.sync("k", visit("a", "a1"))
        await store.aclose()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE budgets SET state = ?", (blob,))
            connection.commit()
        assert "another version of syncro_async wrote, or other data" in await self.refused(path)

    async def test_one_that_is_damaged_while_it_is_used_is_refused_until_it_is_deleted(
        self, path: Path, store: SqliteStore
    ) -> None:
        await store.sync("k", visit("a", "a1"))
        for side in path.parent.iterdir():
            side.write_bytes(b"\xff" * side.stat().st_size)
        for _ in range(2):
            with pytest.raises(
                ConfigurationError, match="is damaged, or is not the file of a limiter"
            ):
                await store.sync("k", visit("a"))
        delete(path)
        assert (await store.sync("k", visit("a", "a1"))).granted == ["a1"]

    async def test_so_is_one_whose_table_somebody_drops(
        self, path: Path, store: SqliteStore
    ) -> None:
        await store.sync("k", visit("a", "a1"))
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DROP TABLE budgets")
        with pytest.raises(
            ConfigurationError, match=r"is not the file of a limiter [(]no such table"
        ):
            await store.sync("k", visit("a"))

    async def test_a_file_that_cannot_be_there_is_out_of_reach(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("no folder")
        for path in (tmp_path / "missing" / "budget.db", tmp_path, tmp_path / "file" / "budget.db"):
            store = SqliteStore(path, still_clock())
            with pytest.raises(StoreUnreachableError, match=f"{path} cannot be used: unable to op"):
                await store.sync("k", visit("a", "a1"))
            await store.aclose()

    async def test_its_callers_are_told_so_after_two_seconds(self, tmp_path: Path) -> None:
        clock = still_clock()
        path = tmp_path / "missing" / "budget.db"
        key = Key(clock, InVirtualTime(SqliteStore(path, clock), clock))
        a = key.process(RateLimit(2, 60.0))
        await a.call("a")
        await clock.advance(OWNER_TTL)
        error = await a.error("a")
        assert isinstance(error, ConnectionFailedError)
        assert str(error) == (
            f"the limiter's file {path} cannot be used: unable to open database file;"
            " nothing was sent, because the shared budget is unknown"
        )
        path.parent.mkdir()
        await clock.advance(2.0)
        await a.call("b")
        assert key.names == ["b"]
        await key.aclose()

    async def test_one_that_is_deleted_is_made_anew(self, path: Path, store: SqliteStore) -> None:
        first = await store.sync("k", visit("a", "a1 a2"))
        delete(path)
        second = await store.sync("k", visit("b", "b1"))
        assert second.granted == ["b1"]
        assert second.epoch != first.epoch
        assert rows(path) == ["k"]

    async def test_what_others_see_counts_when_the_last_writes_were_deleted(
        self, path: Path, store: SqliteStore
    ) -> None:
        await store.sync("k", visit("a"))
        delete(path, keep=path)
        await store.sync("k", visit("a", "a1"))
        # Another process: within this one, SQLite would find the deleted files again.
        reading = partial(subprocess.check_output, [sys.executable, "-c", _READ, path], text=True)
        said = await asyncio.to_thread(reading)
        assert list(read_state(bytes.fromhex(said)).leases) == ["a1"]

    async def test_one_that_others_have_made_anew_is_the_one_that_counts(
        self, path: Path, store: SqliteStore
    ) -> None:
        await store.sync("k", visit("a", "a1"))
        delete(path)
        other = SqliteStore(path, still_clock())
        await other.sync("k", visit("b", "b1 b2"))
        ruling = await store.sync("k", visit("a", "a2"))
        assert (ruling.granted, ruling.positions) == ([], {"a2": 0})
        await other.aclose()


class TestClosing:
    async def test_nothing_but_the_file_is_left(self, path: Path, store: SqliteStore) -> None:
        await store.sync("k", visit("a", "a1"))
        assert len(list(path.parent.iterdir())) > 1
        await store.aclose()
        assert list(path.parent.iterdir()) == [path]

    async def test_closing_is_harmless_and_not_the_end(self, store: SqliteStore) -> None:
        await store.aclose()
        assert (await store.sync("k", visit("a", "a1"))).granted == ["a1"]
        await store.aclose()
        await store.aclose()
        assert (await store.sync("k", visit("a"))).granted == ["a1"]


async def test_the_api_key_is_nowhere_in_the_files(path: Path) -> None:
    async with sandbox_client(clock=SystemClock(), limiter=f"sqlite://{path}") as client:
        await asyncio.gather(*(client.leads.get(number) for number in (1, 2, 3)))
        for file in path.parent.iterdir():
            assert FULL_KEY.encode() not in file.read_bytes()
        (row,) = rows(path)
        assert len(row) == 32


class TestOtherHosts:
    async def stored_by(self, path: Path, host: Host) -> None:
        """The file as a process on that host has left it."""
        store = SqliteStore(path, still_clock())
        await store.sync("k", visit("a", "a1 a2"))
        await store.sync("k", visit("a", "", Outcome("a1", "answered", 10.0)))
        await store.aclose()
        with closing(sqlite3.connect(path)) as connection:
            [(packed,)] = connection.execute("SELECT state FROM budgets").fetchall()
            state = read_state(packed)
            state.host, state.clock = host, state.clock + 5_000_000.0
            connection.execute("UPDATE budgets SET state = ?", (write_state(state),))
            connection.commit()

    @pytest.mark.parametrize("machine", [machine_id(), "another"])
    async def test_after_another_boot_all_slots_count_as_answered_now(
        self, path: Path, machine: str
    ) -> None:
        await self.stored_by(path, Host("an earlier boot", machine, wall=0.0))
        store = SqliteStore(path, still_clock())
        response = await store.sync("k", visit("b", "b1"))
        assert (response.granted, response.leases_held) == ([], 0)
        assert response.seconds_until_free == [[60.25, 60.25]]
        await store.aclose()

    async def test_a_file_that_another_host_uses_now_is_refused(self, path: Path) -> None:
        clock = still_clock()
        await self.stored_by(path, Host("its boot", "another", clock.wall()))
        store = SqliteStore(path, clock)
        with pytest.raises(ConfigurationError, match=r"is used by another host \(another\) now"):
            await store.sync("k", visit("b", "b1"))
        await store.aclose()

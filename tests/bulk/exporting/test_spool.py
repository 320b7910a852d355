from __future__ import annotations

import asyncio
import errno
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from syncro_async import Lead, Page, PageMeta, UnreadableItem
from syncro_async._internal.worker_thread import WorkerThread
from syncro_async.bulk.exporting.spool import Spool
from syncro_async.errors import ConfigurationError
from tests.bulk.event_loop_turns import until


def page(*ids: int, total: int = 4, last: int = 2, at: datetime | None = None) -> Page[Lead]:
    items = [Lead(id=number, name="x" * 2000) for number in ids]
    return Page(items, PageMeta(total, 2, 1, last, has_more=True), answered_at=at)


def begun(path: Path, now: float = 1000.0) -> Spool:
    spool = Spool(path)
    spool.begin("everything", now, resume=True)
    return spool


def test_a_full_disk_is_told_by_its_name_and_nothing_of_before_is_lost(tmp_path: Path) -> None:
    spool = begun(tmp_path / "x.resume")
    spool.add([page(1, 2)], 2)
    [(size,)] = spool._file.execute("PRAGMA page_count").fetchall()
    spool._file.execute(f"PRAGMA max_page_count = {size}")
    before = spool.state
    with pytest.raises(OSError, match="full") as caught:
        spool.add([page(*range(10, 90))], None)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(tmp_path / "x.resume")
    assert spool.state is before
    spool.close()
    again = begun(tmp_path / "x.resume")
    assert again.state == before
    again.add([page(3, 4)], None)
    assert again.seen() == 4
    again.discard()


def test_a_write_that_is_refused_changes_nothing(tmp_path: Path) -> None:
    spool = begun(tmp_path / "x.resume")
    spool.add([page(1, 2)], 2)
    spool._file.execute("PRAGMA query_only = 1")
    with pytest.raises(OSError, match="readonly") as caught:
        spool.add([page(3, 4)], None)
    assert caught.value.errno == errno.EIO
    spool._file.execute("PRAGMA query_only = 0")
    spool.add([page(3, 4)], None)
    assert (spool.seen(), len(spool.state.readings)) == (4, 1)
    spool.discard()


def test_a_lead_whose_id_no_database_takes_is_set_aside(tmp_path: Path) -> None:
    spool = begun(tmp_path / "x.resume")
    huge = 2**63
    unreadable = UnreadableItem(1, b'{"id": %d, "name": []}' % (huge + 1), "no name")
    whole = Page([Lead(id=huge), Lead(id=huge - 1)], PageMeta(3, 3, 1, 1), (unreadable,))
    spool.add([whole], None)
    assert spool.references()[0].known == 3
    assert (spool.readable(), spool.unreadable(0)) == (
        1,
        (2, "its id is larger than any database takes (64 bits)"),
    )
    assert list(spool.ids(0)) == [[huge - 1]]
    spool.discard()


def test_it_is_locked_until_it_is_closed(tmp_path: Path) -> None:
    spool = begun(tmp_path / "x.resume")
    spool.add([page(1, 2)], 2)
    with pytest.raises(ConfigurationError, match="another run does the same job"):
        Spool(tmp_path / "x.resume")
    spool.close()
    begun(tmp_path / "x.resume").close()


def test_of_two_that_want_it_in_the_same_moment_one_gets_it(tmp_path: Path) -> None:
    for number in range(60):
        path, start = tmp_path / f"{number}.resume", threading.Barrier(2)
        done = threading.Barrier(2)

        def hold(path: Path = path, start: Any = start, done: Any = done) -> bool:
            start.wait()
            try:
                spool = Spool(path)
            except ConfigurationError:
                done.wait()
                return False
            done.wait()
            spool.discard()
            return True

        with ThreadPoolExecutor(2) as both:
            assert sorted(run.result() for run in [both.submit(hold) for _ in range(2)]) == [
                False,
                True,
            ]


def test_a_database_of_something_else_under_its_name_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.resume")) as theirs:
        theirs.execute("CREATE TABLE lead (id)")
    with pytest.raises(ConfigurationError, match="of something else"):
        Spool(tmp_path / "x.resume")
    with closing(sqlite3.connect(tmp_path / "x.resume")) as theirs:
        assert theirs.execute("SELECT name FROM sqlite_master").fetchall() == [("lead",)]


def test_closing_it_leaves_no_file_where_nothing_was_read(tmp_path: Path) -> None:
    Spool(tmp_path / "x.resume").close()
    begun(tmp_path / "x.resume").close()
    assert list(tmp_path.iterdir()) == []


def test_closing_it_unused_leaves_what_an_earlier_run_has_read(tmp_path: Path) -> None:
    spool = begun(tmp_path / "x.resume")
    spool.add([page(1, 2)], 2)
    spool.close()
    Spool(tmp_path / "x.resume").close()
    again = begun(tmp_path / "x.resume")
    assert (again.state.next_page, again.seen()) == (2, 2)
    again.discard()
    again.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("server", "begun_at"), [(990.0, 990.0), (5000.0, 1000.0), (None, 1000.0)])
def test_it_began_by_the_clock_that_is_behind(
    tmp_path: Path, server: float | None, begun_at: float
) -> None:
    spool = begun(tmp_path / "x.resume")
    at = None if server is None else datetime.fromtimestamp(server, UTC)
    spool.add([page(1, 2, at=at)], 2)
    spool.add([page(3, 4, at=datetime.fromtimestamp(0, UTC))], None)  # only the first page counts
    assert spool.state.begun_at == begun_at
    spool.discard()


def test_a_group_of_pages_is_no_moment_of_its_own(tmp_path: Path) -> None:
    spool = begun(tmp_path / "x.resume")
    spool.add([page(1, 2)], 2)
    spool.add([page(3, 4), page(5)], None)
    spool.add([page(1, 2)], 2)
    spool.add([page(3), page(5)], None)
    first, second = spool.references()
    assert (first.position, first.shown_here, first.known) == (0, 2, 2)
    # Of 4 it is only known that it was there before.
    assert (second.position, second.shown_here, second.known) == (2, 2, 4)
    spool.discard()


# ------------------------------------------------------------------------------ the thread of a job


async def test_leaving_the_block_waits_for_work_that_nobody_waits_for_any_more() -> None:
    may_go, done = threading.Event(), []

    def work(thread: WorkerThread) -> None:
        may_go.wait(10)
        thread.on_exit(lambda: done.append("closed"))
        done.append("worked")

    async with WorkerThread() as thread:
        waiting = asyncio.ensure_future(thread(work, thread))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        may_go.set()
    assert done == ["worked", "closed"]


async def test_the_event_loop_goes_on_while_the_block_waits_for_its_work() -> None:
    begun, may_go, in_time = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        in_time.append(may_go.wait(10))

    async def job() -> None:
        async with WorkerThread() as thread:
            await thread(work)

    task = asyncio.ensure_future(job())
    await until(begun.is_set)
    task.cancel()
    await asyncio.sleep(0)  # it is leaving its block now
    await asyncio.sleep(0)
    may_go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert in_time == [True]


async def test_what_the_work_raises_is_raised() -> None:
    async with WorkerThread() as thread:
        with pytest.raises(ZeroDivisionError):
            await thread(divmod, 1, 0)


async def test_an_end_that_fails_is_not_passed_over_in_silence() -> None:
    with pytest.raises(ZeroDivisionError):
        async with WorkerThread() as thread:
            thread.on_exit(lambda: 1 // 0)


async def test_an_end_that_fails_does_not_hide_what_went_wrong_before() -> None:
    async def job() -> None:
        async with WorkerThread() as thread:
            thread.on_exit(lambda: 1 // 0)
            raise KeyError

    with pytest.raises(KeyError):
        await job()


def test_a_full_disk_leaves_no_log_behind(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    spool = Spool(tmp_path / "a.resume")
    spool.begin("leads", 0.0, resume=False)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))  # no file can grow
    try:
        spool.discard()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []

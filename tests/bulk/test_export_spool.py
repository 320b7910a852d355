from __future__ import annotations

import asyncio
import errno
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from syncro_async import Lead, Page, PageMeta, UnreadableItem
from syncro_async.bulk.export_spool import Spool
from syncro_async.bulk.own_thread import OwnThread
from syncro_async.errors import ConfigurationError


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
    assert (first.position, first.alone, first.known) == (0, 2, 2)
    # Of 4 it is only known that it was there before.
    assert (second.position, second.alone, second.known) == (2, 2, 4)
    spool.discard()


# ------------------------------------------------------------------------------ the thread of a job


async def test_leaving_the_block_waits_for_work_that_nobody_waits_for_any_more() -> None:
    may_go, done = threading.Event(), []

    def work(thread: OwnThread) -> None:
        may_go.wait(10)
        thread.at_the_end(lambda: done.append("closed"))
        done.append("worked")

    with OwnThread() as thread:
        waiting = asyncio.ensure_future(thread(work, thread))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        may_go.set()
    assert done == ["worked", "closed"]


async def test_what_the_work_raises_is_raised() -> None:
    with OwnThread() as thread, pytest.raises(ZeroDivisionError):
        await thread(divmod, 1, 0)


def test_an_end_that_fails_is_not_passed_over_in_silence() -> None:
    with pytest.raises(ZeroDivisionError), OwnThread() as thread:
        thread.at_the_end(lambda: 1 // 0)


def test_an_end_that_fails_does_not_hide_what_went_wrong_before() -> None:
    def job() -> None:
        with OwnThread() as thread:
            thread.at_the_end(lambda: 1 // 0)
            raise KeyError

    with pytest.raises(KeyError):
        job()

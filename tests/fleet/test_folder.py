"""The folder of an account: one run at a time, what is done, and whose leads it has."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from stat import S_IMODE
from typing import Any

import pytest

from syncro_async.fleet import JobReceipt
from syncro_async.fleet.folder import AccountFolder

DAY = date(2026, 6, 30)


def receipt(outcome: Any = "done", **facts: Any) -> JobReceipt:
    ended = datetime(2026, 6, 30, 12, tzinfo=UTC)
    return JobReceipt("acme", "sync", {}, DAY, 1, outcome, ended, **facts)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[AccountFolder]:
    folder = AccountFolder(tmp_path / "fleet", "acme", "sync")
    assert folder.lock()
    yield folder
    folder.close()


def again(folder: AccountFolder) -> AccountFolder:
    folder.close()
    opened = AccountFolder(folder.path.parent, "acme", "sync")
    assert opened.lock()
    return opened


def test_one_run_of_a_kind_works_in_it_at_a_time(folder: AccountFolder) -> None:
    second = AccountFolder(folder.path.parent, "acme", "sync")
    assert not second.lock()
    second.close()
    other_kind = AccountFolder(folder.path.parent, "acme", "export")
    assert other_kind.lock()
    other_kind.close()
    again(folder).close()


def test_its_files_are_private(folder: AccountFolder) -> None:
    folder.write(receipt(), "d")
    assert S_IMODE(folder.path.stat().st_mode) == 0o700
    assert {S_IMODE(file.stat().st_mode) for file in folder.path.iterdir()} == {0o600}


def test_a_place_stays_the_same_and_is_the_only_one(folder: AccountFolder, tmp_path: Path) -> None:
    other = AccountFolder(tmp_path / "elsewhere", "acme", "sync")
    assert other.lock()
    assert other.place != folder.place
    other.close()
    opened = again(folder)
    assert opened.place == folder.place
    opened.close()


def test_what_is_done_is_known_to_the_next_run(folder: AccountFolder) -> None:
    assert folder.done("d", DAY) is None
    assert not folder.was_done("d")
    folder.write(receipt(), "d")
    opened = again(folder)
    assert opened.done("d", DAY) == receipt()
    assert opened.done("d", date(2026, 7, 1)) is None
    assert opened.done("another job", DAY) is None
    assert opened.was_done("d")
    opened.close()


@pytest.mark.parametrize("outcome", ["failed", "later"])
def test_what_is_not_done_is_written_and_not_remembered(
    folder: AccountFolder, outcome: str
) -> None:
    folder.write(receipt(outcome, reason="why"), "d")
    assert '"reason": "why"' in folder.receipt_file.read_text()
    assert folder.done("d", DAY) is None


def test_a_job_whose_files_are_gone_is_not_done(folder: AccountFolder) -> None:
    file = folder.path / "leads.db"
    file.touch()
    folder.write(receipt(file=str(file)), "d")
    assert folder.done("d", DAY) is not None
    file.unlink()
    assert folder.done("d", DAY) is None
    folder.write(receipt(), "d")
    folder.receipt_file.unlink()
    assert folder.done("d", DAY) is None


def test_a_receipt_of_another_version_does_not_count(folder: AccountFolder) -> None:
    folder.write(receipt(), "d")
    folder.close()
    with closing(sqlite3.connect(folder.path / ".sync.state")) as db:
        db.execute("UPDATE done SET receipt = '{}'")
        db.commit()
    opened = again(folder)
    assert opened.done("d", DAY) is None
    opened.close()


def test_the_account_of_its_leads_is_remembered(folder: AccountFolder) -> None:
    assert folder.binding() is None
    folder.bind("7", "hash")
    folder.bind("7", "another hash")
    opened = again(folder)
    assert opened.binding() == ("7", "another hash")
    opened.close()


def test_nothing_is_written_without_the_lock(tmp_path: Path) -> None:
    folder = AccountFolder(tmp_path, "acme", "sync")
    folder.close()
    with pytest.raises(RuntimeError, match="not locked"):
        folder.binding()


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / ".sync.state").write_text("no database at all" * 100)
    with pytest.raises(OSError, match=r"file is not a database: .*sync\.state"):
        AccountFolder(tmp_path, "acme", "sync").lock()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "acme").write_text("a file")
    with pytest.raises(OSError, match="File exists"):
        AccountFolder(tmp_path, "acme", "sync").lock()

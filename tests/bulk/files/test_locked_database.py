"""The SQLite file that one run has for itself."""

import errno
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from stat import S_IMODE

import pytest

from syncro_async import ConfigurationError
from syncro_async.bulk.files.locked_database import FileKind, LockedDatabase, NotADatabaseError


def _only_rows(path: Path | None, _: sqlite3.Connection, tables: frozenset[str]) -> None:
    if tables != {"rows"}:
        raise ConfigurationError(f"{path} is of another kind")


def _make(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE rows (idx)")


KIND = FileKind("the file", "is in use", _only_rows, "NORMAL", _make)


def values(file: LockedDatabase) -> list[int]:
    return [value for (value,) in file.db.execute("SELECT idx FROM rows")]


def insert(file: LockedDatabase, value: object) -> None:
    with file.transaction() as db:
        db.execute("INSERT INTO rows VALUES (?)", [value])


def test_a_file_is_made_for_its_owner_only_and_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    first = LockedDatabase(path, KIND)
    insert(first, 7)
    assert {S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}
    first.close(remove=False)
    again = LockedDatabase(path, KIND)
    assert (values(again), again.is_empty()) == ([7], False)
    again.close(remove=True)
    assert list(tmp_path.iterdir()) == []


def test_a_second_run_is_refused_and_gets_it_afterwards(tmp_path: Path) -> None:
    first = LockedDatabase(tmp_path / "x.db", KIND)
    with pytest.raises(ConfigurationError, match=r"^the file .*x\.db is in use$"):
        LockedDatabase(tmp_path / "x.db", KIND)
    first.close(remove=False)
    LockedDatabase(tmp_path / "x.db", KIND).close(remove=True)


def test_a_refused_run_leaves_the_lock_that_other_processes_see(tmp_path: Path) -> None:
    # A process that closes any descriptor of a file loses all its locks of POSIX on that file.
    path = tmp_path / "x.db"
    first = LockedDatabase(path, KIND)
    with pytest.raises(ConfigurationError, match="is in use"):
        LockedDatabase(path, KIND)
    elsewhere = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute(sys.argv[2])"
    words = [sys.executable, "-c", elsewhere, str(path), "SELECT * FROM rows"]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "database is locked" in found.stderr
    first.close(remove=True)


def test_a_refused_file_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as theirs:
        theirs.execute("CREATE TABLE diary (day)")
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="another kind"):
        LockedDatabase(path, KIND)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_database_is_an_error_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_text("a diary", encoding="utf-8")
    with pytest.raises(NotADatabaseError, match="the file failed: file is not a database"):
        LockedDatabase(path, KIND)
    assert path.read_text(encoding="utf-8") == "a diary"


def test_what_a_failed_block_did_is_undone(tmp_path: Path) -> None:
    file = LockedDatabase(tmp_path / "x.db", KIND)

    def fail() -> None:
        with file.transaction() as db:
            db.execute("INSERT INTO rows VALUES (7)")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert values(file) == []
    file.close(remove=True)


def test_a_full_disk_is_an_os_error_with_its_number(tmp_path: Path) -> None:
    file = LockedDatabase(tmp_path / "x.db", KIND)
    [(size,)] = file.db.execute("PRAGMA page_count").fetchall()
    file.db.execute(f"PRAGMA max_page_count = {size}")
    with pytest.raises(OSError, match=r"the file failed: .*full") as caught:
        insert(file, "x" * 100_000)
    assert caught.value.errno == errno.ENOSPC
    assert values(file) == []
    file.close(remove=True)


def test_without_a_path_it_is_a_temporary_file_with_the_same_tables() -> None:
    file = LockedDatabase(None, KIND)
    insert(file, 7)
    assert values(file) == [7]
    file.close(remove=True)

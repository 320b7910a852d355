"""A refused second run of this process leaves the lock of the first, which other processes see.

The locks of POSIX belong to the process: when it closes any descriptor of a file, all of its locks
on the file are gone. So a file that exists must not be opened except by SQLite.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from syncro_async.bulk.exporting.spool import Spool
from syncro_async.bulk.importing.journal import Journal, write_meta
from syncro_async.errors import ConfigurationError
from syncro_async.fleet.folder import AccountFolder

SPOOL = "from syncro_async.bulk.exporting.spool import Spool; Spool(path)"
JOURNAL = """
import asyncio
from syncro_async.bulk.importing.journal import Journal
async def opened():
    async with Journal(path): pass
asyncio.run(opened())
"""
FOLDER = """
from syncro_async.fleet.folder import AccountFolder
assert AccountFolder(path, "acme", "sync").lock(), "ConfigurationError: locked"
"""


def outcome_elsewhere(code: str, path: Path) -> str:
    """How it ends in another process."""
    program = f"from pathlib import Path; path = Path({str(path)!r})\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    return done.stderr.rpartition("\n")[0].rpartition("\n")[2]


def test_the_lock_of_a_spool(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "x.resume")
    with pytest.raises(ConfigurationError, match="in use"):
        Spool(tmp_path / "x.resume")
    assert "is in use" in outcome_elsewhere(SPOOL, tmp_path / "x.resume")
    spool.close()


async def test_the_lock_of_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    async with Journal(path) as journal:
        await journal.run(lambda db: write_meta(db, {"rows": "1"}))
        with pytest.raises(ConfigurationError, match="in use"):
            await Journal(path).__aenter__()
        assert "is in use" in outcome_elsewhere(JOURNAL, path)


def test_the_lock_of_an_account(tmp_path: Path) -> None:
    folder = AccountFolder(tmp_path, "acme", "sync")
    assert folder.lock()
    assert not AccountFolder(tmp_path, "acme", "sync").lock()
    assert "locked" in outcome_elsewhere(FOLDER, tmp_path)
    folder.close()
    assert outcome_elsewhere(FOLDER, tmp_path) == ""

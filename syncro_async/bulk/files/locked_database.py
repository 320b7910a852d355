"""Opens an SQLite file that one run has for itself: an import's journal, an export's spool."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from syncro_async._internal.private_file import create_private
from syncro_async.errors import ConfigurationError

# Two runs that lock a file in the same moment can block each other: then one tries again.
_ATTEMPTS = 8


class NotADatabaseError(OSError):
    """The content of the file is not that of a database."""


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a file is for.

    - `name`: what an error calls it
    - `in_use`: the end of the error that another run uses it
    - `check`: raises `ConfigurationError` for a file that has tables (their names are its last
      argument) and is of another kind or version
    - `synchronous`: `"FULL"`: what is committed survives a power cut; `"NORMAL"`: only a kill
    - `make`: makes the tables of a file that has none
    """

    name: str
    in_use: str
    check: Callable[[Path | None, sqlite3.Connection, frozenset[str]], None]
    synchronous: Literal["FULL", "NORMAL"]
    make: Callable[[sqlite3.Connection], object] = lambda _: None


class LockedDatabase:
    """An SQLite file that is locked while it is open, and that only its owner may read.

    All methods block. They raise `OSError` for what the file system refuses, and
    `ConfigurationError` when another run uses the file. A file that `kind` refuses stays as it was.

    - `path`: the file, made if need be; None: a temporary file
    """

    def __init__(self, path: Path | None, kind: FileKind) -> None:
        self.path = path
        self._kind = kind
        if path is not None:
            # SQLite says of a missing folder only that it is "unable to open database file".
            create_private(path)
        with self.errors():
            self.db = self._opened(_ATTEMPTS)

    def is_empty(self) -> bool:
        """Return whether it has no tables."""
        return not _tables(self.db)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit what the block does, or nothing of it when the block raises."""
        with self.errors():
            self.db.execute("BEGIN")
            try:
                yield self.db
                self.db.execute("COMMIT")
            except BaseException:
                # A full disk has rolled it back already.
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Raise an error of SQLite in the block as the class says."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def close(self, *, remove: bool) -> None:
        """Close the file, and remove it where `remove` is true."""
        self.db.close()
        if remove and self.path is not None:
            self.path.unlink(missing_ok=True)
            # SQLite leaves its log behind when the disk is too full to merge it into the file.
            self.path.with_name(f"{self.path.name}-wal").unlink(missing_ok=True)

    def _explained(self, error: sqlite3.Error) -> Exception:
        if _code(error) == sqlite3.SQLITE_BUSY:
            return ConfigurationError(f"{self._kind.name} {self.path} {self._kind.in_use}")
        number = errno.ENOSPC if _code(error) == sqlite3.SQLITE_FULL else errno.EIO
        kind = NotADatabaseError if _code(error) == sqlite3.SQLITE_NOTADB else OSError
        return kind(number, f"{self._kind.name} failed: {error}", str(self.path))

    def _opened(self, attempts: int) -> sqlite3.Connection:
        db = sqlite3.connect(self.path or "", timeout=0.0, isolation_level=None)
        try:
            self._lock(db)
        except BaseException as error:
            db.close()
            if attempts == 1 or _code(error) != sqlite3.SQLITE_BUSY:
                raise
            return self._opened(attempts - 1)
        return db

    def _lock(self, db: sqlite3.Connection) -> None:
        # Of two that start together one gets the write lock. The other one leaves, so the first can
        # wait until it is alone: the commit of a change needs that.
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("BEGIN IMMEDIATE")
        # Before the first change: the file may be another program's.
        tables = _tables(db)
        if tables:
            self._kind.check(self.path, db, tables)
        else:
            self._kind.make(db)
        db.execute("PRAGMA busy_timeout = 5000")
        db.execute("PRAGMA user_version = 1")
        db.execute("COMMIT")
        db.execute("PRAGMA busy_timeout = 0")
        # With a write-ahead log a transaction waits for the disk once, or not at all.
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {self._kind.synchronous if self.path else 'OFF'}")


def _tables(db: sqlite3.Connection) -> frozenset[str]:
    found = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return frozenset(name for (name,) in found)


def _code(error: BaseException) -> int:
    """Return the primary result code of SQLite; 0 for another error."""
    code: int = getattr(error, "sqlite_errorcode", None) or 0
    return code & 0xFF

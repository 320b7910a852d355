"""The folder of an account: who works in it, what is done for the day, and whose leads it has."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing, suppress
from datetime import date
from pathlib import Path
from uuid import uuid4

import msgspec

from syncro_async._internal.private_file import create_private
from syncro_async.bulk.files.atomic import atomic_write
from syncro_async.fleet.jobs import JobReceipt, Kind
from syncro_async.limiting.host_identity import boot_id, machine_id

_SCHEMA = """
CREATE TABLE IF NOT EXISTS place (id TEXT);
CREATE TABLE IF NOT EXISTS done (digest TEXT PRIMARY KEY, day TEXT, receipt BLOB);
CREATE TABLE IF NOT EXISTS binding (account_id TEXT, key TEXT);
"""


class AccountFolder:
    """The folder of an account, for one kind of job, used by one run at a time.

    `FOLDER/ACCOUNT/.KIND.state` is a SQLite file that is locked as long as the run lives, also
    while its process is stopped. So no other run works on these files, whatever becomes of the
    lease. The system unlocks it when the process dies. All methods are for one thread.
    """

    def __init__(self, folder: Path, account: str, kind: Kind) -> None:
        self.path = folder.absolute() / account
        self._file = self.path / f".{kind}.state"
        self._db: sqlite3.Connection | None = None
        self._place = ""

    @property
    def receipt_file(self) -> Path:
        """The file with the last receipt."""
        return self.path / "receipt.json"

    @property
    def place(self) -> str:
        """What tells this folder from every other one, and this start of the machine from others.

        A copy of the folder on another machine is another place.
        """
        return f"{self._place}.{machine_id()}.{boot_id()}"

    def lock(self) -> bool:
        """Lock the folder; False when another run uses it. Raises `OSError`."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        create_private(self._file)
        db = sqlite3.connect(self._file, timeout=0.0, isolation_level=None)
        try:
            db.execute("BEGIN EXCLUSIVE")
            for statement in _SCHEMA.split(";")[:-1]:
                db.execute(statement)
            if db.execute("SELECT id FROM place").fetchone() is None:
                db.execute("INSERT INTO place VALUES (?)", (uuid4().hex,))
            (self._place,) = db.execute("SELECT id FROM place").fetchone()
            db.execute("COMMIT")
            # This transaction is open until the end of the run: it is the lock.
            db.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            db.close()
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                return False
            raise OSError(errno.EIO, str(error), str(self._file)) from error
        self._db = db
        return True

    def close(self) -> None:
        """Keep what was written, and unlock the folder; nothing happens without a lock."""
        db, self._db = self._db, None
        if db is not None:
            # What cannot be kept, because the disk is full say, is done again by the next run.
            with closing(db), suppress(sqlite3.Error):
                db.execute("COMMIT")

    def done(self, digest: str, day: date) -> JobReceipt | None:
        """The receipt of this job when it is done for that day and its files are there."""
        query = "SELECT receipt FROM done WHERE digest = ? AND day = ?"
        row = self._opened.execute(query, (digest, day.isoformat())).fetchone()
        if row is None or not self.receipt_file.exists():
            return None
        try:
            receipt = msgspec.json.decode(row[0], type=JobReceipt)
        except msgspec.MsgspecError:  # written by another version
            return None
        is_there = receipt.file is None or Path(receipt.file).exists()
        return receipt if is_there else None

    def was_done(self, digest: str) -> bool:
        """Whether this job was ever done here."""
        query = "SELECT 1 FROM done WHERE digest = ?"
        return self._opened.execute(query, (digest,)).fetchone() is not None

    def write(self, receipt: JobReceipt, digest: str) -> None:
        """Write `receipt.json`, and remember what is done. Raises `OSError`."""
        content = msgspec.json.encode(receipt)
        with atomic_write(self.receipt_file) as file:
            file.write(msgspec.json.format(content, indent=2) + b"\n")
        if receipt.outcome == "done":
            entry = (digest, receipt.day.isoformat(), content)
            self._opened.execute("INSERT OR REPLACE INTO done VALUES (?, ?, ?)", entry)

    def binding(self) -> tuple[str, str] | None:
        """The id of the account at the service, and the hash of the key that was used last."""
        found = self._opened.execute("SELECT account_id, key FROM binding").fetchone()
        return None if found is None else (str(found[0]), str(found[1]))

    def bind(self, account_id: str, key: str) -> None:
        """Remember whose leads are in this folder, and the hash of the key."""
        self._opened.execute("DELETE FROM binding")
        self._opened.execute("INSERT INTO binding VALUES (?, ?)", (account_id, key))

    @property
    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            raise RuntimeError("the folder is not locked")
        return self._db

"""Creates files that only their owner can read, without a danger for those that exist."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def create_private(path: Path) -> None:
    """Create an empty file that only its owner can read, unless there is a file. Raises `OSError`.

    A file that exists is not opened: to close it would release the locks that another user of the
    file has taken in this process (SQLite, 'How To Corrupt An SQLite Database File', 2.2).
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

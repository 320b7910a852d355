"""Writes files that appear complete, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_IMODE
from typing import BinaryIO

# Only the owner may read it: the files have people's data.
PRIVATE = 0o600


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Write to another name in the same folder; `path` gets the content when the block succeeds.

    An exception, Ctrl-C included, removes what was written and leaves an earlier `path` as it was.
    A new file can be read by its owner only. A replaced file keeps its permissions, and a link
    stays a link. There may be one writer at a time: what a killed writer left is removed by the
    next one. Raises `OSError`.
    """
    target = path.resolve()
    part = target.with_name(f".{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, PRIVATE), "wb") as file:
            if target.exists():
                part.chmod(S_IMODE(target.stat().st_mode))
            yield file
            file.flush()
            # Else a crash of the machine could leave the final name on content never written.
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise

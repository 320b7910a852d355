"""Files that appear whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_IMODE
from typing import BinaryIO


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Write to another name in the same folder; `path` gets the content when the block ends well.

    Any exception, Ctrl-C included, removes what was written and leaves an earlier `path` as it was.
    A link stays a link, and a replaced file hands its permissions on. There may be one writer at
    a time: what a killed one has left is removed by the next. Raises `OSError`.
    """
    target = path.resolve()
    part = target.with_name(f".{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        with part.open("xb") as file:
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

"""Finds the file in which the processes of one user on one host share the budget of a key."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

from platformdirs import user_state_path

from syncro_async._internal.private_file import create_private
from syncro_async.clock import Clock
from syncro_async.limiting.host_identity import machine_id

logger = logging.getLogger("syncro_async")

# A file that no process has written for this long (s) is deleted.
UNUSED_AFTER = 86_400.0
# SQLite's locks are not reliable on these (https://www.sqlite.org/faq.html#q5).
_NETWORK_FILE_SYSTEMS = frozenset(
    {"9p", "afs", "ceph", "cifs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"}
)
_MOUNTS = Path("/proc/self/mounts")

# The folders that could not be used, so that each is reported once.
_reported: set[Path] = set()


def host_file(
    key: str, clock: Clock, *, folder: Path | None = None, mounts: Path = _MOUNTS
) -> Path | None:
    """The file for this key on this host, created empty and private when it does not exist.

    `key` is the hash that identifies service and API key. `folder` is by default the user's state
    folder of this package, and `mounts` the kernel's list of mounts. The name holds the machine's
    id, because a home folder can be mounted on several machines. Files that were not used for a
    day are deleted.

    Returns None, and logs a warning once, when the folder cannot be written or lies on a network
    file system: the budget is then that of this process alone.
    """
    place = user_state_path("syncro_async") if folder is None else folder
    if not place.is_absolute():  # a user without a home: «~» stays as it is
        _report(place, "there is no home folder")
        return None
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if file_system_of(place, _text_of(mounts)) in _NETWORK_FILE_SYSTEMS:
            _report(place, "it is on a network file system, where file locks are not reliable")
            return None
        _delete_unused(place, clock.wall() - UNUSED_AFTER)
        file = place / f"{key}-{machine_id()}.db"
        create_private(file)
        os.utime(file)  # SQLite writes to the file beside it for a long time
    except OSError as error:
        _report(place, f"it cannot be written ({error.strerror or error})")
        return None
    return file


def file_system_of(folder: Path, mounts: str) -> str:
    """The type of the file system that holds the folder; "" where it is not known.

    `mounts` is a text in the form of /proc/self/mounts: device, mount point, type, options.
    """
    best, kind = "", ""
    resolved = folder.resolve()
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ")
        if len(point) >= len(best) and resolved.is_relative_to(point):
            best, kind = point, fields[2]
    return kind.removeprefix("fuse.")


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # not on Linux: the file system is unknown


def _delete_unused(folder: Path, before: float) -> None:
    for file in folder.glob("*.db"):
        with suppress(OSError):  # another process deleted it first
            if file.stat().st_mtime < before:
                for name in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
                    name.unlink(missing_ok=True)


def _report(folder: Path, reason: str) -> None:
    if folder not in _reported:
        _reported.add(folder)
        logger.warning(
            'limiter="host" cannot use %s: %s; the budget is shared within this process only.'
            " Set XDG_STATE_HOME to a local folder, or name a store: limiter=sqlite:///path",
            folder,
            reason,
        )

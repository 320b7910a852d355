"""Identifies this host and its boot, so that a file of another host or boot is recognised."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_MACHINE_ID_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_BOOT_ID_FILES = (Path("/proc/sys/kernel/random/boot_id"),)


def machine_id(files: Iterable[Path] = _MACHINE_ID_FILES) -> str:
    """Sixteen characters that identify this machine: of its id, or of its name without one."""
    return _short_hash(_first_line(files) or platform.node())


def boot_id(files: Iterable[Path] = _BOOT_ID_FILES) -> str:
    """What identifies the time since the last start of this machine.

    It is the kernel's id of the boot. Where there is none, it is the id of the machine: its
    monotonic clock starts at zero then, so that stored times never look older than they are.
    """
    return _first_line(files) or machine_id()


def _first_line(files: Iterable[Path]) -> str:
    for file in files:
        with suppress(OSError):
            if found := file.read_text(encoding="ascii", errors="replace").strip():
                return found
    return ""


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]

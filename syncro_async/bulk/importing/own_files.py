"""Writes the files of an import beside its journal, and never over a file of somebody else."""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Literal

import msgspec

from syncro_async.bulk.importing.journal import read_meta, write_meta

Purpose = Literal["failures file", "report"]


def check_creatable(path: Path) -> None:
    """Check before the first row is sent that such a file can be written. Raises `OSError`."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    try:
        part = _new_part(path.resolve())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    part.unlink()


def write_own(
    db: sqlite3.Connection, purpose: Purpose, path: Path, write: Callable[[Path], None]
) -> Path:
    """Let `write` fill a new file, give it the name `path`, and return the name that it has got.

    A file that this import did not write, or that was changed since, is left as it is: then the
    new file gets a number in its name. It appears when it is complete, and only its owner can read
    it. Raises `OSError`.
    """
    part = _new_part(path.resolve())
    try:
        write(part)
        digest = _digest(part)
        target = written_before(db, purpose, path) or _reserved(path)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    made = (str(path.resolve()), str(target), digest)
    write_meta(db, {purpose: msgspec.json.encode(made).decode()})
    return path.with_name(target.name)


def written_before(db: sqlite3.Connection, purpose: Purpose, asked: Path) -> Path | None:
    """The file that an earlier run of this import wrote for `asked`, if nobody has changed it."""
    known = read_meta(db).get(purpose)
    if known is None:
        return None
    wanted, name, digest = msgspec.json.decode(known)
    path = Path(name)
    unchanged = path.is_file() and _digest(path) == digest
    return path if unchanged and wanted == str(asked.resolve()) else None


def _digest(path: Path) -> str:
    return blake2b(path.read_bytes(), digest_size=16).hexdigest()


def _reserved(path: Path) -> Path:
    """Create an empty file of that name, or of the first name with a number that is free."""
    return next(filter(_create, _names(path.resolve())))


def _create(path: Path) -> bool:
    """Create an empty file; return False when the name is taken."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    return True


def _names(path: Path) -> Iterator[Path]:
    yield path
    suffixes = "".join(path.suffixes[-2:] if path.suffix.lower() == ".gz" else path.suffixes[-1:])
    stem = path.name.removesuffix(suffixes)
    yield from (path.with_name(f"{stem}-{number}{suffixes}") for number in count(2))


def _new_part(target: Path) -> Path:
    """Create an empty temporary file in the folder of the target."""
    part = target.with_name(f".syncro-{secrets.token_hex(8)}.part")
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return part

"""Writes the rows that were not imported to a file of the format of their source."""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import NamedTuple

import msgspec

from syncro_async.bulk.files.atomic import PRIVATE
from syncro_async.bulk.files.formats import columns_of
from syncro_async.bulk.files.inputs import split_suffix
from syncro_async.bulk.files.rows import ERROR_COLUMN, Table
from syncro_async.bulk.files.tables import Layout, check_libraries, write_table
from syncro_async.bulk.importing.journal import read_meta, write_meta

_MADE = "failures file"


class FailedRow(NamedTuple):
    """A row that was not imported: its columns as JSON, and why."""

    body: bytes
    error: str


def check_writable(path: Path) -> None:
    """Check before the first row is sent that the file can be written.

    Raises `OSError` when no file can be written, and `ConfigurationError` when an extra is missing.
    """
    check_libraries(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    try:
        part = _new_part(path.resolve())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    part.unlink()


def write_failures(
    db: sqlite3.Connection, path: Path, rows: Iterable[FailedRow], how: Layout
) -> Path | None:
    """Write the rows with their columns and errors; return the file, None when there is no row.

    A file that this import did not write, or that was changed since, is left as it is: then the
    rows go to a file with a number in its name. The file appears when it is complete, and only
    its owner can read it. Raises `OSError`.
    """
    mine = _made_before(db, path)
    content = [{**msgspec.json.decode(body), ERROR_COLUMN: error} for body, error in rows]
    if not content:
        if mine is not None:
            mine.unlink()
        return None
    columns = columns_of([dict.fromkeys(how.header), *content])
    columns = [name for name in columns if name != ERROR_COLUMN] + [ERROR_COLUMN]
    part = _new_part(path.resolve())
    try:
        write_table(part, path, columns, content, how)
        digest = _digest(part)
        target = mine or _reserved(path)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    made = (str(path.resolve()), str(target), digest)
    write_meta(db, {_MADE: msgspec.json.encode(made).decode()})
    return path.with_name(target.name)


def _made_before(db: sqlite3.Connection, asked: Path) -> Path | None:
    """Return the file that an earlier run wrote for `asked`, if its content is unchanged."""
    known = read_meta(db).get(_MADE)
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
        path.touch(PRIVATE, exist_ok=False)
    except FileExistsError:
        return False
    return True


def _names(path: Path) -> Iterator[Path]:
    yield path
    suffix, packed = split_suffix(path)
    stem = path.name[: len(path.name) - len(suffix) - len(packed)]
    yield from (path.with_name(f"{stem}-{number}{suffix}{packed}") for number in count(2))


def _new_part(target: Path) -> Path:
    """Create an empty temporary file in the folder of the target."""
    part = target.with_name(f".syncro-{secrets.token_hex(8)}.part")
    part.touch(PRIVATE, exist_ok=False)
    return part


def failed_rows(bodies: Iterable[tuple[bytes, str]]) -> list[FailedRow]:
    """The rows of a journal that were not carried out."""
    return [FailedRow(body, error or "was not sent") for body, error in bodies]


def layout_of(table: Table) -> Layout:
    """How a failures file is written that is to look like its source."""
    return Layout(table.codec or "utf-8", table.delimiter or ",", tuple(table.header or ()))

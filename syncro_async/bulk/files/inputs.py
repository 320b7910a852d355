"""Opens the bytes of a source: a file, compressed or not, or the standard input."""

from __future__ import annotations

import gzip
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from syncro_async.bulk.files.rows import unreadable
from syncro_async.errors import InvalidArgumentError
from syncro_async.models.receipts import RowProblem

STDIN = "-"
SUFFIXES = (".csv", ".tsv", ".txt", ".xlsx", ".jsonl", ".parquet")
_GZIP = b"\x1f\x8b"
_MAGIC = {b"PK\x03\x04": "xlsx", b"PAR1": "parquet"}
_OTHERS = {
    b"\xd0\xcf\x11\xe0": "is a file of an old Excel: save it as .xlsx",
    b"%PDF": "is a PDF: export the table as .csv or .xlsx",
}
_HEAD = 512


def split_suffix(path: Path, argument: str = "rows") -> tuple[str, str]:
    """Return the suffix that names the format, in lower case, and `".gz"` or `""`.

    Raises `InvalidArgumentError`, which names `argument`, for a name without one of `SUFFIXES`.
    """
    name = path.name.lower()
    packed = ".gz" if name.endswith(".gz") else ""
    suffix = Path(name.removesuffix(".gz")).suffix
    if suffix not in SUFFIXES:
        allowed = ", ".join(SUFFIXES)
        raise InvalidArgumentError(
            f"{path.name} must end in one of {allowed}, each also with .gz", argument=argument
        )
    return suffix, packed


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, str]]:
    """Open a file, decompressed, so that it can be read several times; return it and its format.

    The first bytes decide the format where they can, else the name: `"csv"` is every text with
    delimiters. Raises `OSError`, and `BadRowsError` for content of another format.
    """
    with _plain(path) as file:
        head = file.read(_HEAD)
        file.seek(0)
        yield file, _format_of(path, head)


@contextmanager
def _plain(path: Path) -> Iterator[BinaryIO]:
    if str(path) == STDIN:
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
            copy.seek(0)
            with _unpacked(cast("BinaryIO", copy), "the standard input") as file:
                yield file
        return
    with path.open("rb") as raw, _unpacked(raw, path.name) as file:
        yield file


@contextmanager
def _unpacked(raw: BinaryIO, name: str) -> Iterator[BinaryIO]:
    packed = raw.read(len(_GZIP)) == _GZIP
    raw.seek(0)
    if not packed:
        yield raw
        return
    with tempfile.TemporaryFile() as copy:
        try:
            with gzip.open(raw) as content:
                shutil.copyfileobj(content, copy)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise unreadable(name, RowProblem(1, None, f"is damaged: {error}")) from None
        copy.seek(0)
        yield cast("BinaryIO", copy)


def _format_of(path: Path, head: bytes) -> str:
    for magic, format_ in _MAGIC.items():
        if head.startswith(magic):
            return format_
    for magic, reason in _OTHERS.items():
        if head.startswith(magic):
            raise unreadable(path.name, RowProblem(1, None, reason))
    if str(path) == STDIN:
        text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        return "jsonl" if text.startswith(b"{") else "csv"
    suffix, packed = split_suffix(path)
    if suffix in {".xlsx", ".parquet"}:
        reason = f"is no {suffix} file" + (", packed or not" if packed else "")
        raise unreadable(path.name, RowProblem(1, None, reason))
    return "jsonl" if suffix == ".jsonl" else "csv"

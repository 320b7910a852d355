"""Decides which file an export writes, and which existing files it may replace."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

import msgspec

from syncro_async._internal.argument_text import Argument, ArgumentText
from syncro_async._internal.plain_text import shown
from syncro_async.bulk.files.columns import COLUMNS
from syncro_async.bulk.files.formats import (
    DELIMITERS,
    FORMS,
    PLAIN,
    CsvLayout,
    Write,
    form_of,
    library,
)
from syncro_async.bulk.files.xlsx_writing import MADE_BY
from syncro_async.errors import ConfigurationError, InvalidArgumentError
from syncro_async.transport.values import output_path

FileState = tuple[int, int, int] | None
"""Inode, size and time of the last change of a file; None for no file."""

_NAMES = frozenset(column.name for column in COLUMNS)
# Every export has these columns, also one of jsonl without relations.
_ALWAYS = frozenset({"id", "name", "phone", "email", "stage_id", "created_at", "custom_fields"})


@dataclass(frozen=True, slots=True)
class Destination:
    """The file of an export, and the files beside it; `force` replaces any earlier file."""

    path: Path
    form: str
    write: Write
    force: bool = False

    @property
    def resume(self) -> Path:
        """The file that keeps the leads read so far, until the export is done."""
        return self.path.with_name(f"{self.path.name}.resume")

    def free_aside(self) -> Path:
        """Return a name for the JSON of leads that cannot be read; no such file exists."""
        numbers = chain([""], (f"-{number}" for number in count(2)))
        names = (f"{self.path.name}.unreadable{number}.jsonl" for number in numbers)
        return next(path for name in names if not (path := self.path.with_name(name)).exists())

    def checked(self, *, resumed: bool) -> FileState:
        """Return the present state of the file.

        Raises `ConfigurationError` when there is a file that no export has made. With `resumed` an
        earlier run of the same export has made that check.
        """
        state = self._state()
        if state and not (self.force or resumed or is_export(self.path, self.form)):
            raise ConfigurationError(
                ArgumentText(
                    f"{self.path} exists and is not a {self.form} export of leads, so it is not"
                    " replaced; name another file, or replace it with ",
                    Argument("force", "True"),
                )
            )
        return state

    def check_unchanged(self, before: FileState) -> None:
        """Raise `ConfigurationError` when the file is another one than before the export."""
        if self._state() != before and not self.force:
            raise ConfigurationError(
                f"{self.path} was created or changed while the export was running, so it is not"
                " replaced; move it away and run the same export again, which continues"
            )

    def _state(self) -> FileState:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns


def destination_of(
    file: str | os.PathLike[str], form: str | None, layout: CsvLayout, *, force: bool
) -> Destination:
    """Return the destination for a file, whose format is `form` or else that of its suffix.

    Raises `ConfigurationError` for a suffix that names no format, for a format whose library is
    missing, and for a name of something that is no file; `InvalidArgumentError` for a layout of a
    file that is no CSV file and for a URL; `OSError` for a folder that is none. All are raised
    before the first request.
    """
    # Of a link, the file it points to: the files beside it have to be on the same disk.
    path = output_path("destination", file)
    name = path.suffix.lower().removeprefix(".") if form is None else form
    if form is None and name not in FORMS:
        raise ConfigurationError(
            ArgumentText(
                f"{os.fspath(file)}: the name must end in .jsonl, .csv, .xlsx or .parquet;"
                " for another name give ",
                Argument("format", "…"),
            )
        )
    if path.exists() and not path.is_file():
        raise ConfigurationError(f"{os.fspath(file)}: exists and is no regular file")
    if name != "csv" and layout != PLAIN:
        plain = msgspec.structs.asdict(PLAIN)
        given = next(field for field in plain if getattr(layout, field) != plain[field])
        raise InvalidArgumentError(
            ArgumentText(Argument(given), f" is for csv files, and this is a {name} file"),
            argument=given,
        )
    return Destination(path, name, form_of(name, layout), force)


def csv_layout(delimiter: str, *, bom: bool, decimal: Any) -> CsvLayout:
    """Return the layout. Raises `InvalidArgumentError` for a value that is not allowed."""
    if delimiter not in DELIMITERS:
        allowed = ", ".join(map(repr, DELIMITERS))
        raise InvalidArgumentError(
            ArgumentText(Argument("delimiter", shown(delimiter)), f" must be one of {allowed}"),
            argument="delimiter",
        )
    if decimal not in ("point", "comma"):  # a value that has no hash is refused too
        raise InvalidArgumentError(
            ArgumentText(Argument("decimal", shown(decimal)), " must be 'point' or 'comma'"),
            argument="decimal",
        )
    return CsvLayout(delimiter, bom, decimal)


def is_export(path: Path, form: str) -> bool:
    """Return whether an export has made this file, or may have: it is empty, or its columns are.

    Raises `OSError`.
    """
    return path.stat().st_size == 0 or _CHECKS[form](path)


def _is_our_jsonl(path: Path) -> bool:
    try:
        return _are_ours(msgspec.json.decode(_first_line(path), type=dict[str, Any]))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def _is_our_csv(path: Path) -> bool:
    header = _first_line(path).decode("utf-8-sig", "replace").strip().replace('"', "")
    return any(_are_ours(header.split(delimiter)) for delimiter in DELIMITERS)


def _is_our_workbook(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as book:
            return MADE_BY.encode() in book.read("docProps/core.xml")
    except (zipfile.BadZipFile, KeyError):
        return False


def _is_our_parquet(path: Path) -> bool:
    arrow, parquet = library()
    try:
        return _are_ours(parquet.read_schema(path).names)
    except arrow.ArrowInvalid:
        return False


_CHECKS: Mapping[str, Callable[[Path], bool]] = {
    "jsonl": _is_our_jsonl,
    "csv": _is_our_csv,
    "xlsx": _is_our_workbook,
    "parquet": _is_our_parquet,
}


def _first_line(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.readline()


def _are_ours(names: Collection[str]) -> bool:
    return _ALWAYS <= set(names) <= _NAMES

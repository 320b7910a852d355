"""Finds the cells of an .xlsx file whose stored value alone does not say what the sheet shows.

The package is read as a stream (ECMA-376): no more than one row of it is in memory.
"""

from __future__ import annotations

import posixpath
import re
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, BinaryIO, NamedTuple
from xml.parsers import expat
from zipfile import BadZipFile, ZipFile

from syncro_async.bulk.files.number_formats import BUILT_IN
from syncro_async.bulk.files.rows import unreadable
from syncro_async.models.receipts import RowProblem

_BOOK = "xl/workbook.xml"
_AT_ONCE = 1 << 16
_TRUE = {"1", "true"}
_LETTERS = re.compile("[A-Z]+")
# A number under one of these is shown as it is stored.
_PLAIN = {"general", "@"}
# What a damaged package raises; RuntimeError for an encrypted one.
_BROKEN = (
    *(BadZipFile, expat.ExpatError, zlib.error, EOFError, NotImplementedError, RuntimeError),
    *(LookupError, ValueError),
)

Attributes = dict[str, str]


class Stored(NamedTuple):
    """A cell as the file stores it.

    - `kind`: `e` for an error, `n` for a number or a date, other letters for texts
    - `raw`: the value as a text, empty where none is stored
    - `code`: the number format
    - `formula`: None where there is none
    """

    kind: str
    raw: str
    code: str
    formula: str | None


class Package(NamedTuple):
    """What a workbook says beside the values of its cells.

    - `sheet`: the file of the sheet that is read
    - `formats`: the number format of each style
    - `from_1904`: whether day 0 is in 1904, and not in 1900
    - `is_computed`: whether the program that wrote the file has computed the formulas
    """

    archive: ZipFile
    sheet: str
    formats: list[str]
    from_1904: bool
    is_computed: bool


def open_package(file: BinaryIO, name: str, title: str) -> Package | None:
    """The package of an .xlsx file; None for a workbook of another kind. Raises `BadRowsError`."""
    try:
        archive = ZipFile(file)
        paths = {_plain(path): path for path in archive.namelist()}
        if _BOOK not in paths:
            return None
        ids: dict[str, str] = {}
        settings: Attributes = {}
        _read(archive, paths[_BOOK], partial(_take_book, ids, settings))
        targets: dict[str, str] = {}
        _read(archive, paths["xl/_rels/workbook.xml.rels"], partial(_take_target, targets))
        codes = dict(BUILT_IN)
        formats: list[str] = []
        if "xl/styles.xml" in paths:
            _read(archive, paths["xl/styles.xml"], _Styles(codes, formats))
        sheet = paths[_plain(targets[ids[title]])]
    except _BROKEN as error:
        raise _broken(name, error) from None
    from_1904 = settings.get("date1904") in _TRUE
    return Package(archive, sheet, formats, from_1904, settings.get("fullCalcOnLoad") not in _TRUE)


def stored_cells(package: Package, name: str) -> Iterator[tuple[int, dict[int, Stored]]]:
    """The rows of the sheet, each with its number and those cells that need a look, by their place.

    Raises `BadRowsError`.
    """
    rows = _Rows(package.formats)
    last = 0
    try:
        with package.archive.open(package.sheet) as part:
            for _ in _parsed(part, rows.start, rows.end, rows.text):
                for number, cells in rows.done:
                    if number <= last:
                        raise ValueError(f"row {number} follows row {last}")
                    last = number
                    yield number, cells
                rows.done.clear()
    except _BROKEN as error:
        raise _broken(name, error) from None


def _broken(name: str, error: Exception) -> Exception:
    reason = f"is no workbook that can be read: {error}"
    advice = "open it in a spreadsheet program, and save it as .xlsx"
    return unreadable(name, RowProblem(1, None, reason, None, advice))


def _plain(path: str) -> str:
    return path.replace("\\", "/").lower()


class _Rows:
    """Takes the events of a sheet, and keeps the cells that need a look."""

    def __init__(self, formats: list[str]) -> None:
        self.done: list[tuple[int, dict[int, Stored]]] = []
        self._formats = formats or ["General"]
        self._plain = {str(at) for at, one in enumerate(self._formats) if one.lower() in _PLAIN}
        self._row = 0
        self._place = -1
        self._cells: dict[int, Stored] = {}
        self._cell: Attributes = {}
        self._looks = False
        self._texts: dict[str, list[str]] = {}
        self._into: list[str] | None = None

    def start(self, tag: str, attributes: Attributes) -> None:
        if tag == "c":
            self._cell = attributes
            reference = attributes.get("r")
            self._place = _place(reference) if reference else self._place + 1
            self._looks = attributes.get("t") == "e" or attributes.get("s", "0") not in self._plain
            self._texts = {}
        elif tag == "row":
            self._row = int(attributes.get("r", self._row + 1))
            self._place = -1
        elif tag == "f" or (tag == "v" and (self._looks or "f" in self._texts)):
            self._into = self._texts.setdefault(tag, [])

    def text(self, text: str) -> None:
        if self._into is not None:
            self._into.append(text)

    def end(self, tag: str) -> None:
        if tag in {"v", "f"}:
            self._into = None
        elif tag == "c":
            if self._looks or "f" in self._texts:
                self._take()
        elif tag == "row":
            self.done.append((self._row, self._cells))
            self._cells = {}

    def _take(self) -> None:
        formula = self._texts.get("f")
        self._cells[self._place] = Stored(
            self._cell.get("t", "n"),
            "".join(self._texts.get("v", ())),
            self._formats[int(self._cell.get("s", "0"))],
            None if formula is None else "=" + "".join(formula),
        )


def _place(reference: str) -> int:
    letters = _LETTERS.match(reference)
    place = 0
    for letter in letters[0] if letters else "":
        place = place * 26 + ord(letter) - 64
    return place - 1


class _Styles:
    """Takes the events of the styles; only the formats of cells count, not those of styles."""

    def __init__(self, codes: dict[int, str], formats: list[str]) -> None:
        self._codes = codes
        self._formats = formats
        self._in_cells = False

    def __call__(self, tag: str, attributes: Attributes) -> None:
        if tag == "numFmt" and "formatCode" in attributes:
            self._codes[int(attributes["numFmtId"])] = attributes["formatCode"]
        elif tag in {"cellXfs", "cellStyleXfs", "dxfs"}:
            self._in_cells = tag == "cellXfs"
        elif tag == "xf" and self._in_cells:
            number = int(attributes.get("numFmtId", "0"))
            self._formats.append(self._codes.get(number, "General"))


def _take_book(ids: dict[str, str], settings: Attributes, tag: str, attributes: Attributes) -> None:
    if tag == "sheet":
        found = (value for key, value in attributes.items() if key.endswith(":id"))
        ids[attributes["name"]] = next(found, "")
    elif tag in {"workbookPr", "calcPr"}:
        settings.update(attributes)


def _take_target(targets: dict[str, str], tag: str, attributes: Attributes) -> None:
    if tag == "Relationship":
        path = posixpath.normpath(posixpath.join("/xl", attributes["Target"]))
        targets[attributes["Id"]] = path.removeprefix("/")


def _read(archive: ZipFile, path: str, start: Callable[[str, Attributes], None]) -> None:
    with archive.open(path) as part:
        for _ in _parsed(part, start):
            pass


def _parsed(
    part: Any,
    start: Callable[[str, Attributes], None],
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """Read XML piece by piece, and hand over its events, with names without namespaces."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = lambda tag, found: start(tag.rpartition(":")[2], found)
    if end is not None:
        parser.EndElementHandler = lambda tag: end(tag.rpartition(":")[2])
        parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = _no_doctype
    while piece := part.read(_AT_ONCE):
        parser.Parse(piece)
        yield
    parser.Parse(b"", True)  # noqa: FBT003  # expat takes it by place only
    yield


def _no_doctype(*_: object) -> None:
    raise ValueError("it has a document type, which no workbook has")

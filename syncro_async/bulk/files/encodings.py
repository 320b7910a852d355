"""Finds the encoding of a text file, without ever guessing from a short sample."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, BinaryIO, NamedTuple, TextIO

from syncro_async.bulk.files.rows import unreadable
from syncro_async.errors import InvalidArgumentError
from syncro_async.models.receipts import RowProblem

# The error handler: a byte that cannot be decoded becomes U+DC00 + byte, and its row is refused.
MARK_BYTES = "syncro_async.mark_bytes"
MARKED = re.compile("[\udc00-\udcff]")
ENCODING_ADVICE = "name the encoding with {encoding}"
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_WINDOWS = "cp1252"
_SAMPLE_BYTES = 65_536
_HEAD_BYTES = 4096
# Statistics decide about this many bytes beyond ASCII and more.
_ENOUGH = 100
_SAMPLE_CHARS = 40
_UNDEFINED = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
# Code page 850 and Mac Roman have letters where Windows-1252 has these characters.
_LETTER = "[^\\W\\d_]"
_WRONG = re.compile(
    f"(?<={_LETTER})[‚ƒ„†‡ˆ‰‹›“”€¡¢£¤¥¦§¨¬±¶¸¿](?={_LETTER})"  # noqa: RUF001  # these are meant
    # At the end of a word no sign that ends a quote, is a mark, or a currency behind capitals.
    f"|(?<={_LETTER})(?<![A-Z])[‚ƒ„‡ˆ‰¡¢£¦§¨¬±¶¸¿](?!\\w)"  # noqa: RUF001  # these are meant
    "|(?<!\\S)‚(?!\\S)"  # noqa: RUF001  # a letter that is a word
    # A capital letter inside a word, and a small one that begins more than the name of a unit.
    "|(?<=[a-z])[ÆŽ](?![A-Z])|(?<=[A-Z])Æ(?=[a-z])|(?<!\\w)µ(?=[a-z]{4})"
)
_RUN = re.compile("[^\\x00-\\x7f\u00a0’‘“”–—…]{4,}")  # noqa: RUF001  # as the line above
_USUAL = frozenset("áéíóúâêôãõàçüñÁÉÍÓÚÂÊÔÃÕÀÇÜÑªº")
# Encodings that old programs write, and what a text is made of that may be written in them.
_OLD = ("cp850", "mac_roman")
_OF_WORDS = re.compile("[\x00-\x7fáéíóúâêôãõàèçüëïöäñÁÉÍÓÚÂÊÔÃÕÀÈÇÜËÏÖÄÑªº]*")
_IN_NO_WORD = re.compile("[a-zà-ü][À-Ü]|ç(?![a-zà-ü])")
# What can be seen: no control character, and none without width.
_VISIBLE = re.compile("[^\x00-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
_MANY_LETTERS = 3
_CELL = '[^,;\t|\r\n"\udc00-\udcff]*'
_BEYOND_ASCII = re.compile(f"{_CELL}[^\x00-\x7f\ufeff\udc00-\udcff]{_CELL}")


class Encoding(NamedTuple):
    """An encoding.

    - `codec`: its name in Python
    - `name`: its usual name
    - `sample`: a text of the file with a character beyond ASCII, None where there is none. Where
      the encoding is given or marked, it is one of the first 64 KiB
    """

    codec: str
    name: str
    sample: str | None


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.object[error.start : error.end]
    return "".join(chr(0xDC00 + byte) for byte in wrong), error.end


codecs.register_error(MARK_BYTES, _mark)


@contextmanager
def decoded(file: BinaryIO, codec: str, newline: str) -> Iterator[TextIO]:
    """The file as text; what cannot be decoded is marked. The file itself stays open."""
    text = io.TextIOWrapper(file, encoding=codec, errors=MARK_BYTES, newline=newline)
    try:
        yield text
    finally:
        text.detach()


def checked_encoding(name: str) -> str:
    """The name of the codec. Raises `InvalidArgumentError` for one that Python does not know."""
    try:
        # Decoding refuses what is no encoding of texts, such as base64; four bytes suit every one.
        b"a\0\0\0".decode(name, "replace")
        codec = codecs.lookup(name).name
    except (LookupError, ValueError):
        raise InvalidArgumentError(
            f"encoding {name!r} is not known: give for example utf-8, cp1252, cp850 or utf-16",
            argument="encoding",
        ) from None
    return codec


def wrong_byte(line: int, column: str | None, cell: str, encoding: Encoding) -> RowProblem:
    """The problem of a row that holds a byte of another encoding, with the line of that byte."""
    found = MARKED.search(cell)
    assert found is not None  # noqa: S101  # the caller has found it
    byte = ord(found[0]) - 0xDC00
    line += cell.count("\n", 0, found.start())
    shown = MARKED.sub("�", cell)
    reason = f"holds the byte 0x{byte:02X}, which is not {encoding.name}"
    return RowProblem(line, column, reason, shown, ENCODING_ADVICE)


def find_encoding(file: BinaryIO, given: str | None, name: str) -> Encoding:
    """The encoding of the file: the one given, else that of its first bytes, else what fits.

    UTF-8 where most lines are UTF-8, else Windows-1252. Raises `BadRowsError` when the bytes, or
    in a long text the statistics of charset-normalizer, exclude Windows-1252.
    """
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    codec, label = _shown_by(head)
    if given is not None:
        asked = checked_encoding(given)
        # A byte order mark is no part of the first column's name.
        codec = codec if asked == "utf-8" and codec == "utf-8-sig" else asked
        label = given
    if codec is not None:
        return Encoding(codec, label, _sample(_start_of(file, codec)))
    utf8, other, lines = _survey(file)
    if utf8 >= other:
        return Encoding("utf-8", "UTF-8", _sample(lines.decode("utf-8", MARK_BYTES)))
    reason = _excluded(lines)
    if reason is not None:
        raise unreadable(name, RowProblem(1, None, reason, None, ENCODING_ADVICE))
    return Encoding(_WINDOWS, "Windows-1252", _sample(lines.decode(_WINDOWS, MARK_BYTES)))


def _shown_by(head: bytes) -> tuple[str | None, str]:
    for mark, codec, label in _BOMS:
        if head.startswith(mark):
            return codec, label
    # Half of the bytes of Western text in UTF-16 are zeros.
    half = len(head) // 4
    if half and head[1::2].count(0) > half:
        return "utf-16-le", "UTF-16"
    if half and head[::2].count(0) > half:
        return "utf-16-be", "UTF-16"
    return None, ""


def _start_of(file: BinaryIO, codec: str) -> str:
    content = file.read(_SAMPLE_BYTES)
    file.seek(0)
    return codecs.getincrementaldecoder(codec)(MARK_BYTES).decode(content)


def _survey(file: BinaryIO) -> tuple[int, int, bytes]:
    """The numbers of lines beyond ASCII that are UTF-8 and that are not, and the first of them."""
    utf8 = other = 0
    lines = bytearray()
    for line in file:
        if line.isascii():
            continue
        try:
            line.decode()
            utf8 += 1
        except UnicodeDecodeError:
            other += 1
        if len(lines) < _SAMPLE_BYTES:
            lines += line
    file.seek(0)
    return utf8, other, bytes(lines)


def _excluded(lines: bytes) -> str | None:
    """Why the text is not Windows-1252, or None."""
    undefined = _UNDEFINED.search(lines)
    text = lines.decode(_WINDOWS, MARK_BYTES)
    if undefined:
        why = f"the byte 0x{undefined[0][0]:02X} has no meaning in Windows-1252"
    elif sign := _WRONG.search(text):
        why = f"as Windows-1252 it would hold {_around(text, sign.start())!r}"
    elif run := next(filter(_is_foreign, (found[0] for found in _RUN.finditer(text))), None):
        why = f"as Windows-1252 it would hold {run!r}"
    else:
        why = "the frequencies of its letters exclude Windows-1252"
        if not _statistics_exclude(lines):
            return None
    guess = _best_guess(lines)
    return f"has an unknown encoding: it is not UTF-8, and {why}{guess}"


def _around(text: str, at: int) -> str:
    """The cell around a character, cut to a few characters before and behind it."""
    cells = (found for found in _BEYOND_ASCII.finditer(text) if found.start() <= at < found.end())
    cell = next(cells)
    return text[max(cell.start(), at - 10) : min(cell.end(), at + 10)].strip()


def _is_words(text: str) -> bool:
    return _OF_WORDS.fullmatch(text) is not None and _IN_NO_WORD.search(text) is None


def _is_foreign(run: str) -> bool:
    letters = [character for character in run if character.isalpha()]
    return len(letters) >= _MANY_LETTERS and not _USUAL.issuperset(letters)


def _statistics_exclude(lines: bytes) -> bool:
    if sum(byte > 127 for byte in lines) < _ENOUGH:  # the last byte of ASCII
        return False
    found = _matches(lines)
    return bool(found) and not any(_WINDOWS in match.could_be_from_charset for match in found)


def _best_guess(lines: bytes) -> str:
    texts = {codec: lines.decode(codec) for codec in _OLD}
    old = [f"{codec} ({_sample(text)!r})" for codec, text in texts.items() if _is_words(text)]
    if old:
        return f"; it may be {' or '.join(old)}"
    excluded = lines.decode(_WINDOWS, MARK_BYTES)
    best = next(iter(_matches(lines)), None)
    # Behind the encoding that is excluded it only has others that fit worse.
    if best is None or str(best) == excluded:
        return ""
    return f"; it may be {best.encoding} ({_sample(str(best))!r})"


def _matches(lines: bytes) -> list[Any]:
    try:
        library = import_module("charset_normalizer")
    except ModuleNotFoundError:
        return []
    return list(library.from_bytes(lines))


def _sample(text: str) -> str | None:
    """The first cell with a character beyond ASCII; one that can be seen where there is one."""
    first = None
    for found in _BEYOND_ASCII.finditer(text):
        if _VISIBLE.search(found[0]):
            return _cut(found[0])
        first = first or found[0]
    return None if first is None else _cut(first)


def _cut(cell: str) -> str:
    """The part of a cell in which its first character beyond ASCII is."""
    at = next(place for place, character in enumerate(cell) if not character.isascii())
    start = 0 if at < _SAMPLE_CHARS else at - _SAMPLE_CHARS // 2
    return cell[start : start + _SAMPLE_CHARS].strip(" ")

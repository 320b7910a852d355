"""Finds a secret in a text of somebody else, in every spelling that software gives it.

A server that quotes a key may escape it (JSON, percent-encoding, HTML, a JSON text inside another
one), encode it (base64, hexadecimal), change its capitals, wrap it at the end of a line, or cut it
short. So the text is first spelled out: escapes become the characters that they stand for, and
what is not seen is dropped. Then pieces of the secret are looked for, and what they stand for in
the text itself is masked.
"""

from __future__ import annotations

import base64
import html.entities
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NoReturn

MASK = "***"
# A shorter piece may as well be a common prefix or a plain word.
_PIECE = 8
# Where the rest was cut off, this much of its beginning is no accident either.
_CUT_PIECE = 5
# Of what encodes a secret; six bytes of it in base64, eight in hexadecimal.
_BASE64_PIECE = 8
_HEX_PIECE = 16

# How much of a text is looked at in one go: what is noted of its escapes takes some memory.
_WINDOW = 2**18
# So often an escape may be escaped again.
_LAYERS = 3

# What stands for one character, or for none. Every repetition is bounded or possessive, so that
# the search takes time in proportion to the text.
_ESCAPE = r"""
    (?=[^\x20-\x24'-<>-\[\]-~])  # most characters begin no escape, and this is seen quickly
    (?:
      \\{1,16}(?:
          [uU]\{0{0,6}(?P<braced>[0-9a-fA-F]{2})\}
        | U000000(?P<long>[0-7][0-9a-fA-F])
        | u00(?P<u>[0-7][0-9a-fA-F])
        | u(?P<hidden>00(?:[89]|[aA][0dD])|20(?:0[bBcCdDeEfF]|2[89a-fA-F]|[56])|[fF][eE][fF]{2})
        | u(?P<dots>2026)
        | [xX](?P<x>[0-9a-fA-F]{2})
        | (?P<octal>[01][0-7]{2})
        | (?P<breaks>[nrt])
        | (?P<itself>[!-/:-@\[-`{-~])
      )
    | %(?:25){0,8}(?:[uU]00)?(?P<percent>[0-9a-fA-F]{2})
    | &(?:amp;){0,8}(?:
          \#0{0,8}(?:[xX]0{0,8}(?P<hex>[0-9a-fA-F]{2})|(?P<decimal>[0-9]{2,3}));?
        | (?P<name>[a-zA-Z]{2,24});
      )
    | (?P<unseen>(?:UNSEEN|=?[\r\n][\r\n\t\x20]*+|\t)++)
    )
    """
_CONTROL = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f"
_UNSEEN = (
    rf"[{_CONTROL}-\xa0\xad\u034f\u061c\u180e\u200b-\u200f\u2028-\u202f\u205f-\u206f"
    r"\ufe00-\ufe0f\ufeff\ufffd\udc80-\udcff]"
)
# The same in the bytes of UTF-8, each taken for a character.
_UNSEEN_BYTES = (
    rf"[{_CONTROL}]|\xc2[\x80-\xa0\xad]|\xe2\x80[\x8b-\x8f\xa8-\xaf]|\xe2\x81[\x9f-\xaf]"
    r"|\xef\xbb\xbf|\xef\xbf\xbd"
)
_ESCAPES = re.compile(_ESCAPE.replace("UNSEEN", _UNSEEN), re.VERBOSE)
_ESCAPES_IN_BYTES = re.compile(_ESCAPE.replace("UNSEEN", _UNSEEN_BYTES), re.VERBOSE)
_QUOTED_PRINTABLE = re.compile(r"=(?P<percent>[0-9A-F]{2})|(?P<unseen>(?:=\r?\n)++)")
_BASES = {
    **dict.fromkeys(("braced", "u", "long", "x", "percent", "hex"), 16),
    "decimal": 10,
    "octal": 8,
}
# What stands behind a text that was cut short: its end, or what says so.
_CUT = r"(?=…|\xe2\x80\xa6|\.{2}|\*{2}|[\"'<>«»“”()\[\]{}]|\s{0,8}\Z)"
# In a text that is shorter one pattern is quicker than many searches.
_SHORT = 2_000
_CAPITAL = re.compile("[A-Z]")
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


_Place = tuple[int, int]


class KeyMask:
    """A secret to be masked; it is neither shown nor pickled.

    `piece` is the length of the shortest piece of it that is masked.
    """

    __slots__ = ("_encoded", "_forms", "_spelled", "_whole")

    def __init__(self, secret: str, piece: int = _PIECE) -> None:
        self._whole = secret
        self._forms = _forms(secret, piece)
        self._spelled = _any_gram(form for form in self._forms if form.any_case)
        self._encoded = _any_gram(form for form in self._forms if not form.any_case)

    def __repr__(self) -> str:
        return "KeyMask(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")

    def mask(self, text: str) -> str:
        """The text with each piece of the secret replaced by `***`."""
        parts: list[str] = []
        at = 0
        for start, end in self.places(text):
            parts += [text[at:start], MASK]
            at = end
        return "".join([*parts, text[at:]]) if parts else text

    def mask_bytes(self, content: bytes) -> bytes:
        """The bytes with each piece of the secret replaced by `***`."""
        parts: list[bytes] = []
        at = 0
        for start, end in self.places(content):
            parts += [content[at:start], MASK.encode()]
            at = end
        return b"".join([*parts, content[at:]]) if parts else content

    def places(self, source: str | bytes) -> Iterator[_Place]:
        """Where the secret stands, from the front to the back; each place begins behind the last.

        For `bytes` the places are those of the bytes.
        """
        overlap = 32 * len(self._whole)
        begin = behind = 0
        while begin < len(source):
            until = begin + _WINDOW
            window = source[begin : until + overlap]
            if isinstance(window, bytes):
                found = self._in_window(window.decode("latin-1"), _ESCAPES_IN_BYTES)
            else:
                found = self._in_window(window, _ESCAPES)
            for first, last in found:
                start, end = max(begin + first, behind), begin + last
                if first < _WINDOW and start < end:
                    yield start, end
                    behind = end
            begin = max(until, behind)

    def _in_window(self, text: str, escapes: re.Pattern[str]) -> list[_Place]:
        """The places in one piece of a text, joined where they overlap."""
        if not any(self._runs(each) for each in _spellings(text, escapes)):
            return []
        found: list[_Place] = []
        for view in _views(text, escapes):
            found += (view.place(*run) for run in self._runs(view.text))
        return _joined(found)

    def _runs(self, text: str) -> list[_Place]:
        lower = text.translate(_LOWER) if _CAPITAL.search(text) else text
        if len(text) < _SHORT and not (self._spelled.search(lower) or self._encoded.search(text)):
            return []
        return [run for form in self._forms for run in form.runs(lower if form.any_case else text)]


@dataclass(frozen=True, slots=True, repr=False)
class _Form:
    """One way to write the secret, and the shortest piece of it that counts."""

    text: str
    piece: int
    any_case: bool
    cut: re.Pattern[str] | None = None

    def __reduce__(self) -> NoReturn:
        raise TypeError("a spelling of the API key cannot be pickled")

    @property
    def step(self) -> int:
        """The length of its grams."""
        return self.piece if len(self.text) == self.piece else max(1, self.piece // 2)

    @property
    def grams(self) -> list[str]:
        """Parts of it; each piece holds one of them whole."""
        last = len(self.text) - self.step
        return [self.text[at : at + self.step] for at in range(0, last + 1, self.step)]

    def runs(self, text: str) -> Iterator[_Place]:
        """Where pieces of it stand in the text."""
        step = self.step
        for number, gram in enumerate(self.grams):
            offset, at = number * step, text.find(gram)
            while at >= 0:
                start, end = self._extended(text, at, offset, step)
                if end - start >= self.piece:
                    yield start, end
                at = text.find(gram, max(end, at + 1))
        if self.cut is not None:
            yield from (found.span() for found in self.cut.finditer(text))

    def _extended(self, text: str, at: int, offset: int, length: int) -> _Place:
        """The whole piece around a gram that stands at `at` and is the secret's from `offset`."""
        form, before = self.text, 0
        most = min(at, offset)
        while before < most and text[at - before - 1] == form[offset - before - 1]:
            before += 1
        most = min(len(text) - at, len(form) - offset)
        while length < most and text[at + length] == form[offset + length]:
            length += 1
        return at - before, at + length


def _forms(secret: str, piece: int) -> tuple[_Form, ...]:
    """The secret itself, spelled out like the texts it is looked for in, and its encodings."""
    piece = min(piece, len(secret))
    spelled = {secret.translate(_LOWER)}
    spelled |= {view.text.translate(_LOWER) for view in _views(secret, _ESCAPES)}
    forms = [
        _Form(text, min(piece, len(text)), any_case=True, cut=_cut_pattern(text, piece))
        for text in sorted(spelled)
    ]
    raw = secret.encode()
    for shift in range(3):
        # The characters at both ends depend on what stands beside the secret.
        head, tail = -(-8 * shift // 6), (8 * (shift + len(raw))) // 6
        standard = base64.b64encode(b"\0" * shift + raw).decode()[head:tail]
        forms += (
            _Form(text, _BASE64_PIECE, any_case=False)
            for text in {standard, standard.translate({ord("+"): "-", ord("/"): "_"})}
        )
    forms.append(_Form(raw.hex(), _HEX_PIECE, any_case=True))
    # As dumps of memory print it: a piece has a separator between its bytes.
    forms += (
        _Form(raw.hex(between), _HEX_PIECE + _HEX_PIECE // 2 - 1, any_case=True)
        for between in (" ", ":")
    )
    return tuple(form for form in forms if len(form.text) >= form.piece > 0)


def _any_gram(forms: Iterable[_Form]) -> re.Pattern[str]:
    """What finds any gram of those forms; a pattern that finds nothing where there is none."""
    grams = sorted({re.escape(gram) for form in forms for gram in form.grams})
    return re.compile("|".join(grams) or r"(?!)")


def _cut_pattern(text: str, piece: int) -> re.Pattern[str] | None:
    """Beginnings of the secret that are shorter than a piece, behind which the rest was cut off."""
    if len(text) <= piece or piece <= _CUT_PIECE:
        return None
    more = ""
    for character in reversed(text[_CUT_PIECE : piece - 1]):
        more = f"(?:{re.escape(character)}{more})?+"
    return re.compile(f"{re.escape(text[:_CUT_PIECE])}{more}{_CUT}")


class _View:
    """A text spelled out, and where each of its characters stands in the text itself."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._inner: _View | None = None
        self._starts: list[int] = []
        self._places: list[_Place] = []

    def spelled_out(self, escapes: re.Pattern[str]) -> _View:
        """The same with those escapes undone."""
        parts: list[str] = []
        view, text = _View(""), self.text
        view._inner = self
        at = length = 0
        for found in escapes.finditer(text):
            start, end = found.span()
            if at < start:
                parts.append(text[at:start])
                view._note(length, at, start)
                length += start - at
            if meant := _meaning(found):
                parts.append(meant)
                view._note(length, start, end)
                length += 1
            at = end
        view._note(length, at, len(text))
        view.text = "".join([*parts, text[at:]])
        return view

    def _note(self, start: int, begins: int, ends: int) -> None:
        self._starts.append(start)
        self._places.append((begins, ends))

    def place(self, start: int, end: int) -> _Place:
        """Where `text[start:end]` stands in the text that nothing was spelled out of."""
        if self._inner is None:
            return start, end
        first = bisect_right(self._starts, start) - 1
        last = bisect_right(self._starts, end - 1) - 1
        begins, ends = self._places[last]
        following = self._starts[last + 1] if last + 1 < len(self._starts) else len(self.text)
        # An escape is longer than the one character it stands for: it is masked as a whole.
        stop = ends if end == following else begins + (end - self._starts[last])
        return self._inner.place(self._places[first][0] + (start - self._starts[first]), stop)


def _views(text: str, escapes: re.Pattern[str]) -> Iterator[_View]:
    """The text itself, then what is left when one layer of escapes after the other is undone."""
    view = _View(text)
    yield view
    if "=" in text:
        yield view.spelled_out(_QUOTED_PRINTABLE)
    for _ in range(_LAYERS):
        before, view = view, view.spelled_out(escapes)
        if view.text == before.text:
            return
        yield view


def _spellings(text: str, escapes: re.Pattern[str]) -> Iterator[str]:
    """The texts of the views, in less time: most texts hold nothing to be masked."""
    yield text
    if "=" in text:
        yield _QUOTED_PRINTABLE.sub(_meaning, text)
    for _ in range(_LAYERS):
        before, text = text, escapes.sub(_meaning, text.replace('\\"', '"').replace("\\/", "/"))
        if text == before:
            return
        yield text


def _meaning(found: re.Match[str]) -> str:
    """The character that an escape stands for; an empty text where it stands for none."""
    kind = found.lastgroup
    digits = found[kind] if kind else ""
    if kind == "name":
        meant = html.entities.html5.get(f"{digits};", "")
        return meant if len(meant) == 1 and meant.isascii() else "\ufffc"
    if kind in {"itself", "dots"}:
        return "…" if kind == "dots" else digits
    base = _BASES.get(kind or "")
    return "" if base is None else chr(int(digits, base))


def _joined(places: list[_Place]) -> list[_Place]:
    """The places in order, those that overlap as one."""
    joined: list[_Place] = []
    for start, end in sorted(places):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined

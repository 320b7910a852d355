"""Removes what programs put around values: invisible characters, quotes and prefixes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

Kind = Literal["text", "phone", "email", "strict"]
"""What a value is to become; `strict` is a number, a date, an id and everything of one form."""

# Joiners and variation selectors are parts of signs in texts, and never parts of an address.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]"
)
_JOINERS = re.compile("[\u200c\u200d\ufe00-\ufe0f]")
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
# The first group and a colon: `tel:`.
_PREFIX = "prefix"
_WRAPPERS: dict[Kind, tuple[tuple[str, re.Pattern[str]], ...]] = {
    "phone": (
        (_PREFIX, re.compile(r"(tel|phone|callto|whatsapp|p)\s*:\s*(.+)", re.IGNORECASE)),
        ("<…>", re.compile(r"<(.+)>")),
        (".0", re.compile(r"(\+?\d+)[.,]0+")),
    ),
    "email": (
        (_PREFIX, re.compile(r"(mailto|e-?mail)\s*:\s*(.+)", re.IGNORECASE)),
        ("<…>", re.compile(r"[^<>@]*<\s*([^<>\s]+@[^<>\s]+)\s*>")),
    ),
    "strict": (),
}
_QUOTES = (
    ('="…"', re.compile(r'="((?:[^"]|"")*)"')),
    ('"…"', re.compile(r'"([^"]*)"')),
    ("'", re.compile(r"'([^']*)'?")),
)


class Cleaned(NamedTuple):
    """A value, and the name of everything that was removed from it."""

    value: Any
    removed: tuple[str, ...]


def clean(value: Any, kind: Kind) -> Cleaned:
    """The value without what is no part of it; what is no text stays as it is."""
    if not isinstance(value, str):
        return Cleaned(value, ())
    removed: list[str] = []
    text = _visible(value, kind, removed).strip()
    while kind != "text":
        for what, pattern in _patterns(kind):
            found = pattern.fullmatch(text)
            if found:
                *prefix, text = (part.strip() for part in found.groups())
                removed.append(f"{prefix[0].lower()}:" if what is _PREFIX else what)
                break
        else:
            break
    return Cleaned(text, tuple(dict.fromkeys(removed)))


def _visible(text: str, kind: Kind, removed: list[str]) -> str:
    if text.isascii() and text.isprintable():
        return text
    patterns = [(_INVISIBLE, ""), (_SPACES, " ")]
    if kind != "text":
        patterns.append((_JOINERS, ""))
    for pattern, instead in patterns:
        text, count = pattern.subn(instead, text)
        if count:
            removed.append("no-break space" if instead else "invisible character")
    return text


def _patterns(kind: Kind) -> Iterator[tuple[str, re.Pattern[str]]]:
    yield from _QUOTES
    yield from _WRAPPERS[kind]

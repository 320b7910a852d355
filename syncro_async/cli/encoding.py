"""Output that every encoding can write: signs that it lacks are replaced by similar ones."""

from __future__ import annotations

import codecs
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper

_HANDLER = "syncro_async.similar"
_SIMILAR = {
    "→": "->",
    "←": "<-",
    "…": "...",
    "×": "x",
    "·": "-",
    "−": "-",
    "≤": "<=",
    "≥": ">=",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "’": "'",
    "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "“": '"',
    "”": '"',
    "█": "#",
    "▓": "+",
    "░": ".",
    "│": "|",
    "─": "-",
    **dict.fromkeys("▏▎▍▌▋▊▉", "#"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯", "+"),
}


def _similar(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    bad = error.object[error.start : error.end]
    return "".join(_replacement(sign) for sign in bad), error.end


def _replacement(sign: str) -> str:
    """A similar text in ASCII; where there is none, the escape of the sign."""
    base = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
    return _SIMILAR.get(sign) or base or sign.encode("ascii", "backslashreplace").decode()


codecs.register_error(_HANDLER, _similar)


@contextmanager
def any_encoding() -> Iterator[None]:
    """While the block runs, no text fails on stdout or stderr because of its encoding."""
    streams = [one for one in (sys.stdout, sys.stderr) if isinstance(one, TextIOWrapper)]
    handlers = [stream.errors for stream in streams]
    for stream in streams:
        stream.reconfigure(errors=_HANDLER)
    try:
        yield
    finally:
        for stream, errors in zip(streams, handlers, strict=True):
            if not stream.closed:
                stream.reconfigure(errors=errors)

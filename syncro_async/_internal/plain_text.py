"""Makes a text of another program safe for a log or an error message."""

from __future__ import annotations

from syncro_async._internal.known_keys import masked, masked_value

# The longest text of a server in a message, and the longest name of a field (characters).
LONGEST = 500
LONGEST_NAME = 100
# The longest value of an argument in a message (characters).
_LONGEST_VALUE = 120
# Keys are looked for in no more of a value, because a value may be a whole file.
_LOOKED_AT = 4_096


def one_line(text: str) -> str:
    """Return the text on one line: all white space as spaces, what cannot be printed as U+FFFD.

    Line breaks would look like records of their own in a log. Control characters, escape sequences
    and marks that turn the direction of writing change what a terminal shows.
    """
    if text.isprintable():
        return text
    return "".join(map(_printable, text))


def shorten(text: str, longest: int = LONGEST, whole: str = "") -> str:
    """`one_line` of the beginning of a text; of one that is longer it says the length.

    `whole` says where the whole text is.
    """
    if len(text) <= longest:
        return one_line(text)
    where = f"; {whole}" if whole else ""
    return f"{one_line(text[:longest])}… ({len(text)} characters in all{where})"


def shown(value: object) -> str:
    """The value as error messages show it: its `repr()` without API keys, cut where it is long."""
    try:
        if isinstance(value, str):
            value = masked_value(value[:_LOOKED_AT])
        text = masked(repr(value)[:_LOOKED_AT])
    except Exception:  # noqa: BLE001  # any code may be behind a repr, and it is not the message
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else "\ufffd"

"""Makes of a body a line that may stand in a log: short, and without what nobody should read."""

from __future__ import annotations

import re
from typing import NoReturn

from syncro_async.errors import ConfigurationError

# A shorter piece may as well be a common prefix or a plain word.
_PIECE = 8


class ApiKey:
    """Holds a key; `reveal()` is the only way to read it, and only the pool does.

    Raises `ConfigurationError` for a text that cannot travel in an HTTP header: it would fail
    later, and httpx's complaint would show it.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        usable = text.isascii() and text.isprintable() and " " not in text
        self._text = text if usable else ""
        del text  # an error's traceback holds this frame
        if not usable:
            raise ConfigurationError(
                "the API key holds spaces, line breaks or characters that are not ASCII;"
                " copy it again, without anything around it"
            )

    def reveal(self) -> str:
        """The key itself."""
        return self._text

    def mask(self, content: bytes) -> bytes:
        """The same bytes with every occurrence of the key replaced by `***`."""
        return content.replace(self._text.encode(), b"***")

    def mask_text(self, text: str) -> str:
        """The same text with every occurrence of the key replaced by `***`."""
        return text.replace(self._text, "***")

    def mask_pieces(self, text: str) -> str:
        """The same text with every piece of the key that is eight characters or longer masked.

        A server that quotes a key may cut it short, or quote it in two lines.
        """
        key = self._text
        pieces = {key[at : at + _PIECE] for at in range(len(key) - _PIECE + 1)} or {key}
        length = min(_PIECE, len(key))
        kept: list[str] = []
        hidden_to = 0
        for at, character in enumerate(text):
            if text[at : at + length] in pieces:
                if at >= hidden_to:
                    kept.append("***")
                hidden_to = at + length
            if at >= hidden_to:
                kept.append(character)
        return "".join(kept)

    def __repr__(self) -> str:
        return "ApiKey(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an API key is not pickled; give it to the other process another way")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ApiKey) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


# How many bytes of a body are looked at, and how many characters of them are shown.
READ = 4096
_SHOWN = 500
_HIDDEN = "***"

# A name that promises a secret, or a person's address, and the value after it: quoted, or up to
# the next thing that ends a value. Quotes may be escaped: a trace often quotes JSON in JSON.
_NAMED = re.compile(
    r"""
    (\b[\w-]{0,32}(?:authori[sz]ation|api[-_ ]?key|token|secret|passw(?:or)?d|senha|cookie
        |signature|e-?mail|phone|telefone)[\w-]{0,8}[\\"']{0,3}\s{0,3}[:=]>?\s{0,3})
    (?:"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?
        |[\\"']{0,3}(?:(?:bearer|basic|digest|token)\s+)?[^\s,;&<>"'\\}\]]+)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_SCHEME = re.compile(r"\b(bearer|basic|digest)\s+[\w.~+/=-]{6,}", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+")
_PHONE = re.compile(r"\+\d[\d ().-]{6,18}\d")


def redact_body(body: bytes, key: ApiKey) -> str:
    """The beginning of a body in one line.

    Masked are the key and its pieces, values whose names promise a secret, what stands behind
    an authentication scheme, and addresses of people: emails and phones with their `+`.
    """
    text = key.mask_pieces(body[:READ].decode("utf-8", "replace"))
    text = _NAMED.sub(rf"\1{_HIDDEN}", text)
    text = _SCHEME.sub(rf"\1 {_HIDDEN}", text)
    text = _PHONE.sub(_HIDDEN, _EMAIL.sub(_HIDDEN, text))
    # A line break in the log would look like a record of its own.
    line = "".join(each if each.isprintable() else "\ufffd" for each in " ".join(text.split()))
    if not line:
        return "(no body)"
    whole = len(line) <= _SHOWN and len(body) <= READ
    return line if whole else f"{line[:_SHOWN]}… ({len(body)} bytes in all)"

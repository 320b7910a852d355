"""The API key, wrapped so that it cannot be shown by accident."""

from __future__ import annotations

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

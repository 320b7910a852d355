"""Makes a body fit for a log: one short line, without secrets and personal data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NoReturn

from syncro_async._internal.key_mask import MASK, KeyMask
from syncro_async._internal.plain_text import LONGEST, one_line, shorten
from syncro_async.errors import ConfigurationError

# What exceptions of Python hold beside `args` and `vars()`: OSError, UnicodeError, AttributeError.
_BUILT_IN = ("strerror", "filename", "filename2", "object", "obj")


class ApiKey:
    """Holds a key; `reveal()` is the only way to read it, and only the pool does.

    Raises `ConfigurationError` for a text that cannot travel in an HTTP header: it would fail
    later, and httpx's complaint would show it.
    """

    __slots__ = ("_masking", "_text")

    def __init__(self, text: str) -> None:
        usable = text.isascii() and text.isprintable() and " " not in text
        self._text = text if usable else ""
        self._masking: KeyMask | None = None
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
        """The same bytes with the key and its pieces replaced by `***`, however it is spelled."""
        return self._mask.mask_bytes(content)

    def mask_text(self, text: str) -> str:
        """The same text with the key and its pieces replaced by `***`, however it is spelled."""
        return self._mask.mask(text)

    def mask_plain(self, headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        """The same headers with the key as it is replaced by `***`, for the answer of each call.

        What goes into an error is masked again.
        """
        fields = tuple(headers)
        if not any(self._text in value for _, value in fields):
            return fields
        return tuple((name, value.replace(self._text, MASK)) for name, value in fields)

    def mask_values(self, value: Any) -> Any:
        """The same value with the texts, names and bytes inside it masked."""
        if isinstance(value, str):
            return self.mask_text(value)
        if isinstance(value, bytes | bytearray):
            return self.mask(bytes(value))
        if isinstance(value, dict):
            return {self.mask_values(name): self.mask_values(part) for name, part in value.items()}
        if isinstance(value, list | tuple):
            parts = [self.mask_values(part) for part in value]
            return parts if isinstance(value, list) else tuple(parts)
        return value

    def clean(self, error: BaseException) -> None:
        """Mask what an error of a library says, and make short lines of its texts."""
        error.args = tuple(_shown(self._without_requests(each)) for each in error.args)
        for name, value in vars(error).items():
            vars(error)[name] = self._without_requests(value)
        for name in _BUILT_IN:
            if (value := getattr(error, name, None)) is not None:
                with suppress(AttributeError):  # a class of somebody's that computes it
                    setattr(error, name, self._without_requests(value))

    def _without_requests(self, value: Any) -> Any:
        """What an error may keep: masked values, and no request or answer, whose headers have it.

        A named tuple stays one, because the text of the error is made of its fields.
        """
        if isinstance(value, tuple) and hasattr(value, "_replace"):
            parts = value._asdict().items()  # type: ignore[attr-defined]
            return value._replace(**{name: self._without_requests(part) for name, part in parts})
        if isinstance(value, Mapping):
            fields = ((self.mask_values(name), part) for name, part in value.items())
            return {name: self._without_requests(part) for name, part in fields}
        if isinstance(value, list | tuple):
            return type(value)(map(self._without_requests, value))
        return None if hasattr(value, "headers") else self.mask_values(value)

    def is_in(self, content: bytes) -> bool:
        """Whether the key or a piece of it is in the bytes, however it is spelled."""
        return next(self._mask.places(content), None) is not None

    @property
    def _mask(self) -> KeyMask:
        # Made when it is needed: a program may hold thousands of keys.
        if self._masking is None:
            self._masking = KeyMask(self._text)
        return self._masking

    def __repr__(self) -> str:
        return "ApiKey(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an API key is not pickled; give it to the other process another way")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ApiKey) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


# How many bytes of a body are looked at for the log.
READ = 4096

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


# A text named `secret`, to its end or to where the body breaks off; any letter may be escaped.
_SECRET = re.compile(
    r'("[^"\\]{0,64}'
    + "".join(rf"(?:{letter}|\\u00{ord(letter):02x})" for letter in "secret")
    + r'[^"\\]{0,64}"\s{0,16}:\s{0,16}")(?:[^"\\]++|\\.)*+',
    re.DOTALL | re.IGNORECASE,
)


def redact_body(body: bytes, key: ApiKey) -> str:
    """The beginning of a body in one line.

    Masked are the key and its pieces, values whose names promise a secret, what stands behind
    an authentication scheme, and addresses of people: emails and phones with their `+`.
    """
    text = key.mask_text(body[:READ].decode("utf-8", "replace"))
    text = _NAMED.sub(rf"\1{MASK}", mask_secrets_in_text(text))
    text = _SCHEME.sub(rf"\1 {MASK}", text)
    text = _PHONE.sub(MASK, _EMAIL.sub(MASK, text))
    line = one_line(" ".join(text.split()))
    if not line:
        return "(no body)"
    whole = len(line) <= LONGEST and len(body) <= READ
    return line if whole else f"{line[:LONGEST]}… ({len(body)} bytes in all)"


def mask_secrets(value: Any) -> Any:
    """The same value without the texts whose name says that they are secret, as a webhook's is."""
    if isinstance(value, dict):
        return {
            name: MASK
            if isinstance(part, str) and part and "secret" in name.lower()
            else mask_secrets(part)
            for name, part in value.items()
        }
    return [mask_secrets(part) for part in value] if isinstance(value, list) else value


def mask_secrets_in_text(text: str) -> str:
    """The same for a text of JSON, whole or cut off."""
    return _SECRET.sub(rf"\1{MASK}", text)


def _shown(value: Any) -> Any:
    """A text of a library's error; a proxy may quote the header with its password there."""
    return shorten(_NAMED.sub(rf"\1{MASK}", value)) if isinstance(value, str) else value

"""Masks the API keys that this process knows in texts that hold what a user has given.

A key may come to a wrong place: two variables are swapped, or a key is pasted into a URL. The
error about that place would show it.
"""

from __future__ import annotations

import os
import re
from functools import cache, lru_cache
from itertools import islice
from typing import Protocol

MASK = "***"
# A shorter text is no key of any service, and may as well be a plain word.
_SHORTEST = 8
# A shorter piece of a key may as well be a word of our own messages, such as `environment`.
_PIECE = 16
# Keys that are looked for in every spelling, and those that are looked for as they are. With more
# of them the error of each bad row would take too long.
_SPELLED = 8
_REMEMBERED = 1_000

# Behind the beginnings of Syncro's and RouteMCP's keys: random letters and digits. A name such as
# `crm_clientes2024` has its digits at the end.
_LOOKS_LIKE_A_KEY = (
    r"(?<![a-z0-9])(?:(?:crm|sk_live|sk_test)_(?=[a-z]*[0-9]+[a-z])[a-z0-9]{16,}"
    r"|sk_(?:live|test)_[a-z]{24,})[\w-]*"
)
_WHOLE_KEY = r"(?=.*[a-z])(?=.*[0-9])[A-Za-z0-9_+/=-]{20,}"
# A key of the shortest length, and an encoded piece of a longer one. No word of a usual URL.
_LONG_WORD = r"[\w+=%~\\-]{8,}"
# A user has no slash; a password may hold an @ or a slash that is not encoded, and behind a port
# there is none. Messages of ours write `redis://:password@host` as an example.
_PORT = r"[0-9]+(?:[/?#]|$)"
_USER_OF_URL = (
    r"([a-z][a-z0-9+.-]*:/{1,3}+|//)(?!(?:[a-z]*:)?password@)"
    rf"[^\s/?#:]*(?::(?!{_PORT})\S+)?@"
)
_USER_OF_URL_WITH_SPACES = rf"(^[^/]*//)[^/?#:]*(?::(?!{_PORT}).+)?@"

_keys: dict[str, None] = {}
_variables = {"SYNCRO_API_KEY"}


class _Mask(Protocol):
    def mask(self, text: str) -> str:
        """The text without the key."""
        ...


def remember_key(key: str) -> None:
    """From now on this key is masked; of very many keys the oldest are forgotten."""
    if _is_usable(key):
        _keys.pop(key, None)
        _keys[key] = None
        if len(_keys) > _REMEMBERED:
            del _keys[next(iter(_keys))]


def remember_variable(name: str) -> None:
    """From now on the value of this environment variable is a key that is masked."""
    _variables.add(name)


def mask_keys(text: str) -> str:
    """The text without the keys that this process knows, and without what looks like a key."""
    if len(text) < _SHORTEST:
        return text
    of_environment = (os.environ.get(name, "").strip() for name in list(_variables))
    known = list(dict.fromkeys([*filter(_is_usable, of_environment), *[*_keys][::-1]]))
    for key in known[:_SPELLED]:
        text = _mask_of(key).mask(text)
    if len(known) > _SPELLED:
        lower = text.lower()
        for key in islice(known, _SPELLED, None):
            if key.lower() in lower:
                text = re.sub(re.escape(key), MASK, text, flags=re.IGNORECASE)
    return _pattern(_LOOKS_LIKE_A_KEY).sub(MASK, text)


def holds_key(text: str) -> bool:
    """Whether a key is in the text; a text without a long word is answered at once."""
    return _pattern(_LONG_WORD).search(text) is not None and mask_keys(text) != text


def masked(text: str) -> str:
    """The text without keys, and without the user and the password of URLs, also of broken ones."""
    text = mask_keys(text)
    return _pattern(_USER_OF_URL).sub(rf"\1{MASK}@", text) if "@" in text else text


def masked_value(value: str) -> str:
    """The same for a value that is no part of a text: a URL in it may hold white space."""
    value = mask_keys(value)
    if "@" in value:
        value = _pattern(_USER_OF_URL_WITH_SPACES).sub(rf"\1{MASK}@", value)
    return masked(value)


def looks_like_key(value: str) -> bool:
    """Whether the whole value is a key that is known, or letters and digits as keys have them."""
    value = value.strip()
    return mask_keys(value) == MASK or re.fullmatch(_WHOLE_KEY, value) is not None


def _is_usable(key: str) -> bool:
    # A URL is in the place of the key where two variables are swapped.
    return len(key) >= _SHORTEST and "://" not in key


@lru_cache(maxsize=4 * _SPELLED)
def _mask_of(key: str) -> _Mask:
    from syncro_async._internal.key_mask import KeyMask  # noqa: PLC0415  # most programs need none

    return KeyMask(key, _PIECE)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE | re.DOTALL)

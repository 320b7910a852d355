"""Decodes the JSON of a source without losing a digit or a value."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from syncro_async.bulk.files.exact import float_or_text

_decode = msgspec.json.Decoder(float_hook=float_or_text).decode


REPEATED = "stands twice in one JSON object"
ONE_OF_THEM = "leave one of the two in the object"


class RepeatedNameError(ValueError):
    """An object of the JSON has two values of one name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the name {name!r} {REPEATED}")
        self.name = name


def decoded(text: str) -> Any:
    """The value of the JSON; a number that no float keeps is its text.

    Raises `msgspec.DecodeError`, `RecursionError`, and `RepeatedNameError`.
    """
    value = _decode(text)
    # The parser above keeps the last one of two values without a word.
    json.loads(text, object_pairs_hook=_check_names, parse_int=str, parse_float=str)
    return value


def _check_names(pairs: list[tuple[str, Any]]) -> None:
    seen = set()
    for name, _ in pairs:
        if name in seen:
            raise RepeatedNameError(name)
        seen.add(name)

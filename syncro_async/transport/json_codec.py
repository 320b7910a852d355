"""JSON both ways: request bodies out, answers in."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from syncro_async.models.envelope import Envelope

T = TypeVar("T")


class NotSuccessfulError(Exception):
    """A 2xx body that says `success: false`; the decode stage makes an `APIError` of it."""


def encode_body(content: Any) -> bytes:
    """The content as JSON, as it is: None is null.

    Raises `ValueError` naming the field for what would not arrive as meant: NaN and infinities
    (JSON has none), datetimes without a time zone, types JSON does not know.
    """
    named = content if isinstance(content, Mapping) else {"json": content}
    for name, value in named.items():
        _check(name, value)
    try:
        return msgspec.json.encode(content)
    except (TypeError, msgspec.MsgspecError) as error:
        raise ValueError(f"the body cannot be sent as JSON: {error}") from error


def decoder_for(kind: type[T]) -> Callable[[bytes], T]:
    """A function from the bytes of an answer to `kind`; numeric text is accepted as a number.

    Raises `NotSuccessfulError` where the body says so, else what msgspec raises.
    """
    decode: Callable[[bytes], T] = _decoder(cast("Any", kind))

    def read(raw: bytes) -> T:
        try:
            answer = decode(raw)
        except msgspec.ValidationError:
            _refuse_unless_successful(raw)
            raise
        # An envelope has read its own flag; any other type may have passed over it.
        if not isinstance(answer, Envelope):
            _refuse_unless_successful(raw)
        elif not answer.success:
            raise NotSuccessfulError
        return answer

    return read


def decode_none(raw: bytes) -> None:
    """Read the answer of a call that returns nothing; no body at all is fine."""
    if raw.strip():
        decoder_for(Envelope)(raw)


def decode_any(raw: bytes) -> Any:
    """Read any JSON as plain objects; None for an empty body."""
    return decoder_for(object)(raw) if raw.strip() else None


@cache  # building a decoder costs more than using it
def _decoder(kind: Any) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(Any if kind is object else kind, strict=False).decode


def _refuse_unless_successful(raw: bytes) -> None:
    try:
        flag = _decoder(Envelope)(raw)
    except msgspec.ValidationError:
        return  # not an object, or a flag that is no bool: the model's own complaint says it better
    if not flag.success:
        raise NotSuccessfulError


def _check(name: str, value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name}={value!r} is not a number JSON can carry")
    if isinstance(value, datetime) and value.utcoffset() is None:
        raise ValueError(f"{name}={value!r} has no time zone; give one")
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check(f"{name}[{key!r}]", item)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check(f"{name}[{index}]", item)

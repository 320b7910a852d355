"""JSON both ways: request bodies out, answers in."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from syncro_async._internal.plain_text import shorten, shown
from syncro_async.errors import InvalidArgumentError
from syncro_async.models.envelope import Envelope
from syncro_async.transport.php_shapes import as_meant
from syncro_async.transport.values import json_body

T = TypeVar("T")

_encode = msgspec.json.Encoder(decimal_format="number").encode


class NotSuccessfulError(Exception):
    """A 2xx body that says `success: false`; the decode stage makes an `APIError` of it."""


def encode_body(content: Any) -> bytes:
    """The content as JSON, as it is: None is null, a `Decimal` a number with its own digits.

    Raises `InvalidArgumentError` naming the field for what would not arrive as meant (see
    `values.json_body`).
    """
    return _encode(json_body(content))


def decoder_for(
    kind: type[T], argument: str = "type", *, lenient: bool = True
) -> Callable[[bytes], T]:
    """A function from the bytes of an answer to `kind`; numeric text is accepted as a number.

    Where it is `lenient`, the shapes that PHP gives to values are accepted for a type of this
    package. Raises `InvalidArgumentError`, naming `argument`, for what msgspec does not know. The
    function raises `NotSuccessfulError` where the body says so, else what msgspec raises.
    """
    try:
        decode: Callable[[bytes], T] = (
            lenient_decoder(kind) if lenient else _decoder(cast("Any", kind))
        )
    except Exception as error:  # any code may be behind the repr that the message has
        raise InvalidArgumentError(
            f"{argument}={shown(kind)} cannot be decoded to: {shorten(str(error))}",
            argument=argument,
        ) from error

    def read(raw: bytes) -> T:
        try:
            answer = decode(raw)
        except msgspec.ValidationError:
            refuse_unless_successful(raw)
            raise
        # An envelope has read its own flag; any other type may have passed over it.
        if not isinstance(answer, Envelope):
            refuse_unless_successful(raw)
        elif not answer.success:
            raise NotSuccessfulError
        return answer

    return read


def lenient_decoder(kind: type[T]) -> Callable[[Any], T]:
    """A function from JSON to `kind`, for a type of this package also from what PHP makes of it."""
    decode: Callable[[Any], T] = _decoder(cast("Any", kind))
    if not getattr(kind, "__module__", "").startswith("syncro_async."):
        return decode

    def read(raw: Any) -> T:
        try:
            return decode(raw)
        except msgspec.ValidationError:
            # What the plain decoder cannot read either says less than the first complaint.
            with suppress(ValueError, RecursionError):
                value = msgspec.json.decode(raw)
                meant = as_meant(value, kind)
                if meant != value:
                    return msgspec.convert(meant, kind, strict=False)
            raise

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


def refuse_unless_successful(raw: bytes) -> None:
    """Raise `NotSuccessfulError` for an answer that says `success: false`."""
    try:
        flag = _decoder(Envelope)(raw)
    except msgspec.ValidationError:
        return  # not an object, or a flag that is no bool: the model's own complaint says it better
    if not flag.success:
        raise NotSuccessfulError

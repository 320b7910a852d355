"""Undoes the compression of an answer, a bounded portion at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

# What is asked for. One coding only: two, one inside the other, make a bomb of a bomb.
ACCEPTED = "gzip"

_MEMBER_START = b"\x1f"
_GZIP_HEADER = 16 + zlib.MAX_WBITS
# A kilobyte can hold a megabyte: who unpacks a whole piece at once has no say in how much it is.
_PORTION = 2**20


class DecompressionError(Exception):
    """The body is packed as nobody asked for, or its packing is broken."""


class Decompressor(Protocol):
    """Takes a body apart, piece by piece."""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """What the next piece holds, in portions. Raises `DecompressionError`."""

    def end(self) -> None:
        """End the body. Raises `DecompressionError` when it is not complete."""


def make_decompressor(coding: str) -> Decompressor:
    """The decompressor of a `Content-Encoding`. Raises `DecompressionError` for unknown ones."""
    if coding.strip().lower() in {"", "identity"}:
        return _Identity()
    if coding.strip().lower() in {"gzip", "x-gzip"}:
        return _Gzip()
    raise DecompressionError(f"it is packed as {coding!r}, which was not asked for")


class _Identity:
    def feed(self, piece: bytes) -> Iterator[bytes]:
        """See `Decompressor`."""
        yield piece

    def end(self) -> None:
        """See `Decompressor`: every end is as good as another."""


class _Gzip:
    """Reads all members of a gzip body, and the zeros behind the last one (RFC 1952, 2.2)."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP_HEADER)
        self._begun = False
        self._padded = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """See `Decompressor`."""
        self._begun = self._begun or bool(piece)
        while piece:
            if self._member.eof:
                piece = self._next_member(piece)
                if not piece:
                    return
            yield from self._portions(piece)
            piece = self._member.unused_data

    def _next_member(self, piece: bytes) -> bytes:
        rest = piece.lstrip(b"\0")
        self._padded = self._padded or len(rest) < len(piece)
        if rest:
            if self._padded or rest[:1] != _MEMBER_START:
                raise DecompressionError("its compression is broken: bytes behind the end")
            self._member = zlib.decompressobj(_GZIP_HEADER)
        return rest

    def _portions(self, piece: bytes) -> Iterator[bytes]:
        more = bool(piece)
        while more:
            try:
                portion = self._member.decompress(piece, _PORTION)
            except zlib.error as error:
                raise DecompressionError(f"its compression is broken: {error}") from None
            yield portion
            piece = self._member.unconsumed_tail
            more = len(portion) == _PORTION

    def end(self) -> None:
        """See `Decompressor`: an empty body is accepted, half of one is not."""
        if self._begun and not self._member.eof:
            raise DecompressionError("its compression is broken: the end is missing")

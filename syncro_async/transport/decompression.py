"""Undoes the compression of an answer, a bounded portion at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

# What is asked for. One coding only: two, one inside the other, make a bomb of a bomb.
ACCEPTED = "gzip"

_GZIP_HEADER = 16 + zlib.MAX_WBITS
# A kilobyte can hold a megabyte: who unpacks a whole piece at once has no say in how much it is.
_PORTION = 2**20


class DecompressionError(Exception):
    """The body is packed as nobody asked for, or its packing is broken."""


class Decompressor(Protocol):
    """Takes a body apart, piece by piece."""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """What the next piece holds, in portions. Raises `PackingError`."""

    def end(self) -> None:
        """Be told that nothing more will come. Raises `PackingError` where more should have."""


def make_decompressor(coding: str) -> Decompressor:
    """What undoes a `Content-Encoding` of that value. Raises `PackingError` for unknown ones."""
    if coding.strip().lower() in {"", "identity"}:
        return _Identity()
    if coding.strip().lower() in {"gzip", "x-gzip"}:
        return _Gzip()
    raise DecompressionError(f"it is packed as {coding!r}, which was not asked for")


class _Identity:
    def feed(self, piece: bytes) -> Iterator[bytes]:
        """See `Unpacker`."""
        yield piece

    def end(self) -> None:
        """See `Unpacker`: every end is as good as another."""


class _Gzip:
    def __init__(self) -> None:
        self._packed = zlib.decompressobj(_GZIP_HEADER)
        self._begun = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """See `Unpacker`."""
        self._begun = self._begun or bool(piece)
        more = True
        while more:
            try:
                portion = self._packed.decompress(piece, _PORTION)
            except zlib.error as error:
                raise DecompressionError(f"its compression is broken: {error}") from None
            yield portion
            piece = self._packed.unconsumed_tail
            more = len(portion) == _PORTION
        if self._packed.unused_data:
            raise DecompressionError("its compression is broken: bytes behind the end")

    def end(self) -> None:
        """See `Unpacker`: no body at all is fine, half a one is not."""
        if self._begun and not self._packed.eof:
            raise DecompressionError("its compression is broken: the end is missing")

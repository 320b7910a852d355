"""Undoes the compression of an answer, a bounded portion at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

from syncro_async._internal.plain_text import LONGEST_NAME, shorten

# What is asked for. One coding only: two, one inside the other, make a bomb of a bomb.
ACCEPTED = "gzip"

_MEMBER_START = b"\x1f"
_ZLIB_HEADER = 2
_GZIP_HEADER = 16 + zlib.MAX_WBITS
# A kilobyte can hold a megabyte: who unpacks a whole piece at once has no say in how much it is.
_PORTION = 2**20


class DecompressionError(Exception):
    """The body has a compression that was not asked for, or it is damaged."""


class Decompressor(Protocol):
    """Takes a body apart, piece by piece."""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """What the next piece holds, in portions. Raises `DecompressionError`."""

    def end(self) -> None:
        """End the body. Raises `DecompressionError` when it is not complete."""


def make_decompressor(coding: str) -> Decompressor:
    """The decompressor of a `Content-Encoding`. Raises `DecompressionError` for unknown ones.

    A field may name several codings, in the order in which they were applied; `identity` and an
    empty name change nothing (RFC 9110, 5.6.1 and 8.4.1). Two that do are more than was asked for.
    """
    if not coding:
        return _Identity()
    names = [name.strip().lower() for name in coding.split(",")]
    applied = [name for name in names if name not in {"", "identity"}]
    if not applied:
        return _Identity()
    if applied in (["gzip"], ["x-gzip"]):
        return _Gzip()
    if applied == ["deflate"]:
        return _Deflate()
    raise DecompressionError(_not_asked_for(coding))


def _not_asked_for(coding: str) -> str:
    return f"it is packed as {shorten(coding, LONGEST_NAME)!r}, which was not asked for"


class _Identity:
    def feed(self, piece: bytes) -> Iterator[bytes]:
        """See `Decompressor`."""
        yield piece

    def end(self) -> None:
        """See `Decompressor`: every end is as good as another."""


def _portions(member: zlib._Decompress, piece: bytes, broken: str) -> Iterator[bytes]:
    """What the piece holds, in portions. Raises `DecompressionError` with what is `broken`."""
    more = bool(piece)
    while more:
        try:
            portion = member.decompress(piece, _PORTION)
        except zlib.error as error:
            raise DecompressionError(f"{broken}: {error}") from None
        yield portion
        piece = member.unconsumed_tail
        more = len(portion) == _PORTION


class _Deflate:
    """Reads zlib's format (RFC 1950), and what some servers send instead: the bare stream in it."""

    def __init__(self) -> None:
        self._stream: zlib._Decompress | None = None
        self._head = b""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """See `Decompressor`."""
        if self._stream is None:
            piece = self._head = self._head + piece
            if len(piece) < _ZLIB_HEADER:
                return
            # The first two bytes of zlib's format name the method, and are divisible by 31.
            zlib_format = piece[0] & 15 == zlib.DEFLATED and int.from_bytes(piece[:2]) % 31 == 0
            self._stream = zlib.decompressobj(zlib.MAX_WBITS if zlib_format else -zlib.MAX_WBITS)
        yield from _portions(self._stream, piece, self._broken)
        if self._stream.unused_data:
            raise DecompressionError(f"{self._broken}: bytes behind the end")

    def end(self) -> None:
        """See `Decompressor`: an empty body is accepted, half of one is not."""
        if self._head and (self._stream is None or not self._stream.eof):
            raise DecompressionError(f"{self._broken}: the end is missing")

    @property
    def _broken(self) -> str:
        return f"{_not_asked_for('deflate')}, and its compression is broken"


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
            yield from _portions(self._member, piece, "its compression is broken")
            piece = self._member.unused_data

    def _next_member(self, piece: bytes) -> bytes:
        rest = piece.lstrip(b"\0")
        self._padded = self._padded or len(rest) < len(piece)
        if rest:
            if self._padded or rest[:1] != _MEMBER_START:
                raise DecompressionError("its compression is broken: bytes behind the end")
            self._member = zlib.decompressobj(_GZIP_HEADER)
        return rest

    def end(self) -> None:
        """See `Decompressor`: an empty body is accepted, half of one is not."""
        if self._begun and not self._member.eof:
            raise DecompressionError("its compression is broken: the end is missing")

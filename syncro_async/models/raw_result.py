"""A call's result together with the answer that it was decoded from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


class Headers(Mapping[str, str]):
    """The headers of an answer: a map whose names may be written in capitals or not.

        assert Headers([("retry-after", "5")])["Retry-After"] == "5"

    `headers[name]` has the values of a repeated header joined by commas.

    - `fields`: names and values, in the order of the answer.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields = tuple((name.lower(), value) for name, value in fields)

    def __reduce__(self) -> tuple[Any, ...]:
        # The older protocols of pickle do not take a class with slots.
        return type(self), (self._fields,)

    def get_all(self, name: str) -> list[str]:
        """Every value of a header, in the order of the answer; an empty list where it is missing.

        - `name`: the name of the header.
        """
        return [value for own, value in self._fields if own == name.lower()]

    def __getitem__(self, name: str) -> str:
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self._fields))

    def __len__(self) -> int:
        return len(dict(self._fields))

    def __eq__(self, other: object) -> bool:
        return self._fields == other._fields if isinstance(other, Headers) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._fields)

    def __repr__(self) -> str:
        return f"Headers({list(self._fields)!r})"


class RawResult(msgspec.Struct, Generic[T], frozen=True):
    """The result of a call of `with_raw_response`: the answer, and what was decoded from it.

        raw = await syncro.with_raw_response.leads.get(1)
        print(raw.status, raw.headers["Content-Type"], raw.parsed.name)

    - `status`: the HTTP status; `headers`: the headers.
    - `content`: the whole body in bytes, decompressed.
    - `attempts`: how many requests were sent, also those that were answered with 429.
    - `waited`: how long the call waited for the budget and between attempts (s).
    - `parsed`: what the call returns otherwise; the first page for a list in pages.
    """

    status: int
    headers: Headers
    content: bytes
    attempts: int
    waited: float
    parsed: T

    def __repr__(self) -> str:
        return (
            f"<RawResult {self.status}, {len(self.content)} bytes, attempts={self.attempts},"
            f" waited={self.waited:g} s>"
        )

"""One of each thing that goes wrong between a client and a server, for runs that last."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from syncro_async.sandbox.responses import HTML, JSON, Headers, Response, phrase

_NEVER_COUNTED = frozenset({401, 403, 429})
_BODILESS = frozenset({204, 304})
_FIRST_ERROR = 400


class ConnectionDropped(ConnectionResetError):  # noqa: N818 - named after what the client meets
    """The sandbox broke the connection, as `Trouble` told it to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One piece of scripted trouble; it meets the next `times` requests that match it.

    A request matches by `method` and by `path`, the beginning of the path behind `/api/v1` as it
    was sent (`"/leads"`); None matches any. Only requests that pass the checks of key, permission
    and rate limit meet trouble; it counts as a request like any other, except for a scripted 401,
    403 or 429, which the API does not count.

    - `status`: nothing is applied, this status is answered, with `body` (bytes as they are,
      anything else as JSON; by default a `message`) and `headers` (a mapping, or pairs where a
      name repeats).
    - without `status` the request is carried out as ever; `body` and `headers` then change what is
      answered.
    - `delay`: seconds of the sandbox's clock between carrying out and answering.
    - `reset`: the connection drops before any byte of an answer, nothing is applied.
    - `lose_answer`: the request is applied, then the connection drops without an answer.
    - `truncate`: headers and half the body, then the connection drops.

    Raises `ValueError` for what contradicts itself.
    """

    status: int | None = None
    body: bytes | Mapping[str, Any] | list[Any] | None = None
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = field(default_factory=dict)
    delay: float = 0.0
    reset: bool = False
    truncate: bool = False
    lose_answer: bool = False
    method: str | None = None
    path: str | None = None
    times: int = 1

    def __post_init__(self) -> None:
        if self.times < 1:
            raise ValueError(f"times={self.times}: trouble must come at least once")
        if self.delay < 0:
            raise ValueError(f"delay={self.delay}: nothing is answered before it was asked")
        if self.reset + self.truncate + self.lose_answer > 1:
            raise ValueError("reset, truncate and lose_answer exclude one another")
        if self.status is not None and self.lose_answer:
            raise ValueError("lose_answer applies the request, status answers without applying it")

    @property
    def counted(self) -> bool:
        """Whether the rate limit counts the request that meets it."""
        return self.status not in _NEVER_COUNTED

    @property
    def applies(self) -> bool:
        """Whether the request is carried out all the same."""
        return self.status is None and not self.reset

    def meets(self, method: str, path: str) -> bool:
        """Whether this request is one it waits for."""
        return (self.method is None or self.method.upper() == method) and (
            self.path is None or path.startswith(self.path)
        )

    def answer(self, usual: Response | None) -> Response:
        """What is answered in place of `usual` (None when nothing was carried out)."""
        extra = _pairs(self.headers)
        if usual is None:
            return self._scripted(extra)
        if self.body is None:
            return Response(usual.status, usual.body, _merged(usual.headers, extra))
        return Response(usual.status, _encoded(self.body), _merged(usual.headers, extra))

    def _scripted(self, extra: Headers) -> Response:
        status = self.status or 200
        kind = HTML if isinstance(self.body, bytes) else JSON
        if status in _BODILESS:
            return Response(status, b"", extra)
        if self.body is not None:
            return Response(status, _encoded(self.body), _merged((kind,), extra))
        if status >= _FIRST_ERROR:
            body = msgspec.json.encode({"message": phrase(status)})
            return Response(status, body, _merged((kind,), extra))
        return Response(status, b"", extra)


class Script:
    """The trouble still to come, in the order it was queued, and what may come at any time."""

    def __init__(
        self, hazards: Sequence[Trouble] = (), *, hazard_share: float = 0.0, seed: int = 1
    ) -> None:
        if not 0 <= hazard_share <= 1:
            raise ValueError(f"hazard_share={hazard_share} is no share: 0.0 to 1.0")
        self._queue: list[Trouble] = []
        self._hazards = tuple(hazards)
        self._hazard_share = hazard_share
        self._dice = random.Random(seed)  # noqa: S311 - the same trouble every time is the point

    def add(self, trouble: Trouble) -> None:
        """Queue it, as often as its `times` say."""
        self._queue.extend([trouble] * trouble.times)

    def waiting_for(self, method: str, path: str) -> Trouble | None:
        """The first trouble this request would meet; it stays queued."""
        queued = next((trouble for trouble in self._queue if trouble.meets(method, path)), None)
        return queued or self._hazard(method, path)

    def _hazard(self, method: str, path: str) -> Trouble | None:
        if self._dice.random() >= self._hazard_share:
            return None
        ahead = [hazard for hazard in self._hazards if hazard.meets(method, path)]
        return self._dice.choice(ahead) if ahead else None

    def consume(self, trouble: Trouble) -> None:
        """It has met its request."""
        if trouble in self._queue:  # a hazard stays where it is
            self._queue.remove(trouble)


def _pairs(headers: Mapping[str, str] | Sequence[tuple[str, str]]) -> Headers:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return tuple((name.lower(), value) for name, value in pairs)


def _merged(usual: Headers, extra: Headers) -> Headers:
    replaced = {name for name, _ in extra}
    return (*(pair for pair in usual if pair[0] not in replaced), *extra)


def _encoded(body: bytes | Mapping[str, Any] | list[Any]) -> bytes:
    return body if isinstance(body, bytes) else msgspec.json.encode(body)


_PAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
_LOGIN = "https://app.syncro.chat/login"

HAZARDS = (
    # The connection breaks: before the work, after it, in the answer.
    Trouble(reset=True),
    Trouble(lose_answer=True),
    Trouble(delay=0.5, lose_answer=True),
    Trouble(truncate=True),
    Trouble(status=500, truncate=True),
    Trouble(headers={"Connection": "close"}),
    # The answer comes late, or too late for anybody.
    Trouble(delay=0.3),
    Trouble(delay=5.0),
    # The server fails, in every dress.
    Trouble(status=500),
    Trouble(status=502, body=_PAGE),
    Trouble(status=503, body=b"Service Unavailable", headers={"Content-Type": "text/plain"}),
    Trouble(status=503, headers={"Retry-After": "1"}),
    Trouble(status=504, body=_PAGE),
    Trouble(status=520, body=b""),
    # It refuses for the rate, with a time, a wrong one, none, one of long ago.
    Trouble(status=429, headers={"Retry-After": "0"}),
    Trouble(status=429, headers={"Retry-After": "soon"}),
    Trouble(status=429, body={"message": "Rate limit excedido.", "retry_after": 1}),
    Trouble(status=429, headers={"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT"}),
    # What comes is no answer of the API, whether or not the work was done.
    Trouble(status=200, body=_PAGE),
    Trouble(status=204),
    Trouble(status=302, body=b"", headers={"Location": _LOGIN}),
    Trouble(body=_PAGE),
    Trouble(body=b'{"success": true, "lead": {"id"'),
    Trouble(body=b"\xef\xbb\xbf[]"),
)

"""Scripted and random faults between a client and the sandbox."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from syncro_async.sandbox.responses import HTML, JSON, Headers, Response, phrase

_NEVER_COUNTED = frozenset({401, 403, 429})
_BODILESS = frozenset({204, 304})
_FIRST_ERROR = 400
_FIRST_STATUS, _LAST_STATUS = 200, 599
_TEXT = (str, type(None))
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# What would end a header on the wire.
_LINE_ENDS = frozenset("\r\n\0")
_TROUBLE_TYPES = {
    "status": (int, type(None)),
    "body": (bytes, Mapping, list, type(None)),
    "headers": (Mapping, list, tuple),
    "delay": (int, float),
    "reset": (bool,),
    "truncate": (bool,),
    "lose_answer": (bool,),
    "method": _TEXT,
    "path": _TEXT,
    "times": (int,),
}


def check_types(
    owner: str, values: Mapping[str, Any], allowed: Mapping[str, tuple[type, ...]]
) -> None:
    """Check the types of values. Raises `TypeError` that names the value."""
    for name, types in allowed.items():
        value = values[name]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            words = " or ".join("None" if one is type(None) else one.__name__ for one in types)
            raise TypeError(f"{owner}({name}={value!r}): must be {words}")


class ConnectionDropped(ConnectionResetError):  # noqa: N818 - the name says what the client observes
    """The sandbox dropped the connection because of a `Trouble`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A scripted fault for the next `times` requests that match it.

    Only requests that pass the checks of key, permission and rate limit meet the fault. The rate
    limit counts them, except for a scripted 401, 403 or 429, as in the API.

    - `status`: the status of the response. The request is then not executed. With None (default)
      the request is executed, and `body` and `headers` change its response.
    - `body`: bytes are sent as they are, a mapping or a list as JSON. With `status` the default is
      an object with a `message`.
    - `headers`: a mapping, or pairs of name and value where a name repeats.
    - `delay`: the time between execution and response in seconds of the sandbox's clock.
    - `reset`: the connection drops before the response starts; the request is not executed.
    - `truncate`: the connection drops after the headers and half of the body.
    - `lose_answer`: the request is executed, then the connection drops without a response.
    - `method`: the HTTP method that matches; None (default) matches every method.
    - `path`: the start of the matching path after `/api/v1`, percent-encoded as sent (`"/leads"`);
      None (default) matches every path.
    - `times`: how many requests meet it (default 1).

    Raises `TypeError` for a value of another type, and `ValueError` for values that are not
    possible or contradict each other.

        sandbox = Sandbox()
        sandbox.script(Trouble(status=503, headers={"Retry-After": "20"}, times=2))
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
        check_types("Trouble", {n: getattr(self, n) for n in _TROUBLE_TYPES}, _TROUBLE_TYPES)
        if self.status is not None and not _FIRST_STATUS <= self.status <= _LAST_STATUS:
            raise ValueError(f"status={self.status} must be from {_FIRST_STATUS} to {_LAST_STATUS}")
        _check_headers(self.headers)
        if self.method is not None and self.method.upper() not in _METHODS:
            raise ValueError(f"method={self.method!r} must be one of {', '.join(_METHODS)}")
        if self.path is not None and not self.path.startswith("/"):
            raise ValueError(f"path={self.path!r} must begin with a slash, for example /leads")
        if self.times < 1:
            raise ValueError(f"times={self.times} must be 1 or more")
        if not 0 <= self.delay < math.inf:
            raise ValueError(f"delay={self.delay} must be 0 or more seconds")
        if self.reset + self.truncate + self.lose_answer > 1:
            raise ValueError(
                "reset, truncate and lose_answer exclude each other: set only one of them"
            )
        if self.status is not None and self.lose_answer:
            raise ValueError(
                "lose_answer executes the request, status does not: set only one of them"
            )

    def __str__(self) -> str:
        """The fields that are set, as one writes them."""
        default = type(self).__dataclass_fields__
        given = ((name, getattr(self, name)) for name in default if name != "headers")
        parts = [f"{name}={value!r}" for name, value in given if value != default[name].default]
        return f"Trouble({', '.join(parts)})"

    @property
    def counted(self) -> bool:
        """Whether the rate limit counts a request that meets this fault."""
        return self.status not in _NEVER_COUNTED

    @property
    def applies(self) -> bool:
        """Whether the request is executed in spite of the fault."""
        return self.status is None and not self.reset

    def matches(self, method: str, path: str) -> bool:
        """Whether a request matches.

        `method`: its HTTP method. `path`: its path after `/api/v1`.
        """
        return (self.method is None or self.method.upper() == method) and (
            self.path is None or path.startswith(self.path)
        )

    def answer(self, normal: Response | None) -> Response:
        """The response to send.

        `normal`: the response without the fault; None when the request was not executed.
        """
        extra = _pairs(self.headers)
        if normal is None:
            return self._scripted(extra)
        if self.body is None:
            return Response(normal.status, normal.body, _merged(normal.headers, extra))
        return Response(normal.status, _encoded(self.body), _merged(normal.headers, extra))

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
    """The queue of scripted faults, and the hazards that occur at random."""

    def __init__(
        self, hazards: Sequence[Trouble] = (), *, hazard_share: float = 0.0, seed: int = 1
    ) -> None:
        if not 0 <= hazard_share <= 1:
            raise ValueError(f"hazard_share={hazard_share} must be between 0.0 and 1.0")
        self._queue: list[Trouble] = []
        self._scripted: list[Trouble] = []
        self._met: list[Trouble] = []
        self._hazards = tuple(hazards)
        self._hazard_share = hazard_share
        self._random = random.Random(seed)  # noqa: S311 - a run must be repeatable

    @property
    def unmet(self) -> tuple[Trouble, ...]:
        """The scripted faults that never happened."""
        return tuple(
            trouble for trouble in self._scripted if not any(trouble is met for met in self._met)
        )

    def add(self, trouble: Trouble) -> None:
        """Add a fault to the queue `trouble.times` times. Raises `TypeError` for anything else."""
        if not isinstance(trouble, Trouble):
            raise TypeError(f"script({trouble!r}): give a Trouble, for example Trouble(status=503)")
        self._scripted.append(trouble)
        self._queue.extend([trouble] * trouble.times)

    def find(self, method: str, path: str) -> Trouble | None:
        """The fault that this request meets, or None; the fault stays in the queue."""
        queued = next((trouble for trouble in self._queue if trouble.matches(method, path)), None)
        return queued or self._hazard(method, path)

    def _hazard(self, method: str, path: str) -> Trouble | None:
        if self._random.random() >= self._hazard_share:
            return None
        matching = [hazard for hazard in self._hazards if hazard.matches(method, path)]
        return self._random.choice(matching) if matching else None

    def consume(self, trouble: Trouble) -> None:
        """Remove a fault from the queue once; a hazard is not in the queue."""
        if trouble in self._queue:
            self._queue.remove(trouble)
            self._met.append(trouble)


def _check_headers(headers: Mapping[str, str] | Sequence[tuple[str, str]]) -> None:
    """Raise `TypeError` for what is no pair of texts, `ValueError` for a text of two lines."""
    given = headers.items() if isinstance(headers, Mapping) else headers
    pairs: Iterable[Any] = given  # whatever a test has given
    for pair in pairs:
        texts = isinstance(pair, list | tuple) and [type(text) for text in pair] == [str, str]
        if not texts:
            raise TypeError(
                f"Trouble(headers={headers!r}): {pair!r} must be a name and a value, both str"
            )
        if not pair[0] or any(_LINE_ENDS & set(text) for text in pair):
            raise ValueError(
                f"headers={headers!r}: {pair!r} cannot be a header: it has no name, or a line end"
            )


def _pairs(headers: Mapping[str, str] | Sequence[tuple[str, str]]) -> Headers:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return tuple((name.lower(), value) for name, value in pairs)


def _merged(base: Headers, extra: Headers) -> Headers:
    replaced = {name for name, _ in extra}
    return (*(pair for pair in base if pair[0] not in replaced), *extra)


def _encoded(body: bytes | Mapping[str, Any] | list[Any]) -> bytes:
    return body if isinstance(body, bytes) else msgspec.json.encode(body)


_PAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
_LOGIN = "https://app.syncro.chat/login"

HAZARDS = (
    # The connection breaks before the execution, after it, or during the response.
    Trouble(reset=True),
    Trouble(lose_answer=True),
    Trouble(delay=0.5, lose_answer=True),
    Trouble(truncate=True),
    Trouble(status=500, truncate=True),
    Trouble(headers={"Connection": "close"}),
    # The response is late.
    Trouble(delay=0.3),
    Trouble(delay=5.0),
    # The server fails with different bodies.
    Trouble(status=500),
    Trouble(status=502, body=_PAGE),
    Trouble(status=503, body=b"Service Unavailable", headers={"Content-Type": "text/plain"}),
    Trouble(status=503, headers={"Retry-After": "1"}),
    Trouble(status=504, body=_PAGE),
    Trouble(status=520, body=b""),
    # A 429 with a valid, an invalid, a missing and a past retry time.
    Trouble(status=429, headers={"Retry-After": "0"}),
    Trouble(status=429, headers={"Retry-After": "soon"}),
    Trouble(status=429, body={"message": "Rate limit excedido.", "retry_after": 1}),
    Trouble(status=429, headers={"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT"}),
    # The response is not one of the API, with and without execution.
    Trouble(status=200, body=_PAGE),
    Trouble(status=204),
    Trouble(status=302, body=b"", headers={"Location": _LOGIN}),
    Trouble(body=_PAGE),
    Trouble(body=b'{"success": true, "lead": {"id"'),
    Trouble(body=b"\xef\xbb\xbf[]"),
)

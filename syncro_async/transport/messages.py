"""The call that travels through the stages, its options, its state and its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from syncro_async.limiting.protocol import Lane, NotCounted, SlotOutcome
from syncro_async.retrying.policy import RetryPolicy


class SendStats(msgspec.Struct, eq=False):
    """A count of attempts; what it counts, the tally it is a part of (`whole`) counts too."""

    parent: SendStats | None = None
    sent: int = 0
    answered: int = 0
    seconds: float = 0.0

    def record_send(self) -> None:
        """An attempt goes to the wire."""
        self.sent += 1
        if self.parent is not None:
            self.parent.record_send()

    def record_answer(self, latency: float) -> None:
        """The headers of an answer came, `latency` seconds after its attempt was sent."""
        self.answered += 1
        self.seconds += latency
        if self.parent is not None:
            self.parent.record_answer(latency)

    @property
    def mean_latency(self) -> float | None:
        """Seconds from a send to the headers of its answer, on average; None before any."""
        return self.seconds / self.answered if self.answered else None


T = TypeVar("T")


class Call(msgspec.Struct, Generic[T], frozen=True):
    """One call of the API. `path` and `query` are percent-encoded (see `urls`).

    `read` decodes the body of a 2xx answer. `idempotent` calls may be sent again after an attempt
    that may have been executed. `not_found_is_success`: a 404 after a lost attempt means that the
    lost attempt did the work. `on_response` gets the undecoded answer before `read` does.
    """

    method: str
    path: str
    read: Callable[[bytes], T]
    idempotent: bool
    query: str = ""
    body: bytes | None = None
    not_found_is_success: bool = False
    on_response: Callable[[RawResponse], object] | None = None

    def __repr__(self) -> str:
        """Show no body: it may hold personal data and secrets."""
        return f"<Call {self.method} {self.path}>"


class CallOptions(msgspec.Struct, frozen=True):
    """How to make a call: the part of the settings that `with_options` may change.

    `headers` are sent with every request, in addition to those of the client. `stats` counts the
    attempts of these calls (None: only the client counts them). `record` gets each answer that a
    call returns a result of, with the state of the call. `waits_for_quota`: a call
    whose retry is refused waits until the client has retries again.
    """

    lane: Lane
    max_wait: float | None
    timeout: float
    retry: RetryPolicy
    headers: Mapping[str, str] = {}
    stats: SendStats | None = None
    record: Callable[[CallState[Any], RawResponse], object] | None = None
    waits_for_quota: bool = False


class RawResponse(msgspec.Struct, frozen=True):
    """The whole answer, undecoded. Header names are lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    content: bytes

    def __repr__(self) -> str:
        return f"<Reply {self.status}, {len(self.content)} bytes>"

    def header(self, name: str) -> str | None:
        """The value of the one header of that (lower-case) name; None when absent or repeated."""
        values = [value for key, value in self.headers if key == name]
        return values[0] if len(values) == 1 else None


class SlotExpired(Exception):  # noqa: N818 - it ends an attempt, and no caller sees it
    """The slot of an attempt was given back before the first byte of its request was written."""


class Attempt(msgspec.Struct):
    """One attempt of a call, and what is known of it (monotonic s).

    `task_started`: its task runs and will release the slot, with the `outcome`. `releasing`: it
    does so now, and must not be cancelled. `on_wire`: it has a connection of the pool.
    `bytes_sent`: whether a byte of the request may have been sent; None where the transport does
    not say. `answered_at`: when the headers of the answer arrived, with `status`, `date` (the
    header) and `remaining`, how many more calls the server will count, where it says so. `proxy`:
    the URL of the proxy it goes through, without a password. `stage`: what the HTTP library did
    last, in its own words. `method`: the request's. `may_send`: asked once more when the connection
    is there; the process may have been stopped since it was granted its slot.
    """

    may_send: Callable[[], bool] = lambda: True
    task_started: bool = False
    releasing: bool = False
    on_wire: bool = False
    outcome: SlotOutcome = NotCounted()
    bytes_sent: bool | None = None
    body_sent: bool | None = None
    fresh: bool = False
    date: str | None = None
    answered_at: float | None = None
    status: int = 0
    remaining: int | None = None
    proxy: str | None = None
    stage: str = ""
    method: str = ""


class CallState(msgspec.Struct, Generic[T]):
    """One call in progress, and what the stages have learned about it.

    `attempts` counts the requests that were sent, `throttled` those that were answered with 429
    or that only looked whether the server is back (they are not charged). `retried`: the last
    attempt was a retry that the quota counted. `queue_timeout`: how long the call may wait for
    budget now (s; None: any time). `requeued`: it goes to the front of the queue, because it was
    answered with 429.
    `body_logged`: the log has the body of a server error already. `unknown_reason`: why an attempt
    may have been executed although it failed. `detached`: the caller was cancelled, and the attempt
    continues without it. `waited`: how long the call waited for budget and between attempts (s).
    `waits_since`: when it first had to wait for retries.
    """

    call: Call[T]
    options: CallOptions
    queue_timeout: float | None
    attempts: int = 0
    throttled: int = 0
    retried: bool = False
    requeued: bool = False
    body_logged: bool = False
    first_sent_at: float = 0.0
    unknown_reason: str = ""
    detached: bool = False
    waited: float = 0.0
    waits_since: float | None = None


class SendCall(Protocol):
    """What a resource needs of the client: make a call and return its result."""

    def __call__(self, call: Call[T], /) -> Awaitable[T]:
        """Send the call through limiter, retries and decoding."""


Stage = Callable[[CallState[Any]], Awaitable[RawResponse]]
Send = Callable[[CallState[Any], Attempt], Awaitable[RawResponse]]

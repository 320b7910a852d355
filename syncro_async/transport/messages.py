"""What travels through the transport: a call, how it is to be made, and what came back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from syncro_async.limiting.protocol import Lane
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
    """What to ask. `path` and `query` are already percent-encoded (see `addressing`).

    `read` turns the bytes of a 2xx body into the result. `repeatable` calls may be sent again
    when an earlier attempt may have been carried out. `gone_is_done`: a 404 after a lost attempt
    means that attempt did the work. `heard` is given the undecoded answer before `read` is.
    """

    method: str
    path: str
    read: Callable[[bytes], T]
    idempotent: bool
    query: str = ""
    body: bytes | None = None
    not_found_is_success: bool = False
    heard: Callable[[RawResponse], object] | None = None

    def __repr__(self) -> str:
        """Show what may be shown: people and secrets stand in a body."""
        return f"<Call {self.method} {self.path}>"


class CallOptions(msgspec.Struct, frozen=True):
    """How to ask: the part of the settings that `with_options` may change.

    `headers` go with every request, beside those of the client itself. `tally` counts the attempts
    that are made so (None: only the client's own does).
    """

    lane: Lane
    max_wait: float | None
    timeout: float
    retry: RetryPolicy
    headers: Mapping[str, str] = {}
    stats: SendStats | None = None


class RawResponse(msgspec.Struct, frozen=True):
    """What came back: the whole answer, undecoded. Header names are lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    content: bytes

    def __repr__(self) -> str:
        return f"<Reply {self.status}, {len(self.content)} bytes>"

    def header(self, name: str) -> str | None:
        """The value of the one header of that (lower-case) name; None when absent or repeated."""
        values = [value for key, value in self.headers if key == name]
        return values[0] if len(values) == 1 else None


class Attempt(msgspec.Struct):
    """One send: what is known of it so far (monotonic seconds).

    `started` is True once its task runs, which settles its slot from then on; `begun` once it
    holds a connection of the pool. `written` tells whether a byte of the request may have left:
    None where the transport does not say. `body_sent` tells whether the whole body was written,
    and `fresh` whether the connection was opened for this attempt. `answered_at` is the moment the
    answer's headers were there, with `status`, `content_type`, `date` (the header of that name),
    and `remaining` where the server said how many more it will count.
    """

    task_started: bool = False
    on_wire: bool = False
    bytes_sent: bool | None = None
    body_sent: bool | None = None
    fresh: bool = False
    date: str | None = None
    answered_at: float | None = None
    status: int = 0
    content_type: str | None = None
    remaining: int | None = None


class CallState(msgspec.Struct, Generic[T]):
    """One call on its way, with what its stages have learned.

    `sent` counts attempts on the wire, `refused` those of them that a 429 answered (they are not
    charged). `patience` is how long the call may stand in the queue now (s, None: any time), and
    `came_first` whether it goes to its front, because a 429 turned it away. `body_told`: the log
    has the body of a server's error already. `lost` says what went wrong with an attempt that may
    have been carried out all the same. `followed`: the caller has gone, and the attempt it left on
    the wire is watched to its end.
    """

    call: Call[T]
    options: CallOptions
    queue_timeout: float | None
    attempts: int = 0
    throttled: int = 0
    requeued: bool = False
    body_logged: bool = False
    first_sent_at: float = 0.0
    unknown_reason: str = ""
    detached: bool = False


class SendCall(Protocol):
    """What a resource needs of the client: a call made, its result returned."""

    def __call__(self, call: Call[T], /) -> Awaitable[T]:
        """Send the call through limiter, retries and decoding."""


Stage = Callable[[CallState[Any]], Awaitable[RawResponse]]
Send = Callable[[CallState[Any], Attempt], Awaitable[RawResponse]]

"""Keeps one transport for each connection of an event loop, and gives out the last one used."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakSet

from syncro_async._internal.forks import register_for_fork
from syncro_async.clock import Clock
from syncro_async.transport.messages import Attempt


class NetworkStream(Protocol):
    """The part of httpcore's network streams that is used here."""

    def get_extra_info(self, info: str, /) -> _Numbered | None:
        """What the stream knows of itself; `"socket"` is the socket it goes over."""


class _Numbered(Protocol):
    def fileno(self) -> int: ...


class OpenSockets:
    """The connections of one pool, for as long as it keeps them."""

    def __init__(self) -> None:
        self._streams: WeakSet[NetworkStream] = WeakSet()
        register_for_fork(self)

    def add(self, stream: NetworkStream) -> None:
        """A connection was opened."""
        self._streams.add(stream)

    def reset_after_fork(self) -> None:
        """Point the child's copy of every socket at nothing.

        Closing them properly would say goodbye on connections that are the parent's; keeping them
        would hold those open when the parent closes them.
        """
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in list(self._streams):
            socket = stream.get_extra_info("socket")
            if socket is not None and socket.fileno() >= 0:
                os.dup2(nowhere, socket.fileno(), inheritable=False)
        os.close(nowhere)
        self._streams.clear()


def server_closed_idle(transport: Any, trace: object) -> bool:
    """Whether the server has closed the connection that the request with this trace waits to take.

    An idle connection on which there is something to read is at its end, or holds words that
    answer nothing. httpcore looks for that when it gives the connection out, and turns of the
    event loop pass until it writes. Asked from the trace hook that announces the writing, no turn
    lies between this look and the first byte.
    """
    return any(
        _is_readable(waiting.connection)
        for waiting in getattr(getattr(transport, "_pool", None), "_requests", ())
        if waiting.request.extensions.get("trace") is trace
    )


def trailing_bytes(response: Any) -> bytes:
    """What came behind the whole answer: httpcore would take it for the next request's answer."""
    link = response
    for name in ("stream", "_httpcore_stream", "_stream", "_connection", "_h11_state"):
        link = getattr(link, name, None)
    trailing: tuple[bytes, bool] = getattr(link, "trailing_data", (b"", False))
    return trailing[0]


def _is_readable(connection: Any) -> bool:
    """Whether there is something to read on the innermost connection, the one that talks."""
    while (inner := getattr(connection, "_connection", None)) is not None:
        connection = inner
    stream = getattr(connection, "_network_stream", None)
    return stream is not None and bool(stream.get_extra_info("is_readable"))


class StaleConnection(Exception):  # noqa: N818 - named after what the hook meets
    """The server closed a kept connection before anything was written on it."""


class AttemptTrace:
    """What is learned on the way of one attempt.

    `response` and `headers` are the answer's, as soon as they are there. `spoilt` is a connection
    with words behind the answer, `reusable` one whose answer was read to its end and closed.
    """

    __slots__ = ("_sockets", "_transport", "attempt", "headers", "response", "reusable", "tainted")

    def __init__(self, attempt: Attempt, transport: object, sockets: OpenSockets) -> None:
        self.attempt = attempt
        self.headers: tuple[tuple[str, str], ...] = ()
        self.response: Any = None
        self.tainted = self.reusable = False
        self._transport = transport
        self._sockets = sockets

    async def __call__(self, event: str, info: dict[str, Any]) -> None:
        """Hear from httpcore what it is doing."""
        attempt = self.attempt
        if event.endswith("send_request_headers.started"):
            # Nothing was heard of connecting: it is a kept connection.
            if attempt.bytes_sent is None and server_closed_idle(self._transport, self):
                raise StaleConnection
            # A CONNECT goes no further than to the proxy.
            attempt.bytes_sent = info["request"].method != b"CONNECT"
            attempt.body_sent = False
        elif event.endswith("send_request_body.complete"):
            attempt.body_sent = True
        elif event.endswith("receive_response_body.complete") and trailing_bytes(self.response):
            self.tainted = True
            await self.response.extensions["network_stream"].aclose()
        else:
            attempt.bytes_sent = attempt.bytes_sent or False
            if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
                attempt.fresh = True
                self._sockets.add(info["return_value"])


# Many servers drop a connection that was idle for 5 s; leaving first avoids writing into the gap.
KEEP_ALIVE = 4.0


class Closable(Protocol):
    """What a row is made of."""

    async def aclose(self) -> None:
        """Close the connection."""


T = TypeVar("T", bound=Closable)


class TransportPool(Generic[T]):
    """Transports that hold a connection each.

    One pool for all of them costs more with every connection it holds: httpcore looks at each of
    them for each request. An acquired transport is used by one request only, so what went wrong on
    it is thrown away with it.
    """

    def __init__(self, make: Callable[[], T], clock: Clock) -> None:
        self._make = make
        self._clock = clock
        self._acquired: set[T] = set()
        # With the moment since which each is idle, the longest idle first.
        self._idle: deque[tuple[float, T]] = deque()
        self._closed = False

    def acquire(self) -> T:
        """A transport for one request: the one that was used last, or a new one."""
        transport = self._idle.pop()[1] if self._idle else self._make()
        self._acquired.add(transport)
        return transport

    async def release(self, transport: T) -> None:
        """The request is over, and all of its answer was read."""
        if self._closed:
            await self.discard(transport)
            return
        now = self._clock.monotonic()
        self._acquired.discard(transport)
        self._idle.append((now, transport))
        # While one is closed, other calls take from the row and give back.
        while self._idle and self._idle[0][0] < now - KEEP_ALIVE:
            await self._idle.popleft()[1].aclose()

    async def discard(self, transport: T) -> None:
        """Nobody knows what may still come on this connection."""
        try:
            await transport.aclose()
        finally:
            self._acquired.discard(transport)

    async def aclose(self) -> None:
        """Close all of them, also those that are in use."""
        self._closed = True
        while self._idle or self._acquired:
            transport = self._idle.pop()[1] if self._idle else self._acquired.pop()
            await transport.aclose()


class BorrowedTransport(TransportPool[T]):
    """A caller's own transport, which keeps as many connections as it likes."""

    def __init__(self, transport: T, clock: Clock) -> None:
        super().__init__(lambda: transport, clock)

    def acquire(self) -> T:
        """The transport."""
        return self._make()

    async def release(self, transport: T) -> None:
        """Leave it to itself."""

    async def discard(self, transport: T) -> None:
        """Leave it to itself."""

    async def aclose(self) -> None:
        """Close it."""
        await self._make().aclose()

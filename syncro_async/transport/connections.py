"""Keeps one transport for each connection of an event loop, and gives out the last one used."""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from syncro_async._internal.forks import register_for_fork
from syncro_async.clock import Clock
from syncro_async.transport.deadline import Deadline, Stragglers
from syncro_async.transport.messages import Attempt, SlotExpired


class NetworkStream(Protocol):
    """The part of httpcore's network streams that is used here."""

    async def aclose(self) -> None:
        """Close the connection; again is harmless."""

    def get_extra_info(self, info: str, /) -> _Numbered | None:
        """What the stream knows of itself; `"socket"` is the socket it goes over."""


class _Numbered(Protocol):
    def fileno(self) -> int: ...
    def setsockopt(self, level: int, name: int, value: bytes, /) -> object: ...


# Closing then drops what was not sent yet, and resets the connection.
_DROP_ON_CLOSE = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class OpenSockets:
    """The connections of one pool, for as long as it keeps them."""

    def __init__(self) -> None:
        self._streams: WeakSet[NetworkStream] = WeakSet()
        self._newest: WeakKeyDictionary[object, NetworkStream] = WeakKeyDictionary()
        register_for_fork(self)

    def add(self, stream: NetworkStream) -> None:
        """A connection was opened."""
        self._streams.add(stream)

    def add_own(self, transport: object, stream: NetworkStream) -> None:
        """A transport of ours opened its one connection, or begins TLS on it."""
        self.add(stream)
        self._newest[transport] = stream

    def drop_unsent(self, transport: object) -> None:
        """Let the end of the transport's connection drop what the system has not sent.

        A request whose time is over must not arrive later, when its slot counts no more.
        """
        stream = self._newest.get(transport)
        opened = None if stream is None else stream.get_extra_info("socket")
        if opened is not None:
            with suppress(OSError):  # it is closed already
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP_ON_CLOSE)

    async def close(self, transport: object) -> None:
        """Close the transport's connection where httpcore forgot it.

        It does so for one through a SOCKS proxy that ends before it is set up.
        """
        stream = self._newest.pop(transport, None)
        if stream is not None:
            await stream.aclose()

    def reset_after_fork(self) -> None:
        """Point the child's copy of every socket at nothing.

        Closing them properly would say goodbye on connections that are the parent's; keeping them
        would hold those open when the parent closes them.
        """
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in list(self._streams):
            opened = stream.get_extra_info("socket")
            if opened is not None and opened.fileno() >= 0:
                os.dup2(nowhere, opened.fileno(), inheritable=False)
        os.close(nowhere)
        self._streams.clear()
        self._newest.clear()


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


def holds_unread(stream: Any) -> bool:
    """Whether bytes were read from the socket and wait inside the stream for the next request.

    One read of a socket can bring several records of TLS, and httpcore takes one of them. It takes
    64 kB of a larger read. The rest waits in the layers of anyio, where the socket does not show
    it, and httpcore would take it for the next request's answer.
    """
    layer = getattr(stream, "_stream", None)
    while layer is not None:
        records = getattr(layer, "_read_bio", None)  # of TLS; a connection can have two of them
        queue = getattr(getattr(layer, "_protocol", None), "read_queue", ())
        if queue or (records is not None and records.pending):
            return True
        layer = getattr(layer, "transport_stream", None)
    return False


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

    `response` and `headers` are the answer's, as soon as they are there. `tainted` is a connection
    with words behind the answer, `reusable` one whose answer was read to its end and closed.
    `owned`: the transport is ours. It has one connection, over HTTP/1.1, for this attempt only. On
    a connection of HTTP/2 there is something to read at any time, and it belongs to other calls.
    """

    __slots__ = (
        *("_sockets", "_transport", "attempt", "headers"),
        *("owned", "response", "reusable", "tainted"),
    )

    def __init__(
        self, attempt: Attempt, transport: object, sockets: OpenSockets, *, owned: bool
    ) -> None:
        self.attempt = attempt
        self.headers: tuple[tuple[str, str], ...] = ()
        self.response: Any = None
        self.tainted = self.reusable = False
        self._transport = transport
        self._sockets = sockets
        self.owned = owned

    def drop_unsent(self) -> None:
        """The attempt's time is over: what was not sent yet must not be sent any more."""
        if self.owned:
            self._sockets.drop_unsent(self._transport)

    def _goes_on(self) -> bool:
        """Whether the server said more than the whole answer."""
        response = self.response
        if response is None:  # a transport of the caller's read the answer before it gave it out
            return False
        stream = response.extensions.get("network_stream")
        return bool(trailing_bytes(response)) or holds_unread(stream)

    async def __call__(self, event: str, info: dict[str, Any]) -> None:
        """Hear from httpcore what it is doing."""
        attempt = self.attempt
        attempt.stage = event
        if event.endswith("send_request_headers.started"):
            # Nothing was heard of connecting: it is a kept connection.
            if (
                self.owned
                and attempt.bytes_sent is None
                and server_closed_idle(self._transport, self)
            ):
                raise StaleConnection
            if not (attempt.bytes_sent or attempt.may_send()):
                raise SlotExpired
            # A CONNECT goes no further than to the proxy.
            attempt.bytes_sent = info["request"].method != b"CONNECT"
            attempt.body_sent = False
        elif event.endswith("send_request_body.complete"):
            attempt.body_sent = True
        elif event.endswith("http11.receive_response_body.complete") and self._goes_on():
            self.tainted = True
            await self.response.extensions["network_stream"].aclose()
        else:
            attempt.bytes_sent = attempt.bytes_sent or False
            if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
                attempt.fresh = True
                if self.owned:
                    self._sockets.add_own(self._transport, info["return_value"])
                else:
                    self._sockets.add(info["return_value"])


# Many servers drop a connection that was idle for 5 s; leaving first avoids writing into the gap.
KEEP_ALIVE = 4.0


class Closable(Protocol):
    """What a row is made of."""

    async def aclose(self) -> None:
        """Close the connection."""


T = TypeVar("T", bound=Closable)


class TransportPool(Generic[T]):
    """Transports that hold a connection each, all of them through `proxy` (a URL) if there is one.

    One pool for all of them costs more with every connection it holds: httpcore looks at each of
    them for each request. An acquired transport is used by one request only, so what went wrong on
    it is thrown away with it.
    """

    owned: ClassVar[bool] = True
    # What runs a request that may not end when it is cancelled; None where each of them does.
    stragglers: Stragglers | None = None

    def __init__(self, make: Callable[[], T], clock: Clock, *, proxy: str | None = None) -> None:
        self.proxy = proxy
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


# How long a caller's transport may take to close (s).
_CLOSING_TIME = 5.0


class BorrowedTransport(TransportPool[T]):
    """A caller's own transport, which keeps as many connections as it likes.

    `closes`: closing this closes the transport; otherwise somebody else does.
    """

    owned: ClassVar[bool] = False

    def __init__(self, transport: T, clock: Clock, *, has_sockets: bool, closes: bool) -> None:
        super().__init__(lambda: transport, clock)
        self._transport = transport
        self._closes = closes
        self._closing = Stragglers(clock)
        if has_sockets:
            self.stragglers = self._closing

    def acquire(self) -> T:
        """The transport."""
        return self._transport

    async def release(self, transport: T) -> None:
        """Leave it to itself."""

    async def discard(self, transport: T) -> None:
        """Leave it to itself."""

    async def aclose(self) -> None:
        """Close it; one that does not end is left behind."""
        if not self._closes:
            return
        until = self._clock.monotonic() + _CLOSING_TIME
        with suppress(TimeoutError):
            await self._closing.run(self._close(until), until)

    async def _close(self, until: float) -> None:
        with Deadline(self._clock, until):
            await self._transport.aclose()

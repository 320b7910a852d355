"""Follows one attempt through a transport, as httpcore's trace hook."""

from __future__ import annotations

from typing import Any

from syncro_async.transport.exchange import Attempt
from syncro_async.transport.kept_connections import closed_meanwhile, unread
from syncro_async.transport.sockets import OpenSockets


class ClosedMeanwhile(Exception):  # noqa: N818 - named after what the hook meets
    """The server closed a kept connection before anything was written on it."""


class Watch:
    """What is learned on the way of one attempt.

    `response` and `headers` are the answer's, as soon as they are there. `spoilt` is a connection
    with words behind the answer, `reusable` one whose answer was read to its end and closed.
    """

    __slots__ = ("_sockets", "_transport", "attempt", "headers", "response", "reusable", "spoilt")

    def __init__(self, attempt: Attempt, transport: object, sockets: OpenSockets) -> None:
        self.attempt = attempt
        self.headers: tuple[tuple[str, str], ...] = ()
        self.response: Any = None
        self.spoilt = self.reusable = False
        self._transport = transport
        self._sockets = sockets

    async def __call__(self, event: str, info: dict[str, Any]) -> None:
        """Hear from httpcore what it is doing."""
        attempt = self.attempt
        if event.endswith("send_request_headers.started"):
            # Nothing was heard of connecting: it is a kept connection.
            if attempt.written is None and closed_meanwhile(self._transport, self):
                raise ClosedMeanwhile
            # A CONNECT goes no further than to the proxy.
            attempt.written = info["request"].method != b"CONNECT"
        elif event.endswith("receive_response_body.complete") and unread(self.response):
            self.spoilt = True
            await self.response.extensions["network_stream"].aclose()
        else:
            attempt.written = attempt.written or False
            if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
                self._sockets.add(info["return_value"])

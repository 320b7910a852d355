"""An application as a test meets it: its lifespan runs, and requests come over ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from syncro_async.sandbox import FULL_KEY, Sandbox
from syncro_async.testing.fake_clock import FakeClock
from syncro_async.transport.http_engine import in_process_transport


def bound_to(sandbox: Sandbox, clock: FakeClock, **options: Any) -> dict[str, Any]:
    """The options of a client that talks to the sandbox in this process."""
    return {
        "api_key": FULL_KEY,
        "base_url": "http://localhost/api/v1",
        "transport": in_process_transport(sandbox.app),
        "clock": clock,
        **options,
    }


@asynccontextmanager
async def running(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, while its lifespan runs and its state is handed on."""
    async with app.router.lifespan_context(app) as state:

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": dict(state or {})}, receive, send)

        async with caller_of(serve) as web:
            yield web


def caller_of(app: ASGIApp, *, raising: bool = False) -> httpx.AsyncClient:
    """A client of the application as it is.

    An exception that nobody answers is a 500, as with a real server, unless it is to be raised.
    """
    transport = httpx.ASGITransport(app, raise_app_exceptions=raising)
    return httpx.AsyncClient(transport=transport, base_url="http://service")


class Visit:
    """One request to an application, message by message, as a server would hand it on."""

    def __init__(
        self,
        app: Starlette,
        path: str,
        *,
        method: str = "GET",
        spec_version: str = "2.3",
        content_type: str = "text/plain",
    ) -> None:
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": spec_version},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"service"), (b"content-type", content_type.encode())],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        self.app = app
        self.sent: list[Message] = []
        self.pulled = 0
        self._messages: asyncio.Queue[Message | Exception] = asyncio.Queue()
        self._left = False

    def start(self) -> asyncio.Task[None]:
        """Let the application answer, in a task of its own."""
        return asyncio.create_task(self.app(self._scope, self._receive, self._send))

    def say(self, body: bytes = b"", *, more: bool = False) -> None:
        """A piece of the request's body arrives."""
        self._messages.put_nowait({"type": "http.request", "body": body, "more_body": more})

    def leave(self) -> None:
        """The caller disconnects."""
        self._messages.put_nowait({"type": "http.disconnect"})

    def break_off(self, error: Exception) -> None:
        """The server fails at handing on."""
        self._messages.put_nowait(error)

    @property
    def status(self) -> int | None:
        """The status answered, None as long as there is none."""
        return next((m["status"] for m in self.sent if m["type"] == "http.response.start"), None)

    @property
    def body(self) -> bytes:
        """What was answered so far."""
        return b"".join(m.get("body", b"") for m in self.sent)

    async def _receive(self) -> Message:
        self.pulled += 1
        message = await self._messages.get()
        if isinstance(message, Exception):
            raise message
        return message

    async def _send(self, message: Message) -> None:
        self.sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.leave()  # from then on, servers say so to whoever asks

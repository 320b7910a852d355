"""ASGI middleware that cancels a handler's wait for budget when its HTTP client disconnects.

Neither an ASGI server nor Starlette ends a handler after a disconnect: only a call of `receive()`
returns the message `http.disconnect`, and a handler that waits for budget makes no such call.
`ClientDisconnects` reads the messages instead, but only while a call of this request is in the
queue for budget. After a disconnect it cancels the handler at that point; nothing is sent. At any
other point (a write is on the wire, a transaction is open) the handler continues until its next
wait for budget, so that no operation is interrupted in the middle.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from syncro_async.clock import SystemClock
from syncro_async.limiting.context import use_wait_hooks

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_DISCONNECT = "http.disconnect"
# A cancellation needs about three iterations of the event loop for each middleware that runs the
# handler in a separate task.
_ITERATIONS_UNTIL_CANCELLED = 50
_CLOCK = SystemClock()


class ClientDisconnects:
    """ASGI middleware that cancels handlers that wait for budget after a disconnect.

    `syncro_lifespan` adds it to its application. `app`: the ASGI application to call. Body and
    response are not changed; WebSockets and other scopes are passed on. The handler gets one
    `asyncio.CancelledError`.

        from syncro_async.integrations.client_disconnects import ClientDisconnects

        app = ClientDisconnects(FastAPI())
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application for one request, connection or lifespan."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        watcher = DisconnectWatcher(receive, send)
        try:
            with use_wait_hooks(watcher):
                await self.app(scope, watcher.receive, watcher.send)
        except asyncio.CancelledError:
            if not watcher.cancelled_only_here():
                raise
        finally:
            await watcher.close()


class DisconnectWatcher:
    """Reads the messages of one request ahead of the application, and detects its disconnect."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._task = cast("asyncio.Task[object]", asyncio.current_task())
        self._cancelled_before = self._task.cancelling()
        self._messages: deque[asyncio.Task[Message]] = deque()
        self._pull: asyncio.Task[Message] | None = None
        self._body_ended = False
        self._readers = 0
        self._waiting = 0
        self._disconnected = False
        self._disconnect_read = False
        self._cancelled = False
        self._response_started = False
        self._response_done = False

    async def receive(self) -> Message:
        """The next message for the application; each message is returned once, in order."""
        self._readers += 1
        try:
            message = await self._next_message()
            self._disconnect_read = message["type"] == _DISCONNECT
            return message
        finally:
            self._readers -= 1
            self._watch()

    async def send(self, message: Message) -> None:
        """Send a message; after the end of the response servers report a disconnect."""
        self._response_started = True
        kind = message["type"]
        self._response_done = kind == "http.response.pathsend" or (
            kind == "http.response.body" and not message.get("more_body", False)
        )
        await self._send(message)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """See `WaitHooks`: while such a block runs, a disconnect cancels the handler."""
        loop = asyncio.get_running_loop()
        if loop is not self._task.get_loop():
            yield  # a loop of another thread must not use objects of this loop
            return
        self._waiting += 1
        # Not immediately: a call that gets a free slot does not wait and must not be cancelled.
        loop.call_soon(self._watch)
        try:
            yield
        finally:
            self._waiting -= 1

    async def before_send(self) -> None:
        """See `WaitHooks`: a handler that is being cancelled does not start another request."""
        if self._cancelled:
            for _ in range(_ITERATIONS_UNTIL_CANCELLED):
                await _CLOCK.sleep(0)

    def cancelled_only_here(self) -> bool:
        """Whether the disconnect is the only reason for the cancellation."""
        # Middleware with separate tasks may have called `uncancel` for our cancellation already.
        return self._cancelled and self._task.cancelling() <= self._cancelled_before + 1

    async def close(self) -> None:
        """Stop watching, because the application has ended."""
        self._response_done = True
        if self._cancelled and self._task.cancelling() > self._cancelled_before:
            self._task.uncancel()
        if self._pull is not None:
            self._pull.cancel()
            await asyncio.wait((self._pull,))

    async def _next_message(self) -> Message:
        while not self._messages:
            if self._disconnected:
                return {"type": _DISCONNECT}
            if self._pull is None:
                # Directly in the reader's task: some readers only check for an available message.
                return self._record(await self._receive())
            # Do not await the task itself: the cancellation of a reader would cancel it too.
            await asyncio.wait((self._pull,))
        return self._messages.popleft().result()

    def _watch(self) -> None:
        """If a call waits for budget, watch for a disconnect, or react to one."""
        if not self._waiting or self._response_done:
            return
        if self._disconnected:
            self._cancel_handler()
        # Read at most one message ahead, so that the server keeps the rest of a body.
        elif not (self._pull or self._readers) and len(self._messages) <= self._body_ended:
            self._pull = asyncio.create_task(self._pull_message())
            self._pull.add_done_callback(self._on_pulled)

    def _cancel_handler(self) -> None:
        # A streaming response that reads the disconnect ends itself and runs its background tasks.
        stream_handles_it = self._response_started and (self._readers or self._disconnect_read)
        if not self._cancelled and not stream_handles_it:
            self._cancelled = True
            self._task.cancel()

    async def _pull_message(self) -> Message:
        return self._record(await self._receive())

    def _record(self, message: Message) -> Message:
        self._disconnected = message["type"] == _DISCONNECT
        self._body_ended = not message.get("more_body", False)
        return message

    def _on_pulled(self, pull: asyncio.Task[Message]) -> None:
        self._pull = None
        if not pull.cancelled():
            self._messages.append(pull)
            if pull.exception() is None:
                self._watch()

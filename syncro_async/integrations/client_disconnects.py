"""Gives back the places in the queue that an ASGI request's caller leaves by disconnecting.

Neither an ASGI server nor Starlette ends a handler whose caller has gone: `http.disconnect` only
reaches who calls `receive()`, and a handler that waits for budget does not. `LeavingCallers`
listens in its place, and only as long as one of the request's calls stands in the queue. A caller
who goes away then has the handler cancelled right there, with nothing sent. A handler that is
anywhere else (its write is on the wire, its own transaction is under way) is left alone until it
next waits for budget: what it has begun is not torn in two.
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
# A cancellation takes about three turns of the loop for each middleware that runs the handler in
# a task of its own.
_TURNS_UNTIL_CANCELLED = 50
_CLOCK = SystemClock()


class ClientDisconnects:
    """ASGI middleware: handlers that wait for budget do not wait for callers who have left.

    `syncro_lifespan` puts it around its application. Body and answer pass through as they are,
    WebSockets and everything else untouched. The handler sees `asyncio.CancelledError`, once.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application for one request, connection or lifespan."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        caller = DisconnectWatcher(receive, send)
        try:
            with use_wait_hooks(caller):
                await self.app(scope, caller.receive, caller.send)
        except asyncio.CancelledError:
            if not caller.alone_cancelled():
                raise
        finally:
            await caller.close()


class DisconnectWatcher:
    """The other end of one request: what comes from there, and whether it is still there."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._task = cast("asyncio.Task[object]", asyncio.current_task())
        self._cancelled_before = self._task.cancelling()
        self._arrived: deque[asyncio.Task[Message]] = deque()
        self._pull: asyncio.Task[Message] | None = None
        self._body_ended = False
        self._readers = 0
        self._waiting = 0
        self._gone = False
        self._told = False
        self._called_off = False
        self._answer_begun = False
        self._answered = False

    async def receive(self) -> Message:
        """What the application gets to read: everything, in order, once."""
        self._readers += 1
        try:
            message = await self._next_message()
            self._told = message["type"] == _DISCONNECT
            return message
        finally:
            self._readers -= 1
            self._look_out()

    async def send(self, message: Message) -> None:
        """Answer; afterwards nobody waits any more, and servers report a disconnect."""
        self._answer_begun = True
        kind = message["type"]
        self._answered = kind == "http.response.pathsend" or (
            kind == "http.response.body" and not message.get("more_body", False)
        )
        await self._send(message)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """See `Caller`: as long as such a block runs, the caller's leaving is listened for."""
        loop = asyncio.get_running_loop()
        if loop is not self._task.get_loop():
            yield  # a worker thread's own loop: nothing of this one may be touched from there
            return
        self._waiting += 1
        # Not at once: a call that finds a slot free never waits, and would be cut off on the wire.
        loop.call_soon(self._look_out)
        try:
            yield
        finally:
            self._waiting -= 1

    async def before_send(self) -> None:
        """See `Caller`: whose handler is being cancelled does not begin a request meanwhile."""
        if self._called_off:
            for _ in range(_TURNS_UNTIL_CANCELLED):
                await _CLOCK.sleep(0)

    def alone_cancelled(self) -> bool:
        """Whether the handler was cancelled because the caller left, and for no other reason."""
        # Middleware that runs the handler in tasks of its own may have taken back our cancellation.
        return self._called_off and self._task.cancelling() <= self._cancelled_before + 1

    async def close(self) -> None:
        """The application is done: nobody listens any more."""
        self._answered = True
        if self._called_off and self._task.cancelling() > self._cancelled_before:
            self._task.uncancel()
        if self._pull is not None:
            self._pull.cancel()
            await asyncio.wait((self._pull,))

    async def _next_message(self) -> Message:
        while not self._arrived:
            if self._gone:
                return {"type": _DISCONNECT}
            if self._pull is None:
                # At once and in the reader's own task: some only look whether anything is there.
                return self._noted(await self._receive())
            # Not `await` the pull itself: a reader who is cancelled must not take it along.
            await asyncio.wait((self._pull,))
        return self._arrived.popleft().result()

    def _look_out(self) -> None:
        """Listen for the caller's leaving, or act on it, if a call waits for budget."""
        if not self._waiting or self._answered:
            return
        if self._gone:
            self._call_off()
        # At most one message ahead of the application: the rest of a body stays with the server.
        elif not (self._pull or self._readers) and len(self._arrived) <= self._body_ended:
            self._pull = asyncio.create_task(self._pulled())
            self._pull.add_done_callback(self._file)

    def _call_off(self) -> None:
        # A stream that listens by itself ends by itself, and then runs its background tasks.
        listens_itself = self._answer_begun and (self._readers or self._told)
        if not self._called_off and not listens_itself:
            self._called_off = True
            self._task.cancel()

    async def _pulled(self) -> Message:
        return self._noted(await self._receive())

    def _noted(self, message: Message) -> Message:
        self._gone = message["type"] == _DISCONNECT
        self._body_ended = not message.get("more_body", False)
        return message

    def _file(self, pull: asyncio.Task[Message]) -> None:
        self._pull = None
        if not pull.cancelled():
            self._arrived.append(pull)
            if pull.exception() is None:
                self._look_out()

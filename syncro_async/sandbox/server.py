"""The sandbox on a port: real sockets, and real broken connections."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from syncro_async.sandbox.app import API_ROOT
from syncro_async.sandbox.faults import ConnectionDropped

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from syncro_async.sandbox.app import Sandbox

_BACKLOG = 512
# Longer than a caller that waits for its next window leaves a connection idle.
_KEEP_ALIVE = 75
# Close at once and tell the other side with a reset instead of an orderly end.
_NO_LINGERING = struct.pack("ii", 1, 0)


class _BreakableProtocol(H11Protocol):
    """uvicorn's protocol; an application that raises `ConnectionDropped` loses its connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._application = self.app
        self.app = self._run

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._application(scope, receive, send)
        except (ConnectionDropped, asyncio.CancelledError):
            self._drop()

    def _drop(self) -> None:
        # What uvicorn sees of it: a client that left, which it takes quietly.
        self.cycle.disconnected = True
        if self.cycle.response_started or self.transport.is_closing():
            self.transport.close()
            return
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
        self.transport.abort()


class _PromptServer(uvicorn.Server):
    """uvicorn's server; it does not wait for answers under way when it is told to stop."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for answering in tuple(self.server_state.tasks):
            answering.cancel()
        await super().shutdown(sockets)


@contextmanager
def serving(sandbox: Sandbox, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve the sandbox from a thread of its own; yields the base URL, `http://…/api/v1`.

    Port 0 takes a free one. Leaving the block closes every connection, answered or not, within a
    second. Raises `OSError` saying so when the port is taken.
    """
    server = _server(sandbox)
    # The socket is closed here too: a server told to stop while it starts may leave it open.
    with _listen(host, port) as listener:
        thread = threading.Thread(
            target=server.run, args=([listener],), name="syncro-sandbox", daemon=True
        )
        thread.start()
        try:
            yield _url(listener)
        finally:
            server.should_exit = True
            thread.join()


def run(
    sandbox: Sandbox,
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    ready: Callable[[str], object] | None = None,
) -> None:
    """Serve the sandbox until Ctrl-C; `ready` is called with the base URL once it listens.

    Raises `OSError` saying so when the port is taken.
    """
    server = _server(sandbox)
    with _listen(host, port) as listener:
        if ready is not None:
            ready(_url(listener))
        with suppress(KeyboardInterrupt):
            server.run([listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = f"port {port} of {host} is taken by another program; choose another, or 0"
            raise OSError(errno.EADDRINUSE, message) from None
        raise


def _server(sandbox: Sandbox) -> _PromptServer:
    return _PromptServer(
        uvicorn.Config(
            sandbox.app,
            http=_BreakableProtocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            timeout_keep_alive=_KEEP_ALIVE,
            log_config=None,
            log_level="warning",
            proxy_headers=False,
            server_header=False,
            date_header=False,
        )
    )


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()
    return f"http://{host}:{port}{API_ROOT}"

"""Serves the sandbox on a TCP port, with connections that really break."""

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
# Longer than the idle time of a connection whose client waits for its next window.
_KEEP_ALIVE = 75
# Linger with timeout 0: close sends a reset instead of an orderly end.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _BreakableProtocol(H11Protocol):
    """uvicorn's protocol; the exception `ConnectionDropped` drops the connection."""

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
        # uvicorn then sees a disconnected client, which it does not log.
        self.cycle.disconnected = True
        if self.cycle.response_started or self.transport.is_closing():
            self.transport.close()
            return
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.transport.abort()


class _PromptServer(uvicorn.Server):
    """uvicorn's server with a shutdown that does not wait for unfinished responses."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for task in tuple(self.server_state.tasks):
            task.cancel()
        await super().shutdown(sockets)


@contextmanager
def serving(sandbox: Sandbox, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve the sandbox from a background thread; yields the base URL, `http://…/api/v1`.

    `sandbox`: the sandbox to serve. `host`: the address to listen on. `port`: the TCP port; 0
    (default) selects a free one. The end of the block closes every connection within a second.
    Raises `OSError` when the port is in use or the host is not an address of this machine.
    """
    server = _server(sandbox)
    # A server that stops during its start may leave the socket open, so close it here.
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
    """Serve the sandbox until Ctrl-C.

    `sandbox`: the sandbox to serve. `host`: the address to listen on. `port`: the TCP port
    (default 8000); 0 selects a free one. `ready`: called with the base URL as soon as the port
    accepts connections. Raises `OSError` when the port is in use or the host is not an address of
    this machine.
    """
    server = _server(sandbox)
    with _listen(host, port) as listener:
        if ready is not None:
            ready(_url(listener))
        with suppress(KeyboardInterrupt):
            server.run([listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = (
                f"port {port} of {host} is in use by another program; choose another port, or 0"
            )
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
    host, port = listener.getsockname()[:2]
    place = f"[{host}]" if ":" in host else host
    return f"http://{place}:{port}{API_ROOT}"

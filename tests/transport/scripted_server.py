"""A server on loopback that answers each connection by script, byte for byte."""

from __future__ import annotations

import asyncio
import itertools
import re
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tests.transport.listening_server import ListeningServer

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Connection:
    """One client's connection, as a script sees it."""

    def __init__(
        self, server: ScriptedServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer

    async def request(self) -> bytes:
        """Read one whole request, note it, and return its bytes."""
        raw = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", raw)
        if length:
            raw += await self._reader.readexactly(int(length[1]))
        await self._server.note(raw)
        return raw

    async def send(self, *parts: bytes) -> None:
        """Send the parts, each on its way before the next."""
        for part in parts:
            self._writer.write(part)
            await self._writer.drain()

    def write(self, *parts: bytes) -> None:
        """Send the parts together, over TLS each in a record of its own."""
        for part in parts:
            self._writer.write(part)

    async def read(self) -> bytes:
        """The next bytes, whatever they are; none once the client has closed."""
        return await self._reader.read(65536)

    async def hello(self) -> None:
        """Wait for the first bytes."""
        await self.read()

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        try:
            while await self._reader.read(65536):
                pass
        except ConnectionError:
            return

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry bytes to and fro between this connection and another until one of them ends."""
        ways = [
            asyncio.ensure_future(_carry(self._reader, writer)),
            asyncio.ensure_future(_carry(reader, self._writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    def reset(self) -> None:
        """Drop the connection with an RST."""
        raw: socket.socket = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._writer.transport.abort()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while content := await reader.read(65536):
        writer.write(content)
        await writer.drain()


Script = Callable[[Connection], Awaitable[None]]


_numbers = itertools.count(1)


class ScriptedServer(ListeningServer):
    """Answers the first connection by the first script and so on; the last one stays in force.

    A connection is closed when its script ends. `requests` are the raw requests in order of
    arrival, `connections` counts what was opened, `most_open` how many were open at once.
    """

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        # A port may come again while slots taken at it live on: the path makes it another server.
        self._number = next(_numbers)
        self._scripts = scripts
        self._idle = asyncio.Event()
        self._noted = asyncio.Condition()
        self.requests: list[bytes] = []
        self.connections = 0
        self.most_open = 0

    @property
    def url(self) -> str:
        """What a client takes for its base URL."""
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self.port}/api/v{self._number}"

    async def note(self, raw: bytes) -> None:
        """A whole request has arrived."""
        async with self._noted:
            self.requests.append(raw)
            self._noted.notify_all()

    async def arrived(self, count: int = 1) -> None:
        """Wait until that many requests have arrived."""
        async with self._noted:
            await self._noted.wait_for(lambda: len(self.requests) >= count)

    async def closed(self) -> None:
        """Wait until no connection is open."""
        await self._idle.wait()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        script = self._scripts[min(self.connections, len(self._scripts) - 1)]
        self.connections += 1
        self._tasks.add(task)
        self._idle.clear()
        self.most_open = max(self.most_open, len(self._tasks))
        try:
            await script(Connection(self, reader, writer))
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has gone, a proxy's script finds no server, or the test is over
        finally:
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()
            self._tasks.discard(task)
            if not self._tasks:
                self._idle.set()


def http(
    body: bytes = b'{"success": true}', status: str = "200 OK", headers: tuple[str, ...] = ()
) -> bytes:
    """An answer with its length."""
    lines = (
        f"HTTP/1.1 {status}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    )
    return "\r\n".join((*lines, "", "")).encode() + body


def answers(*raw: bytes) -> Script:
    """Answer one request after the other on one connection, then wait for its end."""

    async def script(connection: Connection) -> None:
        for answer in raw:
            await connection.request()
            await connection.send(answer)
        await connection.gone()

    return script


def drops(before: bytes = b"", *, reset: bool = True) -> Script:
    """Read a request, send what comes `before`, then drop the connection."""

    async def script(connection: Connection) -> None:
        await connection.request()
        if before:
            await connection.send(before)
        if reset:
            connection.reset()

    return script

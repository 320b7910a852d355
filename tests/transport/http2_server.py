"""A server of HTTP/2 on loopback that answers each request by script."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress

import h2.config
import h2.connection
import h2.events

from tests.transport.listening_server import ListeningServer


class Stream:
    """One request of a connection, as a script sees it."""

    def __init__(
        self, writer: asyncio.StreamWriter, protocol: h2.connection.H2Connection, number: int
    ) -> None:
        self._writer = writer
        self._protocol = protocol
        self._number = number

    async def begin(self, body: bytes = b"") -> None:
        """Send the headers, and a first part of the body."""
        self._protocol.send_headers(
            self._number, [(":status", "200"), ("content-type", "application/json")]
        )
        await self.send(body)

    async def send(self, part: bytes, *, last: bool = False) -> None:
        """Send a part of the body."""
        self._protocol.send_data(self._number, part, end_stream=last)
        await self.flush()

    async def answer(self, body: bytes) -> None:
        """Send a whole answer."""
        await self.begin()
        await self.send(body, last=True)

    async def ping(self) -> None:
        """Do as a server that looks whether an idle connection still works."""
        self._protocol.ping(b"areyouok")
        await self.flush()

    async def flush(self) -> None:
        """Send what the protocol has for the client."""
        self._writer.write(self._protocol.data_to_send())
        await self._writer.drain()


Script = Callable[[Stream], Awaitable[None]]


class Http2Server(ListeningServer):
    """Answers the first request by the first script and so on; the last one stays in force."""

    def __init__(self, tls: ssl.SSLContext, *scripts: Script) -> None:
        super().__init__(tls)
        tls.set_alpn_protocols(["h2"])
        self._scripts = scripts
        self.connections = self.requests = 0

    @property
    def url(self) -> str:
        """What a client takes for its base URL."""
        return f"https://localhost:{self.port}/{id(self)}"

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._keep(task)
        self.connections += 1
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client has gone, or the test is over
        finally:
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        protocol = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        protocol.initiate_connection()
        writer.write(protocol.data_to_send())
        while data := await reader.read(65536):
            for event in protocol.receive_data(data):
                if isinstance(event, h2.events.StreamEnded) and event.stream_id:
                    script = self._scripts[min(self.requests, len(self._scripts) - 1)]
                    self.requests += 1
                    stream = Stream(writer, protocol, event.stream_id)
                    self._keep(asyncio.ensure_future(script(stream)))
            writer.write(protocol.data_to_send())

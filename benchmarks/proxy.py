"""A proxy on the loopback that makes the way to a server longer, or breaks it."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection


class Proxy:
    """Passes connections on to a port of this host.

    `there` and `back` give the delay of the next message in each direction (s).
    """

    def __init__(self, port: int, there: Callable[[], float], back: Callable[[], float]) -> None:
        self._port = port
        self._there = there
        self._back = back
        self._cuts = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on."""
        with suppress(OSError, asyncio.CancelledError):
            inner, out = await asyncio.open_connection("127.0.0.1", self._port)
            both = (
                self._pass_on(reader, out, self._there),
                self._pass_on(inner, writer, self._back),
            )
            tasks = [asyncio.create_task(one) for one in both]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            out.close()
        writer.close()

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        delay: Callable[[], float],
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await asyncio.sleep(delay())
                if self._cuts:
                    self._cuts -= 1
                    writer.write(data[: len(data) // 2])
                    return
                writer.write(data)

    def cut(self, messages: int) -> None:
        """Let so many messages break off in the middle, and their connections with them."""
        self._cuts = messages


@contextmanager
def farther_away(port: int, seconds: float) -> Iterator[int]:
    """A port from which the answers of that port come so much later, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(port, seconds, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.kill()
        process.join()


def _serve(port: int, seconds: float, pipe: Connection[int, int]) -> None:
    async def serve() -> None:
        proxy = Proxy(port, lambda: 0.0, lambda: seconds)
        async with await asyncio.start_server(proxy, "127.0.0.1", 0, backlog=1000) as listening:
            pipe.send(listening.sockets[0].getsockname()[1])
            await listening.serve_forever()

    asyncio.run(serve())

"""Runs a program in a process of its own, beside a server in this one."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.transport.scripted_server import Connection, ScriptedServer, http

ROOT = Path(__file__).parent.parent.parent
LEAD = http(b'{"success": true, "lead": {"id": 7}}')

# What every program finds: a client of the server, and a way to say something.
PRELUDE = """
from __future__ import annotations
import asyncio, gc, logging, os, signal, sys, threading
import httpx
from syncro_async import AsyncClient, RateLimit
from syncro_async.errors import ConfigurationError, SyncroError

def client_of(**options):
    options = {"rate_limit": RateLimit(1000, 60.0), **options}
    return AsyncClient("crm_kept_to_itself", base_url=sys.argv[1], **options)

def say(*words):
    print(*words, flush=True)
"""


@dataclass
class Program:
    """A program that runs: what it says comes line by line."""

    process: asyncio.subprocess.Process
    server: ScriptedServer

    async def says(self) -> str:
        """Its next line; empty once it has ended."""
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().strip()

    def tell(self, word: str) -> None:
        """A line for it to read."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n".encode())

    def interrupt(self) -> None:
        """Do as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)

    async def end(self) -> tuple[int, str, str]:
        """Its exit code, the rest of what it says, and all that it complains of."""
        said, complained = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, said.decode(), complained.decode()


@asynccontextmanager
async def running(
    server: ScriptedServer, text: str, *flags: str, folder: Path | None = None
) -> AsyncIterator[Program]:
    """Start the program with the server's URL as its argument; it ends with the block.

    With a folder it is a file there, which processes it spawns can import.
    """
    source = ["-c", PRELUDE + text]
    if folder is not None:
        file = folder / "program.py"
        file.write_text(PRELUDE + text, encoding="utf-8")
        source = [str(file)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *flags,
        *source,
        server.url,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        start_new_session=True,
    )
    try:
        yield Program(process, server)
    finally:
        with suppress(ProcessLookupError):  # all have ended
            os.killpg(process.pid, signal.SIGKILL)  # with it those it has forked
        await process.wait()


async def outcome_of(text: str, *flags: str, folder: Path | None = None) -> tuple[int, str, str]:
    """Run the program beside a server that answers everything."""
    async with (
        ScriptedServer(answers_everything) as server,
        running(server, text, *flags, folder=folder) as program,
    ):
        return await program.end()


async def answers_everything(connection: Connection) -> None:
    """A script that never tires."""
    while True:
        await connection.request()
        await connection.send(LEAD)


async def answers_nothing(connection: Connection) -> None:
    """A script that reads a request and waits for the connection's end."""
    await connection.request()
    await connection.gone()

"""Breaks processes and stores of one shared budget, and counts every window at a server of its own.

    python benchmarks/chaos.py [--seconds 600] [--seed 1] [--store sqlite|redis|both]

Six processes share one key. Processes are killed, stopped and resumed. The store is deleted,
restored from an older copy, and (Redis) restarted without its data. At least one process that has
used the store is running whenever the store loses data, as docs/budget.md demands. The server
knows nothing of the client: it counts the requests that arrive, and answers after 5 to 80 ms.

It has to hold that no window, wherever it begins, holds more requests than the limit. Printed are
also the faults, and the share of the bound that was used in spite of them. Exits with 1 when a
window holds more. Everything stays on the loopback, and the run stops by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Protocol

from syncro_async import AsyncClient, RateLimit, __version__
from syncro_async.errors import SyncroError

CALLS, WINDOW, TIMEOUT = 60, 4.0, 2.0
PROCESSES, CALLERS = 6, 20
# A process that has run for so long has seen the state of the store (s).
SETTLED = 2.0
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


async def work(base_url: str, limiter: str) -> None:
    """What one process does: calls without an end."""
    rate = RateLimit(CALLS, WINDOW)
    async with AsyncClient(
        "chaos", base_url=base_url, limiter=limiter, rate_limit=rate, timeout=TIMEOUT
    ) as syncro:

        async def call() -> None:
            while True:
                with suppress(SyncroError):
                    await syncro.request("GET", "/x")
                await asyncio.sleep(0.01)

        await asyncio.gather(*(call() for _ in range(CALLERS)))


class Server:
    """Counts the requests that arrive."""

    def __init__(self, dice: random.Random) -> None:
        self.arrivals: list[float] = []
        self._dice = dice

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, one after the other."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                self.arrivals.append(time.monotonic())
                await asyncio.sleep(self._dice.uniform(0.005, 0.08))
                writer.write(ANSWER)
        writer.close()

    def most_in_a_window(self) -> int:
        """The largest number of arrivals in any window."""
        most = first = 0
        for last, at in enumerate(self.arrivals):
            while self.arrivals[first] <= at - WINDOW:
                first += 1
            most = max(most, last - first + 1)
        return most


class Store(Protocol):
    """A store that can be damaged."""

    url: str

    def forget(self) -> None:
        """Lose everything."""

    def save(self) -> None:
        """Keep a copy of the present state."""

    def restore(self) -> None:
        """Go back to the copy."""

    def close(self) -> None:
        """End it."""


class SqliteFile:
    """A file that is deleted, and replaced by an older copy."""

    def __init__(self, folder: Path) -> None:
        self._file, self._copy = folder / "budget.db", folder / "copy.db"
        self.url = f"sqlite://{self._file}"

    def forget(self) -> None:
        """Delete the file and its companions."""
        for name in self._file.parent.glob("budget.db*"):
            name.unlink(missing_ok=True)

    def save(self) -> None:
        """Copy the file as SQLite's backup does."""
        if self._file.exists():
            with (
                closing(sqlite3.connect(self._file)) as source,
                closing(sqlite3.connect(self._copy)) as target,
            ):
                source.backup(target)

    def restore(self) -> None:
        """Put the copy in the place of the file."""
        if self._copy.exists():
            self.forget()
            shutil.copy(self._copy, self._file)

    def close(self) -> None:
        """Leave nothing open."""


class RedisServer:
    """A Redis that is emptied, restarted without its data, and set to older values."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._folder = folder
        self._copy: dict[bytes, bytes] = {}
        self._start()

    def _start(self) -> None:
        program = shutil.which("redis-server") or "redis-server"
        command = [program, "--port", str(self._port), "--save", "", "--bind", "127.0.0.1"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=self._folder)  # noqa: S603 - our own

    def _client(self) -> Any:
        import redis
        from redis.backoff import ConstantBackoff
        from redis.retry import Retry

        return redis.Redis(port=self._port, retry=Retry(ConstantBackoff(0.05), 100))

    def forget(self) -> None:
        """Lose everything: by a command, or by a crash."""
        if random.getrandbits(1):
            with self._client() as client:
                client.flushall()
        else:
            self._process.kill()
            self._process.wait()
            self._start()

    def save(self) -> None:
        """Keep the values of all entries."""
        with self._client() as client:
            self._copy = {name: client.dump(name) for name in client.scan_iter()}

    def restore(self) -> None:
        """Set the entries to the values that were kept."""
        with self._client() as client:
            for name, value in self._copy.items():
                client.restore(name, 600_000, value, replace=True)

    def close(self) -> None:
        """End the server."""
        self._process.kill()
        self._process.wait()


class Chaos:
    """The processes, and what happens to them and to the store."""

    def __init__(self, base_url: str, store: Store, dice: random.Random) -> None:
        self._base_url = base_url
        self._store = store
        self._dice = dice
        self._started: dict[subprocess.Popen[bytes], float] = {}
        self._stopped: dict[subprocess.Popen[bytes], float] = {}
        self.faults: Counter[str] = Counter()

    def start(self) -> None:
        """Start processes until there are as many as there should be."""
        while len(self._started) < PROCESSES:
            command = [sys.executable, __file__, "--work", self._base_url, self._store.url]
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 - this Python
            self._started[process] = time.monotonic()

    async def run(self, seconds: float) -> None:
        """Let things happen for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(self._dice.uniform(0.2, 1.5))
            now = time.monotonic()
            for process in [p for p, at in self._stopped.items() if at <= now]:
                process.send_signal(signal.SIGCONT)
                del self._stopped[process]
            name = self._dice.choice(["kill", "stop", "stop", "forget", "save", "restore"])
            if await asyncio.to_thread(self._happens, name):
                self.faults[name] += 1
            self.start()

    def _happens(self, name: str) -> bool:
        running = [process for process in self._started if process not in self._stopped]
        settled = [p for p in running if time.monotonic() - self._started[p] > SETTLED]
        match name:
            case "save":
                self._store.save()
            case "forget" | "restore" if settled:
                getattr(self._store, name)()
                # The processes that know the state must live until they have reported it.
                time.sleep(1.5)
            case "kill" if len(settled) > 1:
                process = self._dice.choice(settled)
                process.kill()
                process.wait()
                del self._started[process]
            case "stop" if len(settled) > 1:
                process = self._dice.choice(settled)
                process.send_signal(signal.SIGSTOP)
                self._stopped[process] = time.monotonic() + self._dice.uniform(0.5, 6.0)
            case _:
                return False
        return True

    def close(self) -> None:
        """End all processes."""
        for process in self._started:
            process.kill()
            process.wait()


async def judge(kind: str, seconds: float, seed: int) -> bool:
    """Run one store through it; True when no window held more than the limit."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    server = Server(dice)
    with tempfile.TemporaryDirectory() as name:
        store: Store = SqliteFile(Path(name)) if kind == "sqlite" else RedisServer(Path(name))
        async with await asyncio.start_server(server, "127.0.0.1", 0) as listening:
            base_url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
            chaos = Chaos(base_url, store, dice)
            try:
                chaos.start()
                await chaos.run(seconds)
            finally:
                chaos.close()
                store.close()
    most, bound = server.most_in_a_window(), seconds / (WINDOW + 0.25 + 0.04) * CALLS
    faults = ", ".join(f"{count} {fault}" for fault, count in sorted(chaos.faults.items()))
    sys.stdout.write(
        f"{kind}: {len(server.arrivals)} requests, most in {WINDOW:g} s: {most} of {CALLS};"
        f" {len(server.arrivals) / bound:.0%} of the bound; {faults}\n"
    )
    return most <= CALLS


def main() -> int:
    """Read the command line, run, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", choices=["sqlite", "redis", "both"], default="both")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        asyncio.run(work(*given.work))
        return 0
    sys.stdout.write(f"syncro_async {__version__}, Python {sys.version.split()[0]}, ")
    sys.stdout.write(f"{os.cpu_count()} cores, seed {given.seed}, {given.seconds:g} s each\n")
    kinds = ["sqlite", "redis"] if given.store == "both" else [given.store]
    results = [asyncio.run(judge(kind, given.seconds, given.seed)) for kind in kinds]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())

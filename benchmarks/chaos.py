"""Breaks processes and stores of one shared budget, and counts every window at a server of its own.

    python -m benchmarks.chaos [--seconds 600] [--seed 1] [--store sqlite|redis|both]

Six processes share one key, with calls of both lanes. Processes are killed, stopped and resumed.
The SQLite file is deleted, whole or without its last writes, or replaced by an older copy. Redis is
emptied, restarted with and without its data, set to older values, stopped for a while, and its
clock steps (with libfaketime, where that is installed). The processes reach it through a proxy that
delays what it passes on, cuts messages in half, and drops connections. At least one process that
has used the store is running whenever the store loses data, as docs/budget.md demands. The server
knows nothing of the client: it counts the requests that arrive, and answers after 5 to 80 ms.

It has to hold that no window, wherever it begins, holds more requests than the limit, and that all
calls end: at the end each process ends the calls that it has begun. Printed are also the faults,
how the calls ended, and the share of the bound that was used in spite of it all. Exits with 1 when
a window holds more, or when a process does not end its calls. Everything stays on the loopback, and
the run stops by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
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
from collections.abc import Callable
from contextlib import AsyncExitStack, closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from benchmarks.proxy import Proxy
from benchmarks.shared_budget import redis_program
from syncro_async import AsyncClient, RateLimit, __version__
from syncro_async.errors import SyncroError
from syncro_async.limiting.protocol import Lane

RATE, TIMEOUT = RateLimit(60, 4.0), 2.0
PROCESSES, CALLERS = 6, 20
# A process that has run for so long has seen the state of the store (s).
SETTLED = 2.0
# Processes that know a state that was lost live so much longer, to report it (s).
REPORTING = 1.5
# How long the last calls of a process may take (s): what others held may have to return first.
ENDING = 30.0
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


async def work(base_url: str, limiter: str) -> None:
    """What one process does: calls until it is told to end, and a line that says how they ended."""
    ends: Counter[str] = Counter()
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    async with AsyncClient(
        "chaos", base_url=base_url, limiter=limiter, rate_limit=RATE, timeout=TIMEOUT
    ) as syncro:

        async def call(lane: Lane, max_wait: float | None) -> None:
            view = syncro.with_options(lane=lane, max_wait=max_wait)
            while not over.is_set():
                try:
                    await view.request("GET", "/x")
                    ends["answered"] += 1
                except SyncroError as error:
                    ends[type(error).__name__] += 1
                await asyncio.sleep(0.01)

        lanes: list[tuple[Lane, float | None]] = [("bulk", None), ("interactive", 3.0)]
        await asyncio.gather(*(call(*lanes[number % 2]) for number in range(CALLERS)))
    sys.stdout.write(json.dumps(ends))


class Server:
    """Counts the requests that arrive, in windows of so many seconds."""

    def __init__(self, dice: random.Random, seconds: float = RATE.seconds) -> None:
        self.arrivals: list[float] = []
        self._dice = dice
        self._seconds = seconds

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, one after the other."""
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await reader.readuntil(b"\r\n\r\n"):
                self.arrivals.append(time.monotonic())
                await asyncio.sleep(self._dice.uniform(0.005, 0.08))
                writer.write(ANSWER)
        writer.close()

    def most_in_a_window(self) -> int:
        """The largest number of arrivals in any window."""
        most = first = 0
        for last, at in enumerate(self.arrivals):
            while self.arrivals[first] <= at - self._seconds:
                first += 1
            most = max(most, last - first + 1)
        return most


class Store(Protocol):
    """A store that can be damaged. `losses` forget something, and `faults` nothing."""

    url: str
    losses: dict[str, Callable[[], None]]
    faults: dict[str, Callable[[], None]]

    def close(self) -> None:
        """End it."""


class SqliteFile:
    """A file that is deleted, and replaced by an older copy."""

    def __init__(self, folder: Path) -> None:
        self._file, self._copy = folder / "budget.db", folder / "copy.db"
        self.url = f"sqlite://{self._file}"
        self.losses = {
            "deleted": lambda: self._delete("budget.db*"),
            "last writes deleted": lambda: self._delete("budget.db-*"),
            "restored": self._restore,
        }
        self.faults = {"saved": self._save}

    def _delete(self, names: str) -> None:
        for name in self._file.parent.glob(names):
            name.unlink(missing_ok=True)

    def _save(self) -> None:
        if self._file.exists():
            with (
                closing(sqlite3.connect(self._file)) as source,
                closing(sqlite3.connect(self._copy)) as target,
            ):
                source.backup(target)

    def _restore(self) -> None:
        if self._copy.exists():
            self._delete("budget.db*")
            shutil.copy(self._copy, self._file)

    def close(self) -> None:
        """Leave nothing open."""


class RedisServer:
    """A Redis that loses its data, has an older state, restarts, hangs, or has another time."""

    def __init__(self, folder: Path, dice: random.Random) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = ""  # that of the proxy
        self._folder = folder
        self._dice = dice
        self._copy: dict[bytes, bytes] = {}
        self._time = folder / "time"
        self._time.write_text("+0")
        self.losses = {
            "flushed": lambda: self._client().flushall(),
            "crashed": lambda: self._restart(keeps=False),
            "restored": self._restore,
        }
        self.faults = {
            "saved": self._save,
            "restarted": lambda: self._restart(keeps=True),
            "hung": self._hang,
        }
        if faketime():
            self.faults["clock steps"] = self._step
        self._start()

    def _start(self) -> None:
        command = [
            redis_program() or "redis-server",
            "--port",
            str(self.port),
            "--save",
            "",
            "--bind",
            "127.0.0.1",
        ]
        time_file = {"FAKETIME_TIMESTAMP_FILE": str(self._time), "FAKETIME_NO_CACHE": "1"}
        only_the_calendar = {"LD_PRELOAD": faketime(), "DONT_FAKE_MONOTONIC": "1"}
        environment = os.environ | ((time_file | only_the_calendar) if faketime() else {})
        self._process = subprocess.Popen(  # noqa: S603 - our own
            command, stdout=subprocess.DEVNULL, cwd=self._folder, env=environment
        )

    def _client(self) -> Any:
        import redis
        from redis.backoff import ConstantBackoff
        from redis.retry import Retry

        return redis.Redis(port=self.port, retry=Retry(ConstantBackoff(0.05), 100))

    def _restart(self, *, keeps: bool) -> None:
        dump = self._folder / "dump.rdb"
        if keeps:
            self._client().save()
        else:
            dump.unlink(missing_ok=True)
        self.close()
        self._start()

    def _hang(self) -> None:
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(self._dice.uniform(0.2, 3.0))
        self._process.send_signal(signal.SIGCONT)

    def _step(self) -> None:
        self._time.write_text(f"{self._dice.uniform(-30.0, 30.0):+.3f}")

    def _save(self) -> None:
        with self._client() as client:
            self._copy = {name: client.dump(name) for name in client.scan_iter()}

    def _restore(self) -> None:
        with self._client() as client, client.pipeline() as steps:
            for name, value in self._copy.items():
                steps.restore(name, 600_000, value, replace=True)
            steps.execute()

    def close(self) -> None:
        """End the server."""
        self._process.kill()
        self._process.wait()


def faketime() -> str:
    """The library that gives programs another time; empty where it is not installed."""
    found = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    return str(next(iter(found), ""))


class Chaos:
    """The processes, and what happens to them and to the store."""

    def __init__(
        self, base_url: str, store: Store, dice: random.Random, ways: dict[str, Callable[[], None]]
    ) -> None:
        self._base_url = base_url
        self._store = store
        self._dice = dice
        self._started: dict[subprocess.Popen[bytes], float] = {}
        self._stopped: dict[subprocess.Popen[bytes], float] = {}
        self._ways = ways
        self.faults: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()

    def start(self) -> None:
        """Start processes until there are as many as there should be."""
        while len(self._started) < PROCESSES:
            command = [sys.executable, "-m", "benchmarks.chaos", "--work", self._base_url]
            process = subprocess.Popen(  # noqa: S603 - this Python
                [*command, self._store.url], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            self._started[process] = time.monotonic()

    async def run(self, seconds: float) -> None:
        """Let things happen for so long."""
        until = time.monotonic() + seconds
        names = [*self._store.losses, *self._store.faults, *self._ways, "killed", *["stopped"] * 3]
        while time.monotonic() < until:
            await asyncio.sleep(self._dice.uniform(0.2, 1.5))
            self._resume(time.monotonic())
            name = self._dice.choice(names)
            if await asyncio.to_thread(self._happens, name):
                self.faults[name] += 1
            self.start()

    def _resume(self, until: float) -> None:
        """Resume the processes whose time has come."""
        for process in [p for p, at in self._stopped.items() if at <= until]:
            process.send_signal(signal.SIGCONT)
            del self._stopped[process]
            self._started[process] = time.monotonic()  # what it knows may be old

    def _happens(self, name: str) -> bool:
        running = [process for process in self._started if process not in self._stopped]
        settled = [p for p in running if time.monotonic() - self._started[p] > SETTLED]
        if name in self._store.losses:
            if settled:
                self._store.losses[name]()
                time.sleep(REPORTING)
            return bool(settled)
        if name in self._store.faults | self._ways:
            # A step of the clock is seen by a process that has another time.
            if settled:
                (self._store.faults | self._ways)[name]()
            return bool(settled)
        if len(settled) > 1:
            process = self._dice.choice(settled)
            if name == "killed":
                process.kill()
                process.communicate()
                del self._started[process]
            else:
                process.send_signal(signal.SIGSTOP)
                # Sometimes for longer than any of its slots can count.
                self._stopped[process] = time.monotonic() + self._dice.choice([0.5, 3.0, 12.0])
        return len(settled) > 1

    async def end(self) -> int:
        """Let all processes end their calls; returns how many did not."""
        self._resume(float("inf"))
        for process in self._started:
            process.terminate()
        stuck = 0
        for process in self._started:
            try:
                said, _ = await asyncio.to_thread(process.communicate, timeout=ENDING)
            except subprocess.TimeoutExpired:
                stuck += 1
                continue
            if process.returncode == 0:
                self.ends.update(json.loads(said))
            elif process.returncode != -signal.SIGTERM:  # that one had not begun to work
                stuck += 1
        return stuck

    def close(self) -> None:
        """End all processes."""
        for process in self._started:
            process.kill()
            process.communicate()


async def judge(kind: str, seconds: float, seed: int) -> bool:
    """Run one store through it; True when the promises hold."""
    server = Server(random.Random(seed))  # noqa: S311 - no secret
    dice = random.Random(seed)  # noqa: S311 - no secret
    ways: dict[str, Callable[[], None]] = {}
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store: Store = SqliteFile(folder)
        if kind == "redis":
            store = RedisServer(folder, dice)
            delays = random.Random(seed)  # noqa: S311 - no secret
            delay = partial(delays.uniform, 0.0, 0.01)
            proxy = Proxy(store.port, delay, delay)
            port = await listen(stack, proxy)
            store.url, ways = (
                f"redis://127.0.0.1:{port}/0",
                {"cut off": lambda: proxy.cut(dice.randint(1, 8))},
            )
        stack.callback(store.close)
        port = await listen(stack, server)
        chaos = Chaos(f"http://127.0.0.1:{port}", store, dice, ways)
        stack.callback(chaos.close)
        chaos.start()
        began = time.monotonic()
        await chaos.run(seconds)
        bound = (time.monotonic() - began) / (RATE.hold_seconds + 0.04) * RATE.calls
        arrived = len(server.arrivals)
        stuck = await chaos.end()
    most = server.most_in_a_window()
    sys.stdout.write(
        f"{kind}: {arrived} requests, most in {RATE.seconds:g} s: {most} of {RATE.calls};"
        f" {arrived / bound:.0%} of the bound; {stuck} processes did not end\n"
        f"  faults: {in_words(chaos.faults)}\n  calls: {in_words(chaos.ends)}\n"
    )
    return most <= RATE.calls and not stuck


async def listen(stack: AsyncExitStack, serve: Any) -> int:
    """Serve on a free port until the stack ends; returns the port."""
    listening = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
    stack.callback(listening.close)
    port: int = listening.sockets[0].getsockname()[1]
    return port


def in_words(counts: Counter[str]) -> str:
    """The counts, each with its name."""
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


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
    sys.stdout.write(f"{os.cpu_count()} cores, seed {given.seed}, {given.seconds:g} s each, ")
    sys.stdout.write("libfaketime\n" if faketime() else "no libfaketime: no clock steps\n")
    kinds = ["sqlite", "redis"] if given.store == "both" else [given.store]
    results = [asyncio.run(judge(kind, given.seconds, given.seed)) for kind in kinds]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())

"""A server of many accounts in a process of its own, which counts who asks for what.

Each account is a sandbox with a key, leads and a rate limit of its own. For each request the server
finds the process group that sent it, by the socket, so that it can tell two runs of one account
apart without being told anything by a client.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from syncro_async.sandbox import FULL_KEY, SUSPENDED_KEY, Sandbox, serving

_ESTABLISHED = "01"


class Asked(NamedTuple):
    """One request: when it came, for which account, from which process group, and its answer."""

    at: float
    account: str
    group: int | None
    method: str
    path: str
    status: int


class Settings(NamedTuple):
    """The accounts: the key and the number of leads of each, and those that are refused."""

    keys: dict[str, str]
    leads: dict[str, int]
    revoked: frozenset[str] = frozenset()
    suspended: frozenset[str] = frozenset()
    minute: float = 60.0


class ManyAccounts:
    """The ASGI application in front of one sandbox for each account."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._account_of = {key.encode(): name for name, key in settings.keys.items()}
        self._sandboxes: dict[str, Sandbox] = {}
        # For each connection the address of its other end, and the group. The object is kept, so
        # that no later connection has the same one; ports come again.
        self._groups: dict[int, tuple[object, int | None]] = {}
        # The groups of the connections that were there at the last look and have asked nothing yet.
        self._ports: dict[int, int] = {}
        self._watched: set[int] = set()
        self.log: list[Asked] = []

    def sandbox(self, account: str) -> Sandbox:
        """The sandbox of this account."""
        if account not in self._sandboxes:
            number = len(self._sandboxes)
            count, minute = self._settings.leads[account], self._settings.minute
            self._sandboxes[account] = Sandbox(count, minute=minute, seed=number + 1)
        return self._sandboxes[account]

    @property
    def app(self) -> Any:
        """The application, as `serving` takes it of a sandbox."""
        return self

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer with the sandbox of the account that the key belongs to."""
        headers = dict(scope["headers"])
        account = self._account_of.get(headers.get(b"x-api-key", b""), "")
        key = b"revoked"
        if account and account not in self._settings.revoked:
            suspended = account in self._settings.suspended
            key = (SUSPENDED_KEY if suspended else FULL_KEY).encode()
        headers[b"x-api-key"] = key
        status = 0

        async def note(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        at, group = time.monotonic(), self._group(scope)
        sandbox = self.sandbox(account or next(iter(self._settings.leads)))
        await sandbox.app({**scope, "headers": [*headers.items()]}, receive, note)
        path = scope["path"].partition("/api/v1")[2]
        self.log.append(Asked(at, account, group, scope["method"], path, status))

    def answer(self, question: str) -> Any:
        """What the harness wants to know, or has to say."""
        if question.startswith("watch "):
            return self._watched.add(int(question.removeprefix("watch ")))
        if question == "log":
            return self.log
        if question == "busy":
            now = time.monotonic()
            return {each.group for each in self.log[-200:] if now - each.at < 0.5}
        emails = {}
        for account, sandbox in self._sandboxes.items():
            emails[account] = {key: lead.get("email") for key, lead in sandbox.leads.items()}
        return emails

    def _group(self, scope: Any) -> int | None:
        client = scope["client"]
        if client is None or not self._watched:  # its process was killed meanwhile
            return None
        if id(client) not in self._groups:
            if client[1] not in self._ports:
                self._ports = _groups_by_port(scope["server"][1], self._watched)
            self._groups[id(client)] = (client, self._ports.pop(client[1], None))
        return self._groups[id(client)][1]


def _groups_by_port(server: int, watched: set[int]) -> dict[int, int]:
    """Which of the process groups has the other end of each connection, by its port.

    All connections at once: one look takes long, and the requests wait for it.
    """
    ends = rf":([0-9A-F]{{4}}) [0-9A-F]{{8}}:{server:04X} {_ESTABLISHED} .*"
    rows = re.finditer(ends, Path("/proc/net/tcp").read_text(encoding="ascii"))
    ports = {f"socket:[{row[0].split()[8]}]": int(row[1], 16) for row in rows}
    found: dict[int, int] = {}
    for process in filter(str.isdecimal, os.listdir("/proc")):  # noqa: PTH208 - faster
        with suppress(OSError):  # a process may end while it is looked at
            group = os.getpgid(int(process))
            if group in watched:
                found |= {ports[each]: group for each in _open_files(process) if each in ports}
    return found


def _open_files(process: str) -> Iterator[str]:
    files = f"/proc/{process}/fd"
    for name in os.listdir(files):  # noqa: PTH208 - faster
        with suppress(OSError):  # it may be closed while it is looked at
            yield os.readlink(f"{files}/{name}")  # noqa: PTH115 - faster


class FleetServer:
    """The server in its process: its URL and what it has counted."""

    def __init__(self, pipe: Connection[Any, Any]) -> None:
        self._pipe = pipe
        self.url: str = pipe.recv()

    def log(self) -> list[Asked]:
        """Every request, in the order of the answers."""
        return self._ask("log")  # type: ignore[no-any-return]

    def watch(self, group: int) -> None:
        """Tell requests of this process group from those of others, from now on."""
        self._ask(f"watch {group}")

    def busy(self) -> set[int]:
        """The process groups that have sent a request in the last half second."""
        return {group for group in self._ask("busy") if group is not None}

    def emails(self) -> dict[str, dict[int, str | None]]:
        """The email of each lead, by account and id."""
        return self._ask("emails")  # type: ignore[no-any-return]

    def _ask(self, question: str) -> Any:
        self._pipe.send(question)
        return self._pipe.recv()


@contextmanager
def fleet_server(settings: Settings) -> Iterator[FleetServer]:
    """The server, for as long as the block runs."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there, settings), daemon=True)
    process.start()
    there.close()
    try:
        yield FleetServer(here)
    finally:
        here.close()
        process.join(10.0)


def serve(pipe: Connection[Any, Any], settings: Settings) -> None:
    """Run in the other process until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.setpgrp()
    accounts = ManyAccounts(settings)
    for account in settings.leads:
        accounts.sandbox(account)
    gc.freeze()
    answer: Callable[[str], Any] = accounts.answer
    with suppress(EOFError, OSError), serving(accounts) as url:  # type: ignore[arg-type]
        pipe.send(url)
        while question := pipe.recv():
            pipe.send(answer(question))

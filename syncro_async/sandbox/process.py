"""Serves a sandbox from a process of its own, so that it takes no time from whoever asks it."""

from __future__ import annotations

import gc
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from syncro_async.sandbox.app import Sandbox
from syncro_async.sandbox.server import serving

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_ANSWERS: dict[str, Callable[[Sandbox], Any]] = {
    "refused": lambda sandbox: sandbox.refused,
    "overdrawn": lambda sandbox: sandbox.overdrawn,
    "emails": lambda sandbox: [lead.get("email") for lead in sandbox.leads.values()],
}
# How long the end of the block waits for the other process to end (s).
_PATIENCE = 10.0


class SandboxProcess:
    """A sandbox in another process: where it is, and what it has counted so far."""

    def __init__(self, line: Connection[Any, Any]) -> None:
        self._pipe = line
        self.url: str = self._receive()

    def refused(self) -> int:
        """How many requests it has answered with 429. Raises `OSError` when it has gone."""
        count: int = self._ask("refused")
        return count

    def overdrawn(self) -> int:
        """How many of them because the rate limit's window was full. Raises `OSError` likewise."""
        count: int = self._ask("overdrawn")
        return count

    def emails(self) -> list[str | None]:
        """The email of each lead it has, in the order of their ids. Raises `OSError` likewise."""
        emails: list[str | None] = self._ask("emails")
        return emails

    def _ask(self, what: str) -> Any:
        with suppress(OSError):  # what it cannot be asked it cannot answer, which is said below
            self._pipe.send(what)
        return self._receive()

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except (EOFError, OSError) as error:
            raise OSError("the sandbox's process has ended by itself") from error


@contextmanager
def serving_in_process(**settings: Any) -> Iterator[SandboxProcess]:
    """Serve a `Sandbox(**settings)` on loopback until the block ends.

    Client and server in one process share its interpreter lock, and the server's work would be
    measured as the client's. The settings must be picklable, so it keeps the system's clock.
    Raises `OSError` when the other process ends by itself.
    """
    # A forked copy would inherit this process's threads and sockets; a spawned one starts clean.
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve_until_closed, args=(there, settings), daemon=True)
    process.start()
    there.close()
    try:
        yield SandboxProcess(here)
    finally:
        here.close()
        process.join(_PATIENCE)


def serve_until_closed(line: Connection[Any, Any], settings: dict[str, Any]) -> None:
    """The other process: say the URL, then answer what is asked of the sandbox."""
    # A terminal sends Ctrl-C to both processes; the one that asks decides for both.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sandbox = Sandbox(**settings)
    # The leads stay, all of them: nothing is gained by looking through them again and again.
    gc.freeze()
    with suppress(EOFError, OSError), serving(sandbox) as url:
        line.send(url)
        while what := line.recv():
            line.send(_ANSWERS[what](sandbox))

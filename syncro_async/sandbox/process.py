"""Serves a sandbox in a separate process, so that the client keeps its CPU time."""

from __future__ import annotations

import gc
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from syncro_async.sandbox.app import Sandbox
from syncro_async.sandbox.server import serving

_ANSWERS: dict[str, Callable[[Sandbox], Any]] = {
    "refused": lambda sandbox: sandbox.refused,
    "overdrawn": lambda sandbox: sandbox.overdrawn,
    "emails": lambda sandbox: [lead.get("email") for lead in sandbox.leads.values()],
}
# The maximum wait for the end of the other process (s).
_JOIN_TIMEOUT = 10.0


class Pipe(Protocol):
    """One end of a pipe between two processes; its class differs between systems."""

    def send(self, message: Any, /) -> None:
        """Send a message."""

    def recv(self) -> Any:
        """Wait for a message. Raises `EOFError` when the other end is closed."""

    def close(self) -> None:
        """Close this end."""


class SandboxProcess:
    """A sandbox in another process: its URL and its counters.

    `url` is the base URL, `http://…/api/v1`.

        from syncro_async.sandbox import FULL_KEY, serving_in_process

        with serving_in_process(leads=10) as sandbox:
            async with AsyncClient(FULL_KEY, base_url=sandbox.url) as syncro:
                await syncro.leads.get(1)
            assert sandbox.refused() == 0
    """

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self.url: str = self._receive()

    def refused(self) -> int:
        """The number of 429 responses. Raises `OSError` when the process has ended."""
        count: int = self._query("refused")
        return count

    def overdrawn(self) -> int:
        """The number of 429 responses because the window was full.

        Raises `OSError` when the process has ended.
        """
        count: int = self._query("overdrawn")
        return count

    def emails(self) -> list[str | None]:
        """The email of each lead, in the order of the ids.

        Raises `OSError` when the process has ended.
        """
        emails: list[str | None] = self._query("emails")
        return emails

    def _query(self, name: str) -> Any:
        with suppress(OSError):  # `_receive` reports the closed pipe
            self._pipe.send(name)
        return self._receive()

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except (EOFError, OSError) as error:
            raise OSError("the sandbox's process has ended unexpectedly") from error


@contextmanager
def serving_in_process(**settings: Any) -> Iterator[SandboxProcess]:
    """Serve a sandbox from another process until the block ends.

    In one process, client and server share the interpreter lock, and a measurement of the client
    includes the server's work. `settings`: the parameters of `Sandbox`. They must be picklable, so
    the sandbox uses the system's clock. Raises `OSError` when the other process ends unexpectedly.
    """
    # A forked process inherits threads and sockets of this one; a spawned process does not.
    context = multiprocessing.get_context("spawn")
    parent_end, child_end = context.Pipe()
    process = context.Process(target=serve_until_closed, args=(child_end, settings), daemon=True)
    process.start()
    child_end.close()
    try:
        yield SandboxProcess(parent_end)
    finally:
        parent_end.close()
        process.join(_JOIN_TIMEOUT)


def serve_until_closed(pipe: Pipe, settings: dict[str, Any]) -> None:
    """Run in the other process: send the URL, then answer queries until the pipe is closed."""
    # A terminal sends Ctrl-C to both processes; the parent process decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sandbox = Sandbox(**settings)
    # The leads stay in memory, so the garbage collector does not have to scan them.
    gc.freeze()
    with suppress(EOFError, OSError), serving(sandbox) as url:
        pipe.send(url)
        while name := pipe.recv():
            pipe.send(_ANSWERS[name](sandbox))

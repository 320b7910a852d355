"""Serves a sandbox from a process of its own, so that it takes no time from whoever asks it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from syncro_async.sandbox.sandbox import Sandbox
from syncro_async.sandbox.serve import serving


class SandboxElsewhere:
    """A sandbox in another process: where it is, and what it has counted so far."""

    def __init__(self, url: str, line: Connection) -> None:
        self.url = url
        self._line = line

    def refused(self) -> int:
        """How many requests it has answered with 429."""
        self._line.send("refused?")
        count: int = self._line.recv()
        return count


@contextmanager
def serving_elsewhere(**settings: Any) -> Iterator[SandboxElsewhere]:
    """Serve a `Sandbox(**settings)` on loopback until the block ends.

    The settings must be picklable, so it keeps the system's clock. Raises `OSError` when the
    other process ends before it listens.
    """
    # A forked copy would inherit this process's threads and sockets; a spawned one starts clean.
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, settings), daemon=True)
    process.start()
    there.close()
    try:
        yield SandboxElsewhere(_first_word(here), here)
    finally:
        here.close()  # the other process takes the end of the line for the end of its work
        process.join()


def _first_word(line: Connection) -> str:
    try:
        url: str = line.recv()
    except EOFError:
        raise OSError("the sandbox's process ended before it listened") from None
    return url


def _serve(line: Connection, settings: dict[str, Any]) -> None:
    sandbox = Sandbox(**settings)
    with serving(sandbox) as url:
        line.send(url)
        try:
            while line.recv():
                line.send(sandbox.refused)
        except EOFError:
            return

"""Ways to run the command in a test: in this process, or as a user does, in one of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

import syncro_async
from syncro_async.sandbox import Sandbox

_PROGRESS = re.compile(r"(import|export|sync) \w+: +\d+%\|")
_ENTRY = "from syncro_async.cli import main; sys.exit(main())"


class Ran(NamedTuple):
    """How a command ended, and what it wrote where."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]
Serve = Callable[[Sandbox], str]


def start(
    *words: str, stderr: int | IO[Any] = subprocess.PIPE, without: str = "nothing"
) -> subprocess.Popen[str]:
    """The command in a process of its own; the current folder and the environment are ours.

    `without` names a library that cannot be imported there, as if it were not installed.
    """
    command = [sys.executable, "-c", f"import sys; sys.modules[{without!r}] = None; {_ENTRY}"]
    # The package may be tested from its source, without being installed.
    environment = {**os.environ, "PYTHONPATH": str(Path(syncro_async.__file__).parents[1])}
    return subprocess.Popen(
        [*command, *words], stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment
    )


def said(err: str) -> list[str]:
    """The lines on stderr, without those that tell the progress of a job."""
    return [line for line in err.splitlines() if not _PROGRESS.match(line)]


def finish(process: subprocess.Popen[str]) -> Ran:
    """Wait for the end of a started command."""
    out, err = process.communicate(timeout=50)
    return Ran(process.returncode, out, err)


def lines(path: Path) -> list[str]:
    """The lines of a text file."""
    return path.read_text(encoding="utf-8").splitlines()


def names(folder: Path) -> list[str]:
    """What is in a folder, hidden files included."""
    return sorted(path.name for path in folder.iterdir())

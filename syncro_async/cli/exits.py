"""Exit codes, and the line on stderr with the reason."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

from syncro_async.cli.words import reason_of
from syncro_async.errors import ConfigurationError, SyncroError, without_keys

_LIBRARIES = {"cli": {"typer", "rich"}, "sandbox": {"starlette", "uvicorn"}}


@contextmanager
def extra(name: Literal["cli", "sandbox"]) -> Iterator[None]:
    """Around imports: a missing extra becomes a `CommandFailedError` with the install line."""
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in _LIBRARIES[name]:
            raise
        raise CommandFailedError(f'this needs: pip install "syncro-async[{name}]"') from error


_NO_KEY = "no API key"
_WITHOUT_A_KEY = (
    "(to try the command without an account: run syncro sandbox, and set what it prints)"
)

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130


class WrongUsageError(Exception):
    """The command cannot run with these words; the message says what to change."""


class CommandFailedError(Exception):
    """The command has ended with a result that is not complete or not correct."""


class Exit(NamedTuple):
    """An exit code and its line for stderr."""

    code: int
    line: str


def exit_for(error: BaseException) -> Exit:
    """The exit for an error: 2 for wrong usage, 130 for Ctrl-C, else 1."""
    if isinstance(error, KeyboardInterrupt):
        return Exit(INTERRUPTED, "syncro: interrupted")
    if isinstance(error, BrokenPipeError):
        return Exit(FAILED, "syncro: error: standard output was closed before the end")
    code, reason = _code_and_reason(error)
    return Exit(code, f"syncro: error: {in_one_line(without_keys(reason))}")


def report_exit(error: BaseException, *, debug: bool) -> int:
    """Print the reason on stderr, with `debug` after the traceback, and return the exit code."""
    code, line = exit_for(error)
    if isinstance(error, BrokenPipeError):
        _stop_writing_to_stdout()
    if debug:
        say("".join(traceback.format_exception(error)).removesuffix("\n"))
    say(line)
    return code


def say(line: str) -> None:
    """Print one line on stderr, without API keys; only results go to stdout."""
    sys.stderr.write(f"{without_keys(line)}\n")
    sys.stderr.flush()


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Inside it a warning is one line on stderr; Python would add a line of this package's code."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        say(f"syncro: warning: {in_one_line(str(message))}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def in_one_line(text: str) -> str:
    """The text without line breaks and terminal controls, which a server may have sent."""
    return "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))


def _code_and_reason(error: BaseException) -> tuple[int, str]:
    # An error of the parser: typer has moved its class between releases, but not this method.
    describe = getattr(error, "format_message", None)
    if describe is not None:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "syncro"
        return WRONG_USAGE, f"{describe()} (see {command} --help)"
    if isinstance(error, WrongUsageError | ConfigurationError):
        reason = reason_of(error)
        return WRONG_USAGE, f"{reason} {_WITHOUT_A_KEY}" if _NO_KEY in reason else reason
    if isinstance(error, SyncroError | CommandFailedError):
        return FAILED, reason_of(error)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        return FAILED, f"{where}{error.strerror}"
    return FAILED, f"{type(error).__name__}: {error} (syncro --debug … shows where)"


def _stop_writing_to_stdout() -> None:
    """Discard the buffered output, which the interpreter would flush and fail at its exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)

"""Says which extra to install when a command needs a library that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from syncro_async.cli.endings import CommandFailedError

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

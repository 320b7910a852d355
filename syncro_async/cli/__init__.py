"""The entry point of the command `syncro`; without the extra it prints how to install it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from syncro_async.cli.encoding import any_encoding
from syncro_async.cli.exits import CommandFailedError, extra, report_exit


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command `syncro`.

    `argv`: the words after the command's name; those of this process by default. Returns the exit
    code: 0 done, 1 failed, 2 wrong usage, 130 interrupted. Without the extra `cli` it prints on
    stderr how to install it, and returns 1.
    """
    with any_encoding():
        try:
            with extra("cli"):
                from syncro_async.cli.app import run  # noqa: PLC0415  # typer comes with an extra
        except (CommandFailedError, KeyboardInterrupt) as error:
            return report_exit(error, debug=False)
        return run(sys.argv[1:] if argv is None else argv)

"""The command `syncro`: its entry point, which also works (and says why not) without the extra."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from syncro_async.cli.exits import CommandFailedError, extra, report_exit


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command `syncro` with these words (without any: the process's own).

    Returns the exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted. Without the extra
    `cli` it says on stderr how to install it and returns 1.
    """
    try:
        with extra("cli"):
            from syncro_async.cli.app import run  # noqa: PLC0415  # typer comes with an extra
    except (CommandFailedError, KeyboardInterrupt) as error:
        return report_exit(error, debug=False)
    return run(sys.argv[1:] if argv is None else argv)

"""`syncro sandbox`: serves the emulated API on a port until Ctrl-C."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from syncro_async.cli.exits import DONE, extra, say

Window = Literal["fixed", "aligned", "sliding"]
_DEFAULT_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class SandboxArguments:
    """The options of the command."""

    host: str
    port: int
    leads: int
    minute: float
    window: Window
    php_quirks: bool


def serve(arguments: SandboxArguments) -> int:
    """Serve the sandbox until Ctrl-C, which is the normal end and so returns 0.

    Raises `OSError` when the port cannot be opened.
    """
    with extra("sandbox"):
        from syncro_async.sandbox import (  # noqa: PLC0415  # comes with an extra
            EXPIRED_KEY,
            FULL_KEY,
            LEADS_ONLY_KEY,
            READ_ONLY_KEY,
            SUSPENDED_KEY,
            Sandbox,
            run,
        )
    sandbox = Sandbox(
        arguments.leads,
        minute=arguments.minute,
        window=arguments.window,
        php_quirks=arguments.php_quirks,
    )
    keys = {
        "full": FULL_KEY,
        "read only": READ_ONLY_KEY,
        "leads only": LEADS_ONLY_KEY,
        "expired": EXPIRED_KEY,
        "suspended": SUSPENDED_KEY,
    }

    def announce(url: str) -> None:
        sys.stdout.write("\n".join(_announcement(url, keys, arguments.minute)) + "\n")
        sys.stdout.flush()

    # Ctrl-C may come before `run` waits for it.
    with suppress(KeyboardInterrupt):
        run(sandbox, arguments.host, arguments.port, ready=announce)
    say("syncro: sandbox stopped")
    return DONE


def _announcement(url: str, keys: dict[str, str], minute: float) -> Sequence[str]:
    lines = [f"base URL   {url}"]
    lines += [f"key        {key}  ({kind})" for kind, key in keys.items()]
    if minute != _DEFAULT_MINUTE:
        lines.append(f"a minute   {minute:g} s: rate_limit=RateLimit(60, {minute:g})")
    lines += ["", f"export SYNCRO_BASE_URL={url}", f"export SYNCRO_API_KEY={keys['full']}"]
    return [*lines, "", "Ctrl-C stops it."]

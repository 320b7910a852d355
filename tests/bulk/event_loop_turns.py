"""Waiting in tests without sleeping."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_MOST = 1_000_000


async def until(holds: Callable[[], object]) -> None:
    """Give other tasks their turns until it holds."""
    for _ in range(_MOST):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to hold")

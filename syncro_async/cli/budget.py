"""`syncro budget`: how the key's budget stands, as a table."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from syncro_async import AsyncClient, Budget
from syncro_async.cli.endings import DONE


def show_budget(base_url: str | None) -> int:
    """Print one snapshot of the budget; nothing is sent."""
    table = Table(show_header=False)
    for row in _rows(asyncio.run(_snapshot(base_url))):
        table.add_row(*row)
    Console(file=sys.stdout).print(table)
    return DONE


async def _snapshot(base_url: str | None) -> Budget:
    async with AsyncClient(base_url=base_url) as client:
        return client.budget()


def _rows(budget: Budget) -> Sequence[tuple[str, str]]:
    return (
        ("limit", str(budget.limit)),
        ("window", f"{budget.window:g} s"),
        ("available", str(budget.available)),
        ("in flight", str(budget.in_flight)),
        ("waiting", str(budget.waiting)),
        ("next free in", f"{budget.next_free_in:.1f} s"),
    )

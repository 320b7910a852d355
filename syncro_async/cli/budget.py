"""`syncro budget`: how the key's budget stands, once or again and again."""

from __future__ import annotations

import asyncio
import math
import os
import sys
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from syncro_async import AsyncClient, Budget, SystemClock
from syncro_async.cli.exits import DONE, say

_OF_THE_PROCESS = "memory://"
_WIDEST = 60
_ALONE = (
    "syncro: note: no limiter is named, so only this command's own calls are counted; name the one"
    " your programs share with --limiter or SYNCRO_LIMITER to see theirs"
)
_PARTS = (("█", "used", "red"), ("▓", "in flight", "yellow"), ("░", "free", "green"))


@dataclass(frozen=True, slots=True)
class Look:
    """What to look at, and for how long: `every` so many seconds, `seconds` in all."""

    base_url: str | None
    limiter: str | None
    watch: bool
    every: float
    seconds: float | None


def show_budget(look: Look) -> int:
    """Print the budget, once or until Ctrl-C; no request is sent and no slot taken."""
    console = Console(file=sys.stdout)
    asyncio.run(_watch(look, console) if look.watch else _show(look, console))
    return DONE


def _client(look: Look) -> AsyncClient:
    client = AsyncClient(base_url=look.base_url, limiter=look.limiter)
    named = look.limiter or os.environ.get("SYNCRO_LIMITER") or _OF_THE_PROCESS
    if named == _OF_THE_PROCESS:
        say(_ALONE)
    return client


async def _show(look: Look, console: Console) -> None:
    async with _client(look) as client:
        console.print(picture(await client.refresh_budget()))


async def _watch(look: Look, console: Console) -> None:
    """Draw it in place on a terminal; elsewhere print a line whenever something has changed."""
    clock = SystemClock()
    until = math.inf if look.seconds is None else clock.monotonic() + look.seconds
    said = ""
    async with _client(look) as client:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                budget = await client.refresh_budget()
                if console.is_terminal:
                    live.update(picture(budget), refresh=True)
                elif (now := line(budget)) != said:
                    said = now
                    sys.stdout.write(f"{said}\n")
                    sys.stdout.flush()
                if clock.monotonic() >= until:
                    return
                await clock.sleep(look.every)


def picture(budget: Budget) -> Group:
    """The window as a bar, and the figures under it."""
    table = Table(show_header=False)
    for row in rows(budget):
        table.add_row(*row)
    return Group(bar(budget), legend(), table)


def bar(budget: Budget) -> Text:
    """The window's slots, a sign each, or fewer signs for a wide window."""
    free = max(0, budget.limit - budget.used - budget.in_flight)
    scale = min(1.0, _WIDEST / budget.limit)
    drawn = Text()
    for (sign, _, colour), slots in zip(_PARTS, (budget.used, budget.in_flight, free), strict=True):
        drawn.append(sign * math.ceil(slots * scale), colour)
    return drawn


def legend() -> Text:
    """What the signs of the bar stand for; beside them it would not fit a terminal of 80."""
    drawn = Text()
    for sign, name, colour in _PARTS:
        drawn.append(f"{sign} ", colour).append(f"{name}  ")
    return drawn


def rows(budget: Budget) -> list[tuple[str, str]]:
    """The figures, each with its name."""
    interactive = budget.waiting - budget.waiting_bulk
    told = [
        ("limit", f"{budget.limit} in {budget.window:g} s"),
        ("available", str(budget.available)),
        ("used", str(budget.used)),
        ("in flight", str(budget.in_flight)),
        ("waiting", f"{interactive} interactive, {budget.waiting_bulk} bulk"),
        ("next free in", f"{budget.next_free_in:.1f} s"),
    ]
    if budget.gate_closed_for:
        told.append(("paused by a 429 for", f"{budget.gate_closed_for:.1f} s"))
    if budget.foreign_estimate:
        told.append(("left to strangers", str(budget.foreign_estimate)))
    return told


def line(budget: Budget) -> str:
    """The counts in one line, without the times, which change with every tick."""
    return (
        f"{budget.used} used, {budget.in_flight} in flight, {budget.available} available of"
        f" {budget.limit}; waiting: {budget.waiting - budget.waiting_bulk} interactive,"
        f" {budget.waiting_bulk} bulk; left to strangers: {budget.foreign_estimate}"
    )

"""`syncro budget`: shows the key's request budget, once or repeatedly."""

from __future__ import annotations

import asyncio
import math
import sys
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from syncro_async import AsyncClient, Budget, SystemClock
from syncro_async.cli.exits import DONE, say
from syncro_async.cli.output import print_json
from syncro_async.cli.session import IN_MEMORY, limiter_url

_WIDEST = 60
_NOTE_NOT_SHARED = (
    "syncro: note: memory:// counts only the calls of this command; to see those of your programs,"
    " give the limiter that they share with --limiter or SYNCRO_LIMITER"
)
_PARTS = (("█", "used", "red"), ("▓", "in flight", "yellow"), ("░", "free", "green"))


@dataclass(frozen=True, slots=True)
class BudgetArguments:
    """The options of the command; `every` and `seconds` (interval and total) are in seconds."""

    base_url: str | None
    limiter: str | None
    watch: bool
    every: float
    seconds: float | None
    as_json: bool = False


def show_budget(arguments: BudgetArguments) -> int:
    """Print the budget, once or until Ctrl-C; this sends no request."""
    console = Console(file=sys.stdout)
    asyncio.run(_watch(arguments, console) if arguments.watch else _show(arguments, console))
    return DONE


def _client(arguments: BudgetArguments) -> AsyncClient:
    limiter = limiter_url(arguments.limiter)
    client = AsyncClient(base_url=arguments.base_url, limiter=limiter)
    if limiter == IN_MEMORY:
        say(_NOTE_NOT_SHARED)
    return client


async def _show(arguments: BudgetArguments, console: Console) -> None:
    async with _client(arguments) as client:
        budget = await client.refresh_budget()
        if arguments.as_json:
            print_json(budget)
        else:
            console.print(picture(budget))


async def _watch(arguments: BudgetArguments, console: Console) -> None:
    """On a terminal update the picture in place; elsewhere print a line after each change."""
    clock = SystemClock()
    last = ""
    async with _client(arguments) as client:
        await client.refresh_budget()  # opens the store, which takes a while the first time
        until = math.inf if arguments.seconds is None else clock.monotonic() + arguments.seconds
        with Live(console=console, auto_refresh=False) as live:
            while True:
                budget = await client.refresh_budget()
                if arguments.as_json:
                    print_json(budget)
                elif console.is_terminal:
                    live.update(picture(budget), refresh=True)
                elif (now := line(budget)) != last:
                    last = now
                    sys.stdout.write(f"{last}\n")
                    sys.stdout.flush()
                if clock.monotonic() >= until:
                    return
                await clock.sleep(arguments.every)


def picture(budget: Budget) -> Group:
    """The window as a bar, and a table below it."""
    table = Table(show_header=False)
    for row in rows(budget):
        table.add_row(*row)
    return Group(bar(budget), legend(), table)


def bar(budget: Budget) -> Text:
    """The slots of the window, one character each, or fewer characters for a large window."""
    free = max(0, budget.limit - budget.used - budget.in_flight)
    scale = min(1.0, _WIDEST / budget.limit)
    drawn = Text()
    for (sign, _, colour), slots in zip(_PARTS, (budget.used, budget.in_flight, free), strict=True):
        drawn.append(sign * math.ceil(slots * scale), colour)
    return drawn


def legend() -> Text:
    """The meaning of the characters; beside the bar it does not fit into 80 columns."""
    drawn = Text()
    for sign, name, colour in _PARTS:
        drawn.append(f"{sign} ", colour).append(f"{name}  ")
    return drawn


def rows(budget: Budget) -> list[tuple[str, str]]:
    """The rows of the table: name and value."""
    interactive = budget.waiting - budget.waiting_bulk
    figures = [
        ("limit", f"{budget.limit} in {budget.window:g} s"),
        ("available", str(budget.available)),
        ("used", str(budget.used)),
        ("in flight", str(budget.in_flight)),
        ("waiting", f"{interactive} interactive, {budget.waiting_bulk} bulk"),
        ("next free in", f"{budget.next_free_in:.1f} s"),
    ]
    if budget.gate_closed_for:
        figures.append(("paused by a 429 for", f"{budget.gate_closed_for:.1f} s"))
    if budget.foreign_estimate:
        figures.append(("reserved for other programs", str(budget.foreign_estimate)))
    return figures


def line(budget: Budget) -> str:
    """The counts in one line, without times, which change permanently."""
    return (
        f"{budget.used} used, {budget.in_flight} in flight, {budget.available} available of"
        f" {budget.limit}; waiting: {budget.waiting - budget.waiting_bulk} interactive,"
        f" {budget.waiting_bulk} bulk; reserved for other programs: {budget.foreign_estimate}"
    )

"""What every question here shares: rounds, medians, bars, and the table they are printed in."""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.util
import os
import platform
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from syncro_async import RateLimit, __version__

# A budget nobody has to wait for; the limiter counts every call all the same.
NO_BUDGET = RateLimit(1_000_000, 1.0)

Work = Callable[[], Awaitable[object]]


class Row(msgspec.Struct, frozen=True):
    """One figure, and what it is held against.

    `noise` is how far the figure moved between rounds: half the distance of its quartiles.
    `bar` is what it should be at most (or at least, with `at_least`), None where none was set.
    """

    question: str
    who: str
    value: float
    unit: str
    noise: float = 0.0
    bar: float | None = None
    at_least: bool = False
    beside: str = ""

    @property
    def verdict(self) -> str:
        """How it stands to its bar: pass, near (within the noise, or 2 %), or miss."""
        if self.bar is None:
            return ""
        over = self.bar - self.value if self.at_least else self.value - self.bar
        if over <= 0:
            return "pass"
        return "near" if over <= max(self.noise, 0.02 * abs(self.bar)) else "miss"

    def cells(self) -> list[str]:
        """The row as the table shows it."""
        bar = "" if self.bar is None else f"{'≥' if self.at_least else '≤'} {self.bar:g}"
        noise = f" ± {shown(self.noise)}" if self.noise else ""
        # Of a share what is missing is of interest.
        value = f"{self.value:.2f}" if self.unit == "%" else shown(self.value)
        figure = f"{value}{noise} {self.unit}".strip()
        return [self.question, self.who, figure, bar, self.verdict, self.beside]


class Report(msgspec.Struct):
    """What a question came to: rows for the table, and series for pictures, by name.

    `measured` is the day, and `on` the machine and the versions.
    """

    rows: list[Row]
    series: dict[str, Any] = {}
    measured: str = ""
    on: str = ""


HEAD = ("question", "who", "figure", "bar", "", "beside")


def table(rows: Iterable[Row]) -> str:
    """The rows in Markdown."""
    lines = [HEAD, ("---",) * len(HEAD), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def shown(value: float) -> str:
    """A figure with three digits that mean something."""
    if value == round(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return (
        f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
    )


# ---------------------------------------------------------------------------------------- measuring


async def cpu(work: Work) -> float:
    """What one round costs this process (s of CPU)."""
    gc.collect()
    began = time.process_time()
    await work()
    return time.process_time() - began


async def alternating(
    works: Mapping[str, Work], rounds: int, warm_up: Mapping[str, Work] | None = None
) -> dict[str, list[float]]:
    """The cost of each in every round (s of CPU), the first round, which warms up, left out.

    All take turns, so that whatever slows the machine down slows all of them. `warm_up` goes
    before each turn and is not counted: connections that nobody uses are closed within seconds.
    """
    costs: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            if warm_up:
                await warm_up[name]()
            cost = await cpu(work)
            if number:
                costs[name].append(cost)
    return costs


def callers(number: int, calls: int, call: Callable[[int], Awaitable[object]]) -> Work:
    """So many callers at once, who make so many calls between them, one after the other each."""

    async def one(first: int) -> None:
        for place in range(first, calls, number):
            await call(1 + place % 200)

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as group:
            for first in range(number):
                group.create_task(one(first))

    async def alone() -> None:
        await one(0)

    return alone if number == 1 else all_of_them


def ratios(costs: Sequence[float], of: Sequence[float]) -> list[float]:
    """The one cost against the other, round by round."""
    return [cost / base for cost, base in zip(costs, of, strict=True)]


def middle(values: Sequence[float]) -> tuple[float, float]:
    """The median, and half the distance of the quartiles."""
    if len(values) < 2:
        return values[0], 0.0
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return median, (high - low) / 2


def resident() -> float:
    """How much memory this process holds right now (MB), as Linux tells it."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


def there(*packages: str) -> bool:
    """Whether these can be imported."""
    return all(importlib.util.find_spec(package) is not None for package in packages)


# ----------------------------------------------------------------------------------------- programs


def machine(*distributions: str) -> str:
    """What is measured, and on what."""
    parts = [
        f"Python {platform.python_version()}",
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        f"syncro_async {__version__}",
    ]
    for name in ("httpx", "httpcore", "msgspec", "anyio", *distributions):
        try:
            parts.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            parts.append(f"no {name}")
    return ", ".join(parts)


def program(
    about: str | None,
    ask: Callable[[bool], Report],
    *distributions: str,
    arguments: Sequence[str] | None = None,
) -> int:
    """Ask the question, print its rows, and write them where `--json` says."""
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="tiny numbers, to see that it runs")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    given = parser.parse_args(arguments)
    began = time.perf_counter()
    report = ask(given.quick)
    sys.stdout.write(f"{machine(*distributions)}\n\n{table(report.rows)}\n\n")
    sys.stdout.write(f"That took {time.perf_counter() - began:.0f} s.\n")
    if given.json:
        given.json.write_bytes(msgspec.json.encode(report))
    return 0

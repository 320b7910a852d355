"""Asks what one `leads.get` costs over each HTTP library, against httpx as pip installs it.

    python -m benchmarks.engines [--quick]

The other side is `httpx.AsyncClient.get` and a msgspec decoder, in a process with nothing but what
`pip install httpx msgspec` installs. That leaves out sniffio, which this package requires: without
it httpx looks for it in vain, several times in each call. Rounds take turns. Cost is the CPU time
of the process that makes the calls. No budget stands in the way. One caller is answered at once,
several after 20 ms.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from importlib.metadata import distribution
from pathlib import Path
from typing import IO, Any, cast

from benchmarks.calls import LATENCY, ours, over_aiohttp
from benchmarks.harness import Report, Row, callers, cpu, middle, program, there
from benchmarks.loopback import serving
from syncro_async.sandbox import FULL_KEY

QUESTION = "CPU a `leads.get` against what `pip install httpx msgspec` gives"
OURS = "syncro_async"
HTTPX2, AIOHTTP = "syncro_async over httpx2", "syncro_async over httpx-aiohttp"
SIZES = {1: 400, 500: 500}
ROUNDS = 7
BARS = {(1, OURS): 0.76, (1, HTTPX2): 0.74, (1, AIOHTTP): 0.45}


def needed(*names: str) -> set[str]:
    """These distributions and all that they require without extras."""
    found: set[str] = set()
    left = [*names]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            required = distribution(name).requires or []
            left += [re.split(r"[^\w.-]", each)[0] for each in required if ";" not in each]
    return found


@contextmanager
def plain_install() -> Iterator[Path]:
    """A folder with the packages that `pip install httpx msgspec` installs, and no others."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each in needed("httpx", "msgspec") | {"typing_extensions"}:
            held = distribution(each)
            tops = {file.parts[0] for file in held.files or () if not file.is_absolute()}
            for top in tops - {"..", "__pycache__"}:
                folder.joinpath(top).symlink_to(cast("Path", held.locate_file(top)))
        yield folder


@contextmanager
def raw(url: str) -> Iterator[Callable[[int, int], float]]:
    """Httpx and msgspec in a process of their own: CPU (s) of so many calls by so many callers."""
    program = Path(__file__).with_name("plain_httpx.py")
    with plain_install() as folder:
        command = [sys.executable, "-S", str(program), str(folder), url, FULL_KEY]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:  # noqa: S603
            said, heard = cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)

            def round_of(number: int, calls: int) -> float:
                said.write(f"{number} {calls}\n")
                said.flush()
                return float(heard.readline())

            try:
                yield round_of
            finally:
                said.close()


def clients(url: str) -> dict[str, Callable[[], Any]]:
    """This package over each library that is installed."""
    found: dict[str, Callable[[], Any]] = {OURS: lambda: ours(url)}
    if there("httpx2"):
        found[HTTPX2] = lambda: ours(url, engine="httpx2")
    if there("httpx_aiohttp"):
        found[AIOHTTP] = lambda: ours(url, transport=over_aiohttp())
    return found


async def measure(url: str, number: int, calls: int, rounds: int) -> dict[str, list[float]]:
    """The cost of each against the plain installation, round by round."""
    costs: dict[str, list[float]] = {}
    async with AsyncExitStack() as stack:
        plain = stack.enter_context(raw(url))
        gets = {n: await stack.enter_async_context(make()) for n, make in clients(url).items()}
        for turn in range(rounds + 1):
            base = plain(number, calls)
            for name, get in gets.items():
                await callers(number, number, get)()
                cost = await cpu(callers(number, calls, get))
                if turn:
                    costs.setdefault(name, []).append(cost / base)
    return costs


def ask(quick: bool) -> Report:
    """Measure, and hold it against the bars."""
    sizes, rounds = ({1: 5, 10: 10}, 1) if quick else (SIZES, ROUNDS)
    rows = []
    for number, calls in sizes.items():
        latency = LATENCY if number > 1 else 0.0
        with serving(latency=(latency, latency)) as server:
            found = asyncio.run(measure(server.url, number, calls, rounds))
        for name, costs in found.items():
            ratio, noise = middle(costs)
            who = f"{name}, {number} caller{'s' * (number > 1)}"
            rows.append(Row(QUESTION, who, ratio, "×", noise, BARS.get((number, name))))
    return Report(rows)


if __name__ == "__main__":
    sys.exit(program(__doc__, ask, "httpx2", "httpx-aiohttp", "aiohttp", "sniffio"))

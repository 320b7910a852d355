"""Has contestants work in processes of their own, and measures them there."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.contestants import ALL, ByHandDivided, Contestant, Dlt, Job, Ours
from benchmarks.harness import callers, cpu, resident
from benchmarks.loopback import Arrival, serving

LATENCY = (0.02, 0.02)
LIMIT_LATENCY = (0.01, 0.06)
# So many contestants are at a limit at the same time, each at its own; it leaves them much to wait.
SIDE_BY_SIDE = 4
PATIENCE = 120.0
_CONTEXT = multiprocessing.get_context("spawn")

# --------------------------------------------------------------------------------------------- cost

# What a worker process has opened: it works on it until it is ended.
_runner: asyncio.Runner | None = None
_open: dict[str, Contestant] = {}


def _begin(name: str, hosts: dict[str, str]) -> None:
    global _runner  # noqa: PLW0603 - a worker process has one
    _runner = asyncio.Runner()
    for what, host in hosts.items():
        _open[what] = _runner.run(ALL[name](Job(host)).__aenter__())


def _cost(number: int, calls: int) -> float:
    contestant = _open["slow" if number > 1 else "quick"]

    async def work() -> float:
        await callers(number, number, contestant.get)()
        return await cpu(callers(number, calls, contestant.get))

    assert _runner is not None  # noqa: S101 - `_begin` comes first
    return _runner.run(work()) / calls


def costs(names: Sequence[str], sizes: dict[int, int], rounds: int) -> dict[str, Any]:
    """Seconds of CPU a call, by who and by the number of callers; they take turns.

    One caller is answered at once, several after 20 ms. Who makes one call at a time is asked for
    one caller only.
    """
    with ExitStack() as stack:
        quick = stack.enter_context(serving())
        slow = stack.enter_context(serving(latency=LATENCY))
        pools = {name: stack.enter_context(_CONTEXT.Pool(1)) for name in names}
        for name, pool in pools.items():
            pool.apply(_begin, (name, {"quick": quick.host, "slow": slow.host}))
        found: dict[str, dict[int, list[float]]] = {name: {} for name in names}
        for _, (number, calls), name in product(range(rounds), sizes.items(), names):
            if number == 1 or ALL[name] is not Dlt:
                spent = pools[name].apply(_cost, (number, calls))
                found[name].setdefault(number, []).append(spent)
        return found


# ------------------------------------------------------------------------------------- at the limit


@dataclass(frozen=True)
class Limited:
    """What became of calls at a limit; `arrivals` are the server's."""

    name: str
    processes: int
    calls: int
    seconds: float
    lost: int
    arrivals: list[Arrival]
    window: float

    @property
    def refused(self) -> int:
        """The 429s, as the server counted them."""
        return sum(arrival.refused for arrival in self.arrivals)

    def series(self) -> dict[str, Any]:
        """The same for a picture, from the first arrival on."""
        began = self.arrivals[0].at
        seen = [(arrival.at - began, arrival.refused) for arrival in self.arrivals]
        return {
            "who": self.name,
            "processes": self.processes,
            "seconds": round(self.seconds, 2),
            "lost": self.lost,
            "windows": windows(seen, self.window),
        }


def windows(arrivals: Iterable[tuple[float, bool]], length: float) -> list[tuple[float, int, int]]:
    """The server's windows: when each began, and how many calls it let through and refused."""
    found: list[tuple[float, int, int]] = []
    for at, refused in arrivals:
        # A window opens with the first call that is let through after the last one's end.
        if not found or (at >= found[-1][0] + length and not refused):
            found.append((round(at, 3), 0, 0))
        began, passed, turned_away = found[-1]
        found[-1] = (began, passed + (not refused), turned_away + refused)
    return found


def _work(name: str, job: Job, numbers: Sequence[int], start: Any, ends: Any) -> None:
    async def work() -> tuple[float, float, int]:
        async with ALL[name](job) as contestant:
            start.wait(PATIENCE)
            began = time.monotonic()
            lost = await contestant.lost(numbers)
            return began, time.monotonic(), lost

    ends.put(asyncio.run(work()))


def _run(name: str, processes: int, calls: int, limit: int, window: float) -> Limited:
    start, queue = _CONTEXT.Barrier(processes), _CONTEXT.Queue()
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(calls=limit, window=window, latency=LIMIT_LATENCY) as server,
    ):
        shared = f"sqlite://{Path(folder).resolve()}/budget.db" if processes > 1 else None
        job = Job(server.host, limit, window, processes, shared)
        each = calls // processes
        workers = [
            _CONTEXT.Process(
                target=_work, args=(name, job, range(1, each + 1), start, queue), daemon=True
            )
            for _ in range(processes)
        ]
        for worker in workers:
            worker.start()
        ends: list[tuple[float, float, int]] = [queue.get(timeout=PATIENCE) for _ in workers]
        for worker in workers:
            worker.join()
        seconds = max(end for _, end, _ in ends) - min(begin for begin, _, _ in ends)
        lost = sum(lost for _, _, lost in ends)
        return Limited(name, processes, each * processes, seconds, lost, server.arrivals(), window)


def at_the_limit(
    names: Sequence[str], processes: Sequence[int], calls: int, limit: int, window: float
) -> list[Limited]:
    """That many calls by each of them, in that many processes; a share of one is the whole."""
    wanted = [
        (name, number)
        for number, name in product(processes, names)
        if number > 1 or ALL[name] is not ByHandDivided
    ]
    with ThreadPoolExecutor(SIDE_BY_SIDE) as side_by_side:
        runs = [side_by_side.submit(_run, *who, calls, limit, window) for who in wanted]
        return [run.result() for run in runs]


# -------------------------------------------------------------------------------- streams and walks


def _stream(name: str, host: str, settle: int) -> tuple[float, float]:
    async def work() -> tuple[float, float]:
        async with ALL[name](Job(host)) as contestant:
            most, first, count = 0.0, 0.0, 0
            gc.collect()
            began = time.process_time()
            async for _ in contestant.leads():
                count += 1
                if count % settle == 0:
                    most = max(most, resident())
                    first = first or most
            return (time.process_time() - began) / count, most - first

    return asyncio.run(work())


def streamed(name: str, leads: int) -> tuple[float, float]:
    """Seconds of CPU a lead, and how far a process of its own grew after the second page (MB)."""
    with serving(leads=leads) as server, _CONTEXT.Pool(1) as pool:
        return pool.apply(_stream, (name, server.host, 400))


def missed(name: str, leads: int = 4_000, deleted: int = 10) -> Iterator[tuple[str, int]]:
    """How many of the leads that stayed were not seen, by the way that was gone."""
    ways: dict[str, Any] = {name: _ids}
    if ALL[name] is Ours:
        ways = {f"{name}, `leads.list`": _ids, f"{name}, `bulk.export_leads`": _exported}
    for way, walk in ways.items():
        with serving(leads=leads, vanishing=deleted) as server:
            seen = asyncio.run(walk(name, server.host))
            if seen:
                yield way, len(set(server.ids()) - seen)


async def _ids(name: str, host: str) -> set[int]:
    async with ALL[name](Job(host)) as contestant:
        ids: set[int] = await contestant.ids()
        return ids


async def _exported(name: str, host: str) -> set[int]:
    async with ALL[name](Job(host)) as contestant:
        exported: set[int] = await contestant.exported()
        return exported

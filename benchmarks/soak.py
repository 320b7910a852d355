"""Keeps a client at work against a sandbox in trouble, and judges what came of every call.

    python benchmarks/soak.py [--seconds 600] [--seed 1]

The sandbox runs in a process of its own, on a real loopback socket, and counts 100 requests in
any second. One request in twenty meets trouble: connections reset before or after the work was
done, bodies cut short, answers too late, 5xx in JSON and HTML, 429s and 503s with every kind of
Retry-After, pages where JSON belongs. One call in twenty is cancelled at a random moment.

It has to hold that

- every call ends, with a result, one of our errors, or its cancellation;
- every write was done once, or not at all, or its outcome was reported as unknown: with
  `OutcomeUnknownError` or `UnexpectedResponseError`, and of a cancelled one with `CallAbandoned`;
- the server never refuses a request because its window is full;
- nothing is left: no slot, no task, no word of the event loop's;
- memory stays within 5 MB of its size after a minute, or after a third of a shorter run (20 s +).

Exits with 1 when something does not hold. It stops by itself, also when the client hangs.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import gc
import logging
import os
import platform
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from syncro_async import AsyncClient, RateLimit, RetryPolicy, __version__
from syncro_async.errors import (
    OutcomeUnknownError,
    SyncroError,
    UnexpectedResponseError,
)
from syncro_async.events import CallAbandoned, Event, RequestSent
from syncro_async.sandbox import (
    FULL_KEY,
    HAZARDS,
    OPEN_STAGE_ID,
    PIPELINE_ID,
    SandboxProcess,
    serving_in_process,
)

RATE = RateLimit(100, 1.0)
WORKERS = 40
TIMEOUT = 2.0
RETRY = RetryPolicy(attempts=4, base_delay=0.05, max_delay=1.0, max_elapsed=30.0)
SAMPLE_LEADS, SHARE = 300, 0.05
LONGEST_RUN_OUT = 90.0
MOST_WRITES = 500_000
MEMORY_SLACK, SHORTEST_FOR_MEMORY = 5.0, 20.0

# What is known of a write.
BEGUN, DONE, NOT_DONE, UNKNOWN, LEFT = range(5)
# The email of each write is its number, so that the server can be asked about it.
EMAIL = "{}@soak.example"
LEAD: dict[str, Any] = {"name": "Soak", "pipeline_id": PIPELINE_ID, "stage_id": OPEN_STAGE_ID}

number_of_the_write: ContextVar[int] = ContextVar("number_of_the_write")
# The call that is to be cancelled once it is on the wire.
victim: ContextVar[asyncio.Task[object] | None] = ContextVar("victim", default=None)


@dataclass
class Journal:
    """The outcome of every call as its caller saw it; its size never changes."""

    writes: bytearray = field(default_factory=lambda: bytearray(MOST_WRITES))
    reported: bytearray = field(default_factory=lambda: bytearray(MOST_WRITES))
    written: int = 0
    begun: int = 0
    ended: int = 0
    longest: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    oddities: Counter[str] = field(default_factory=Counter)

    def next_write(self) -> int:
        """The number of a write that begins now."""
        number = self.written
        self.written += 1
        number_of_the_write.set(number)
        return number

    def observe(self, event: Event) -> None:
        """Hear of the writes whose callers have gone."""
        if isinstance(event, CallAbandoned) and event.method == "POST":
            self.reported[number_of_the_write.get()] = 1


def known(error: BaseException, *, repeatable: bool) -> int:
    """What a caller knows of a write that raised this."""
    if isinstance(error, asyncio.CancelledError):
        return LEFT
    if isinstance(error, OutcomeUnknownError | UnexpectedResponseError):
        return UNKNOWN
    # Any attempt of an idempotent write may have done it, whatever the last one came to.
    if repeatable and isinstance(error, SyncroError) and error.attempts > 1:
        return UNKNOWN
    return NOT_DONE


@dataclass
class Work:
    """The calls of all workers, until `over`."""

    journal: Journal
    dice: random.Random
    over: float
    client: AsyncClient = field(init=False)

    async def go_on(self) -> None:
        """One worker: call after call."""
        calls = (self.get, self.first_page, self.create, self.upsert)
        while time.monotonic() < self.over and self.journal.written < MOST_WRITES:
            await self._make(self.dice.choice(calls))

    async def _make(self, call: Callable[[], Awaitable[object]]) -> None:
        """Make a call in a task of its own, which may be cancelled at any moment."""
        journal, began = self.journal, time.monotonic()
        journal.begun += 1
        task = asyncio.create_task(self._finished(call, doomed=self.dice.random() < SHARE / 2))
        if self.dice.random() < SHARE / 2:
            asyncio.get_running_loop().call_later(self.dice.random() ** 2, task.cancel)
        await asyncio.wait([task])
        journal.ended += 1
        journal.longest = max(journal.longest, time.monotonic() - began)
        error = None if task.cancelled() else task.exception()
        name = "cancelled" if task.cancelled() else type(error).__name__ if error else "done"
        journal.outcomes[name] += 1
        if error is not None and not isinstance(error, SyncroError):
            journal.oddities[f"{name}: {error}"] += 1

    async def _finished(self, call: Callable[[], Awaitable[object]], *, doomed: bool) -> object:
        victim.set(asyncio.current_task() if doomed else None)
        return await call()

    def observe(self, event: Event) -> None:
        """Cancel a call that is to be cancelled on the wire."""
        self.journal.observe(event)
        doomed = victim.get()
        if isinstance(event, RequestSent) and doomed is not None:
            # The answer takes a few milliseconds.
            asyncio.get_running_loop().call_later(self.dice.random() * 0.01, doomed.cancel)

    async def get(self) -> None:
        """A read."""
        await self.client.leads.get(self.dice.randint(1, SAMPLE_LEADS))

    async def first_page(self) -> None:
        """A larger read."""
        await self.client.leads.list(page_size=50, max_items=50).collect()

    async def create(self) -> None:
        """An unsafe write."""
        await self._write(self.client.leads.create, repeatable=False)

    async def upsert(self) -> None:
        """An idempotent write."""
        await self._write(self.client.leads.upsert, repeatable=True)

    async def _write(self, write: Callable[..., Awaitable[object]], *, repeatable: bool) -> None:
        number = self.journal.next_write()
        try:
            await write(email=EMAIL.format(number), **LEAD)
        except BaseException as error:
            self.journal.writes[number] = known(error, repeatable=repeatable)
            raise
        self.journal.writes[number] = DONE


def resident() -> float:
    """How much memory this process holds right now (MB), as Linux tells it."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def watch_memory(samples: list[tuple[float, float]], began: float) -> None:
    """Take a sample every other second, for ever, without what only waits for the collector."""
    while True:
        gc.collect()
        samples.append((time.monotonic() - began, resident()))
        await asyncio.sleep(2.0)


@dataclass(frozen=True)
class Finding:
    """One thing that has to hold, and whether it does."""

    holds: bool
    what: str
    how: str


@dataclass
class Run:
    """All that was seen, on both sides."""

    seconds: float
    journal: Journal
    emails: list[str | None]
    refused: int
    overdrawn: int
    left: list[str]
    memory: list[tuple[float, float]]


def judge(run: Run) -> Iterator[Finding]:
    """What held and what did not."""
    journal = run.journal
    yield Finding(
        journal.begun == journal.ended > 0 and not journal.oddities,
        "every call ends as documented",
        f"{journal.ended} of {journal.begun} ended, the longest after {journal.longest:.1f} s"
        + "".join(f"; {count} × {what}" for what, count in journal.oddities.items()),
    )
    yield _writes(journal, run.emails)
    yield Finding(
        run.overdrawn == 0,
        "no 429 of our own",
        f"{run.overdrawn} (and {run.refused - run.overdrawn} that the sandbox made up)",
    )
    yield Finding(not run.left, "nothing is left", "; ".join(run.left) or "no slot, task or word")
    yield _memory(run.seconds, run.memory)


def _writes(journal: Journal, emails: Sequence[str | None]) -> Finding:
    """Each write against the leads that bear its number."""
    times = Counter(emails)
    wrong: Counter[str] = Counter()
    kinds: Counter[int] = Counter()
    for number in range(journal.written):
        state, done = journal.writes[number], times[EMAIL.format(number)]
        kinds[state] += 1
        if done > 1:
            wrong[f"done {done} times"] += 1
        elif state == DONE and not done:
            wrong["lost"] += 1
        elif state == NOT_DONE and done:
            wrong["called refused, and done all the same"] += 1
        elif state == LEFT and done and not journal.reported[number]:
            wrong["cancelled, done, and not reported"] += 1
        elif state == BEGUN:
            wrong["never ended"] += 1
    shown = "; ".join(f"{count} {what}" for what, count in wrong.items())
    seen = (
        f"{journal.written} writes: {kinds[DONE]} done, {kinds[NOT_DONE]} refused or unsent,"
        f" {kinds[UNKNOWN]} called unknown, {kinds[LEFT]} cancelled"
        f" ({sum(journal.reported[: journal.written])} of them reported)"
    )
    return Finding(not wrong, "every write once, or called unknown", shown or seen)


def _memory(seconds: float, samples: Sequence[tuple[float, float]]) -> Finding:
    """How far the memory went from where it was once the run had settled."""
    settled = min(60.0, seconds / 3)
    after = [size for at, size in samples if settled <= at <= seconds]
    if seconds < SHORTEST_FOR_MEMORY:
        return Finding(holds=True, what="memory is flat", how="too short a run to tell")
    low, high = min(after) - after[0], max(after) - after[0]
    return Finding(
        max(-low, high) <= MEMORY_SLACK,
        "memory is flat",
        f"{after[0]:.1f} MB after {settled:.0f} s, then {low:+.1f} to {high:+.1f} MB,"
        f" {after[-1] - after[0]:+.1f} MB at the end",
    )


async def soak(sandbox: SandboxProcess, seconds: float, seed: int) -> Run:
    """Work for that long, let what is under way end, and look at what is left."""
    journal, left = Journal(), list[str]()
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: left.append(str(context["message"]))
    )
    began = time.monotonic()
    samples: list[tuple[float, float]] = []
    watching = asyncio.create_task(watch_memory(samples, began))
    dice = random.Random(seed)  # noqa: S311 - no secret
    work = Work(journal, dice, began + seconds)
    async with AsyncClient(
        FULL_KEY,
        base_url=sandbox.url,
        rate_limit=RATE,
        timeout=TIMEOUT,
        retry=RETRY,
        max_connections=10,
        observers=[work.observe],
    ) as client:
        work.client = client
        workers = [asyncio.create_task(work.go_on()) for _ in range(WORKERS)]
        _, late = await asyncio.wait(workers, timeout=seconds + LONGEST_RUN_OUT)
        left += [f"a worker hangs: {task}" for task in late]
        for task in late:
            task.cancel()
    watching.cancel()
    await asyncio.wait([watching])
    budget = client.budget()
    if budget.in_flight or budget.waiting:
        left.append(f"{budget.in_flight} slots in flight, {budget.waiting} calls in the queue")
    left += [f"{task} runs on" for task in asyncio.all_tasks() - {asyncio.current_task()}]
    return Run(
        seconds, journal, sandbox.emails(), sandbox.refused(), sandbox.overdrawn(), left, samples
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, print the verdict, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to work (30)")
    parser.add_argument("--seed", type=int, default=1, help="of the calls and the trouble (1)")
    chosen = parser.parse_args(arguments)
    print(
        f"syncro_async {__version__}, Python {platform.python_version()}, {platform.machine()},"
        f" {os.cpu_count()} CPUs; {chosen.seconds:g} s, seed {chosen.seed}"
    )
    logging.getLogger("syncro_async").setLevel(logging.CRITICAL)
    # Should even the event loop hang, every thread's stack is printed, and that is the end.
    faulthandler.dump_traceback_later(chosen.seconds + 2 * LONGEST_RUN_OUT, exit=True)
    with serving_in_process(
        leads=SAMPLE_LEADS,
        minute=RATE.seconds,
        per_minute=RATE.calls,
        window="sliding",
        hazards=HAZARDS,
        hazard_share=SHARE,
        seed=chosen.seed,
    ) as sandbox:
        run = asyncio.run(soak(sandbox, chosen.seconds, chosen.seed))
    faulthandler.cancel_dump_traceback_later()
    print("how calls ended:", ", ".join(f"{n} {name}" for name, n in run.journal.outcomes.items()))
    findings = list(judge(run))
    for finding in findings:
        print(f"{'holds' if finding.holds else 'FAILS'}  {finding.what}: {finding.how}")
    return int(not all(finding.holds for finding in findings))


if __name__ == "__main__":
    sys.exit(main())

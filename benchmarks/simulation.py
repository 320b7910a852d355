"""Drives the limiter of this package in virtual time against servers that count in several ways.

    python benchmarks/simulation.py [--calls 10000]

Each row of the first table is that many calls of one key, 60 in 60 s, by 100 callers who always
want more. Nothing of the limiter is copied or replaced: it runs on a clock that jumps.

How well it does is said in two shares, for n calls and the time from first send to last answer:

- *of the bound*, floor((n − 1) / 60) · (W + guard + mean latency) / elapsed, with the latencies
  that were drawn. Nobody who knows only when calls were sent and answered can safely be faster.
- *of the ideal*, floor((n − 1) / 60) · W / elapsed: a client without latency and guard, in step
  with the server, would need no longer than that for all but the first 60 calls.

Both leave out the length of the last round, which has no next one to wait for, so few calls make
for a smaller share: the last answers' own latency counts in full. A share of the bound may also
come out slightly above 100 %, when the slots that carry the last calls met quick answers.

A store that keeps whole seconds and drops things late needs a longer guard than the usual 0.25 s:
the last rows of the first table show it without and with.

The second table puts what clients do elsewhere before the same servers. On a 429 they all wait
for as long as it says and then go on; the limiter of this package waits a second more, and lets
one call go alone first.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import platform
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

from syncro_async import __version__
from syncro_async.limiting.budget.burst import available_at, burst_shape, spend
from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.limiting.protocol import Answered, Lane, Slot, SlotOutcome, Throttled
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.testing.fake_clock import FakeClock

CALLS, WINDOW = 60, 60.0
CALLERS = 100
# What this package waits after a 429 on top of what the server says (s).
EXTRA = 1.0

# --------------------------------------------------------------------------------------- servers

# A call arrives: None when it is counted, else the Retry-After it is refused with (s).
Server = Callable[[float], int | None]


def fixed_window(store: Callable[[float], float]) -> Server:
    """A window begins with the first call counted, and ends when the store drops what it holds."""
    counted, end, announced = 0, -math.inf, 0.0

    def arrive(at: float) -> int | None:
        nonlocal counted, end, announced
        if at >= end:
            counted, end, announced = 0, store(at), math.floor(at) + WINDOW
        if counted == CALLS:
            # A timestamp in whole seconds less another: up to a second too little.
            return max(0, round(announced - math.floor(at)))
        counted += 1
        return None

    return arrive


def aligned_windows() -> Server:
    """A window is a minute of the server's clock."""
    counted: Counter[int] = Counter()

    def arrive(at: float) -> int | None:
        window = math.floor(at / WINDOW)
        if counted[window] == CALLS:
            return math.ceil((window + 1) * WINDOW - at)
        counted[window] += 1
        return None

    return arrive


def sliding_log() -> Server:
    """A window is the last minute: each call counted is remembered for that long."""
    log: deque[float] = deque()

    def arrive(at: float) -> int | None:
        while log and log[0] <= at - WINDOW:
            log.popleft()
        if len(log) == CALLS:
            return math.ceil(log[0] + WINDOW - at)
        log.append(at)
        return None

    return arrive


# A store that drops things only when their last second is over: a window can take 61 s.
LATE = "fixed window, whole seconds, late"
SERVERS: dict[str, Callable[[], Server]] = {
    "fixed window, milliseconds": lambda: fixed_window(lambda at: at + WINDOW),
    "fixed window, whole seconds": lambda: fixed_window(lambda at: math.floor(at) + WINDOW),
    "aligned windows": aligned_windows,
    "sliding log": sliding_log,
    LATE: lambda: fixed_window(lambda at: math.floor(at) + WINDOW + 1),
}

# --------------------------------------------------------------------------------------- latency

# Seconds from the send to the moment the server counts, and from there to the answer.
Latency = Callable[[random.Random], tuple[float, float]]
Draw = Callable[[random.Random], float]


def usual(dice: random.Random) -> float:
    """A call of 10 to 500 ms."""
    return dice.uniform(0.010, 0.500)


def long_tailed(dice: random.Random) -> float:
    """The same, but one in a hundred takes 5 s, and two something in between."""
    kind = dice.random()
    if kind < 0.97:
        return usual(dice)
    return dice.uniform(0.5, 5.0) if kind < 0.99 else 5.0


def calls_of(length: Draw, counted: Draw) -> Latency:
    """Calls of that length, of which that share has passed when the server counts them."""

    def latency(dice: random.Random) -> tuple[float, float]:
        whole = length(dice)
        up = whole * counted(dice)
        return up, whole - up

    return latency


LATENCIES: dict[str, Latency] = {
    "constant 100 ms": calls_of(lambda _dice: 0.1, lambda _dice: 0.5),
    "10-500 ms": calls_of(usual, random.Random.random),
    "with a 5 s tail": calls_of(long_tailed, random.Random.random),
    "adversarial, 5 s tail": calls_of(long_tailed, lambda dice: dice.choice((0.0, 1.0))),
}

# -------------------------------------------------------------------------------------- policies


class Plain:
    """First come, first served; after a 429 everybody waits for as long as it says."""

    def __init__(
        self, clock: FakeClock, next_send: Callable[[], float], send: Callable[[], object]
    ) -> None:
        self._clock = clock
        self._next_send = next_send
        self._send = send
        self._paused_until = 0.0
        self._turn = asyncio.Lock()

    async def acquire(self, lane: Lane, *, requeued: bool = False) -> Slot:
        """Wait for the right to send a call; lanes are not known here."""
        del lane, requeued
        async with self._turn:
            while (at := max(self._next_send(), self._paused_until)) > self._clock.monotonic():
                await self._clock.sleep(at - self._clock.monotonic())
            self._send()
        return Slot(taken_at=self._clock.monotonic())

    async def release(self, slot: Slot, outcome: SlotOutcome) -> None:
        """Learn of a 429, without the second that this package adds to what the server says."""
        del slot
        if isinstance(outcome, Throttled):
            until = self._clock.monotonic() + outcome.pause - EXTRA
            self._paused_until = max(self._paused_until, until)


def leaky_bucket(clock: FakeClock, burst: int) -> Plain:
    """A bucket of `burst` calls that leaks evenly, as the `AsyncLimiter` of aiolimiter does."""
    shape, tat = burst_shape(CALLS, WINDOW, burst), 0.0

    def next_send() -> float:
        return available_at(shape, tat, clock.monotonic())

    def take() -> None:
        nonlocal tat
        tat = spend(shape, tat, clock.monotonic())

    return Plain(clock, next_send, take)


def log_on_send(clock: FakeClock) -> Plain:
    """At most 60 sends in any 60 s."""
    log: deque[float] = deque(maxlen=CALLS)
    return Plain(
        clock,
        lambda: log[0] + WINDOW if len(log) == CALLS else 0.0,
        lambda: log.append(clock.monotonic()),
    )


OTHERS: dict[str, Callable[[FakeClock], Plain]] = {
    "`AsyncLimiter(60, 60)`": lambda clock: leaky_bucket(clock, burst=CALLS),
    "`AsyncLimiter(1, 1)`": lambda clock: leaky_bucket(clock, burst=1),
    "60 sends in any 60 s": log_on_send,
}

# ---------------------------------------------------------------------------------------- running


@dataclass
class Run:
    """What a hundred callers, one policy and one server came to."""

    policy: InProcessLimiter | Plain
    clock: FakeClock
    server: Server
    latency: Latency
    guard: float
    left: int
    refused: int = 0
    sent_first: float = math.inf
    answers: list[float] = field(default_factory=list)
    latencies: float = 0.0
    dice: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - no secret

    def share(self, round_trip: float) -> float:
        """Of a client that sends 60 calls every so many seconds."""
        elapsed = self.answers[-1] - self.sent_first
        return (len(self.answers) - 1) // CALLS * round_trip / elapsed

    @property
    def of_the_bound(self) -> float:
        """The share of what is safe."""
        return self.share(WINDOW + self.guard + self.latencies / len(self.answers))

    @property
    def of_the_ideal(self) -> float:
        """The share of what nobody can reach."""
        return self.share(WINDOW)

    @property
    def first_window(self) -> float:
        """How long the first 60 calls took."""
        return self.answers[:CALLS][-1] - self.sent_first

    async def caller(self) -> None:
        """Call until all is done, and each time until it is answered."""
        while self.left:
            self.left -= 1
            answered = await self.send(requeued=False)
            while not answered:
                answered = await self.send(requeued=True)

    async def send(self, *, requeued: bool) -> bool:
        """Send a call when the policy lets it; False when it is refused."""
        slot = await self.policy.acquire("bulk", requeued=requeued)
        self.sent_first = min(self.sent_first, slot.taken_at)
        up, down = self.latency(self.dice)
        await self.clock.sleep(up)
        retry_after = self.server(self.clock.monotonic())
        await self.clock.sleep(down)
        if retry_after is not None:
            self.refused += 1
            await self.policy.release(slot, Throttled(retry_after + EXTRA))
            return False
        self.answers.append(self.clock.monotonic())
        self.latencies += up + down
        await self.policy.release(slot, Answered(self.answers[-1]))
        return True


def simulate(
    calls: int,
    server: str,
    latency: str,
    guard: float = 0.25,
    other: Callable[[FakeClock], Plain] | None = None,
) -> Run:
    """That many calls to a server by name, through the limiter of this package or another."""
    clock = FakeClock(start=1000.7)

    async def go() -> Run:
        ours = InProcessLimiter([RateLimit(CALLS, WINDOW, guard=guard)], clock)
        policy = other(clock) if other else ours
        run = Run(policy, clock, SERVERS[server](), LATENCIES[latency], guard, calls)
        await asyncio.gather(*(run.caller() for _ in range(CALLERS)))
        return run

    return asyncio.run(go())


# ---------------------------------------------------------------------------------------- printing


def print_this_limiter(calls: int) -> None:
    """The first table."""
    cells = [(server, latency, 0.25) for server in SERVERS for latency in LATENCIES]
    cells += [(LATE, latency, 1.1) for latency in LATENCIES]
    print("| server | latency | guard | 429s | of the bound | of the ideal | first 60 calls |")
    print("|---|---|---|---|---|---|---|")
    for server, latency, guard in cells:
        run = simulate(calls, server, latency, guard)
        print(
            f"| {server} | {latency} | {guard} s | {run.refused}"
            f" | {run.of_the_bound:.2%} | {run.of_the_ideal:.2%}"
            f" | {run.first_window:.1f} s |",
            flush=True,
        )


def print_others(calls: int) -> None:
    """The second table."""
    print("| policy | server | latency | 429s | of the ideal | first 60 calls |")
    print("|---|---|---|---|---|---|")
    for name, policy in OTHERS.items():
        for server in [server for server in SERVERS if server != LATE]:
            for latency in ("10-500 ms", "adversarial, 5 s tail"):
                run = simulate(calls, server, latency, other=policy)
                print(
                    f"| {name} | {server} | {latency} | {run.refused}"
                    f" | {run.of_the_ideal:.2%} | {run.first_window:.1f} s |",
                    flush=True,
                )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="The limiter against servers, in virtual time.")
    parser.add_argument("--calls", type=int, default=10_000, help="in each row (10000)")
    calls = parser.parse_args(arguments).calls
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores,"
        f" syncro_async {__version__}, aiolimiter {version('aiolimiter')};"
        f" {calls:,} calls a row, 60 in 60 s\n"
    )
    begun = time.perf_counter()
    print("The limiter of this package:\n")
    print_this_limiter(calls)
    print("\nOthers:\n")
    print_others(calls)
    print(f"\nThat took {time.perf_counter() - begun:.0f} s.")


if __name__ == "__main__":
    main()

"""Runs the client for the picture of the slots in docs/budget.md.

A client with `RateLimit(6, 10.0)` makes eighteen calls as fast as it may, in virtual time, over a
wire with latency in both directions. Each row of the picture is a slot.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

import httpx

from syncro_async import AsyncClient, RateLimit
from syncro_async.testing import FakeClock, assert_within_limit

RATE = RateLimit(6, 10.0)
CALLS = 18
SEED = 4


@dataclass
class Sent:
    """One request: when it left, was counted by the server, and was answered (s)."""

    left: float
    arrived: float = 0.0
    answered: float = 0.0

    @property
    def free_again(self) -> float:
        """When the slot it took returns."""
        return self.answered + RATE.hold_seconds


@dataclass
class Wire(httpx.AsyncBaseTransport):
    """A wire that takes its time."""

    clock: FakeClock
    sent: list[Sent] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(SEED))  # noqa: S311

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:  # noqa: ARG002
        """Answer, and note the three moments."""
        there, back = self.chance.uniform(0.1, 1.1), self.chance.uniform(0.1, 1.1)
        one = Sent(self.clock.monotonic())
        self.sent.append(one)
        await self.clock.sleep(there)
        one.arrived = self.clock.monotonic()
        await self.clock.sleep(back)
        one.answered = self.clock.monotonic()
        return httpx.Response(200, json={"success": True})


async def run() -> list[Sent]:
    """The requests in the order they left."""
    clock = FakeClock()
    wire = Wire(clock)
    async with AsyncClient(
        "picture", base_url="http://localhost", rate_limit=RATE, transport=wire, clock=clock
    ) as client:
        await asyncio.gather(*(client.request("GET", "/leads") for _ in range(CALLS)))
    assert_within_limit([one.arrived for one in wire.sent], calls=RATE.calls, seconds=RATE.seconds)
    return wire.sent


def rows_of(sent: list[Sent]) -> list[tuple[int, Sent]]:
    """Each request with the slot it took; there is always one that is free."""
    free = [0.0] * RATE.calls
    taken = []
    for one in sent:
        row = min(range(RATE.calls), key=lambda slot: (free[slot] > one.left + 1e-9, slot))
        free[row] = one.free_again
        taken.append((row, one))
    return taken


def fullest(sent: list[Sent]) -> tuple[float, int]:
    """Where the window begins that holds most arrivals, and how many it holds."""
    moments = sorted(one.arrived for one in sent)
    counts = [(sum(m <= each < m + RATE.seconds for each in moments), -m) for m in moments]
    most, begins = max(counts)
    return -begins, most

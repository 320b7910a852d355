"""Draws docs/window.svg: what the limiter of this package does with slots, from a run of it.

    python benchmarks/window_picture.py > docs/window.svg

A client with `RateLimit(6, 10.0)` makes eighteen calls as fast as it may, in virtual time, over a
wire that takes its time there and back. Each row of the picture is a slot.
"""

from __future__ import annotations

import asyncio
import random
import sys
from dataclasses import dataclass, field
from html import escape

import httpx

from syncro_async import AsyncClient, RateLimit
from syncro_async.testing import FakeClock, assert_within_limit

RATE = RateLimit(6, 10.0)
CALLS = 18
SEED = 4

LEFT, TOP, ROW, SECOND, WIDTH = 76, 64, 26, 24, 860
STYLE = """
svg { font: 13px system-ui, sans-serif; }
.paper { fill: #ffffff; } text { fill: #1f2328; } .faint { fill: #59636e; }
.line { stroke: #59636e; } .grid { stroke: #d1d9e0; }
.wire { fill: #0969da; } .held { fill: #b6d8f8; } .arrival { fill: #cf222e; }
.window { fill: none; stroke: #cf222e; stroke-width: 1.5; }
@media (prefers-color-scheme: dark) {
  .paper { fill: #0d1117; } text { fill: #f0f6fc; } .faint { fill: #9198a1; }
  .line { stroke: #9198a1; } .grid { stroke: #30363d; }
  .wire { fill: #4493f8; } .held { fill: #1f4b80; } .arrival { fill: #ff7b72; }
  .window { stroke: #ff7b72; }
}
"""


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


def picture(sent: list[Sent]) -> str:
    """The SVG."""
    bottom = TOP + RATE.calls * ROW
    ends = int(max(one.answered for one in sent)) + 6
    marks = [
        f'<line class="grid" x1="{_x(s)}" x2="{_x(s)}" y1="{TOP - 6}" y2="{bottom + 26}"/>'
        f'<text class="faint" text-anchor="middle" x="{_x(s)}" y="{bottom + 44}">{s} s</text>'
        for s in range(0, ends, 5)
    ]
    begins, most = fullest(sent)
    width = RATE.seconds * SECOND
    says = f"the fullest {RATE.seconds:g} s of the server: {most} arrivals"
    lines = [
        _legend(),
        *marks,
        *(_label(row) for row in range(RATE.calls)),
        *(_bars(row, one, ends) for row, one in rows_of(sent)),
        f'<line class="line" x1="{LEFT}" x2="{_x(ends)}" y1="{bottom + 14}" y2="{bottom + 14}"/>',
        *(f'<circle class="arrival" cx="{_x(s.arrived)}" cy="{bottom + 14}" r="3"/>' for s in sent),
        f'<rect class="window" x="{_x(begins)}" y="{bottom + 4}" width="{width:g}" height="20"/>',
        f'<text x="{_x(begins)}" y="{bottom + 66}">{escape(says)}</text>',
    ]
    height = bottom + 80
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
            "<title>Slots of a budget of 6 calls in 10 seconds</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="paper" width="{WIDTH}" height="{height}" rx="8"/>',
            *lines,
            "</svg>\n",
        ]
    )


def _x(seconds: float) -> str:
    return f"{LEFT + seconds * SECOND:.1f}"


def _legend() -> str:
    parts = [
        ("wire", 16, "on the wire"),
        ("held", 136, "one window and the guard after its answer"),
        ("arrival", 460, "counted by the server"),
    ]
    return "\n".join(
        f'<rect class="{name}" x="{x}" y="20" width="14" height="14" rx="{7 if x > 400 else 3}"/>'
        f'<text x="{x + 20}" y="32">{text}</text>'
        for name, x, text in parts
    )


def _label(row: int) -> str:
    return f'<text class="faint" x="16" y="{TOP + row * ROW + 15}">slot {row + 1}</text>'


def _bars(row: int, one: Sent, ends: int) -> str:
    y = TOP + row * ROW
    wire = (one.answered - one.left) * SECOND
    held = (min(one.free_again, ends) - one.answered) * SECOND
    return (
        f'<rect class="held" x="{_x(one.answered)}" y="{y}" width="{held:.1f}" height="20"/>'
        f'<rect class="wire" x="{_x(one.left)}" y="{y}" width="{wire:.1f}" height="20"/>'
        f'<circle class="arrival" cx="{_x(one.arrived)}" cy="{y + 10}" r="3"/>'
    )


if __name__ == "__main__":
    sys.stdout.write(picture(asyncio.run(run())))

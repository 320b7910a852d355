"""Which lane a call goes in: the client's, the code's, or the view's."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from syncro_async import ConfigurationError, Lane, RateLimit, lane
from syncro_async.limiting.in_process import InProcessLimiter
from syncro_async.limiting.protocol import Slot
from syncro_async.testing import sandbox_client
from syncro_async.testing.fake_clock import FakeClock


class Lanes(InProcessLimiter):
    """A limiter that notes the lane of each call."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        super().__init__([RateLimit(60, 60.0)], self.clock)
        self.seen: list[Lane] = []

    async def acquire(
        self, lane: Lane, *, max_wait: float | None = None, requeued: bool = False
    ) -> Slot:
        self.seen.append(lane)
        return await super().acquire(lane, max_wait=max_wait, requeued=requeued)


async def test_the_code_around_a_call_chooses_its_lane_and_the_client_else() -> None:
    lanes = Lanes()
    async with sandbox_client(limiter=lanes, clock=lanes.clock) as syncro:
        await syncro.leads.get(1)
        with lane("bulk"):
            await syncro.leads.get(1)
            with lane("interactive"):
                await syncro.leads.get(1)
            await syncro.leads.get(1)
        await syncro.leads.get(1)
    assert lanes.seen == ["interactive", "bulk", "interactive", "bulk", "interactive"]


async def test_it_goes_before_the_clients_own_lane() -> None:
    lanes = Lanes()
    async with sandbox_client(limiter=lanes, clock=lanes.clock, lane="bulk") as syncro:
        with lane("interactive"):
            await syncro.leads.get(1)
        await syncro.leads.get(1)
    assert lanes.seen == ["interactive", "bulk"]


async def test_a_view_with_a_lane_keeps_it_and_so_do_views_of_that_view() -> None:
    lanes = Lanes()
    async with sandbox_client(limiter=lanes, clock=lanes.clock) as syncro:
        urgent = syncro.with_options(lane="interactive")
        with lane("bulk"):
            await urgent.leads.get(1)
            await urgent.with_options(timeout=5.0).leads.get(1)
            await syncro.with_options(timeout=5.0).leads.get(1)
    assert lanes.seen == ["interactive", "interactive", "bulk"]


async def test_tasks_started_inside_go_in_it_and_those_outside_do_not() -> None:
    lanes = Lanes()
    async with sandbox_client(limiter=lanes, clock=lanes.clock) as syncro:
        with lane("bulk"):
            inside = asyncio.create_task(syncro.leads.list().collect())
        outside = asyncio.create_task(syncro.leads.get(1))
        await asyncio.gather(inside, outside)
    assert sorted(lanes.seen) == ["bulk", "interactive"]


def test_a_lane_that_is_none_is_refused() -> None:
    with (
        pytest.raises(ConfigurationError, match="lane='fast' must be one of interactive, bulk"),
        lane(cast("Lane", "fast")),
    ):
        pass

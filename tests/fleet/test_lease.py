"""The lease of a run: renewed in time, never valid again once over, and a fence for requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from syncro_async.errors import ConfigurationError
from syncro_async.fleet.lease import HeldLease, LeaseLostError
from syncro_async.limiting.context import before_send, hooked_wait
from syncro_async.limiting.job_leases import MemoryJobStore
from syncro_async.limiting.shared.job_lease import JobClaim
from syncro_async.limiting.shared.store import StoreUnreachableError
from syncro_async.testing import FakeClock


class Way(MemoryJobStore):
    """The way of one run to the store, on which things go wrong."""

    trouble: Exception | None = None
    delay = 0.0
    swallows = False

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.clock = clock
        self.asked_at: list[float] = []

    async def claim_job(self, claim: JobClaim) -> float:
        self.asked_at.append(self.clock.monotonic())
        if self.swallows:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        if self.trouble is not None:
            raise self.trouble
        found = await super().claim_job(claim)
        if self.delay:
            await self.clock.sleep(self.delay)
        return found


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(autojump=False)


@pytest.fixture
def way(clock: FakeClock) -> Way:
    return Way(clock)


@pytest.fixture
async def lease(way: Way) -> HeldLease:
    lease = HeldLease(way, "acme:sync", "here", 30.0, way.clock)
    assert await lease.take() == 0.0
    return lease


@pytest.fixture
async def keeper(lease: HeldLease) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(lease.keep())
    yield task
    task.cancel()
    with suppress(asyncio.CancelledError, ConfigurationError):
        await task


async def other(clock: FakeClock, place: str = "there") -> float:
    return await MemoryJobStore(clock).claim_job(JobClaim("acme:sync", "other", place, 30.0))


async def test_it_is_renewed_before_it_ends(
    lease: HeldLease, keeper: asyncio.Task[None], way: Way
) -> None:
    await way.clock.advance(300.0)
    assert way.asked_at == [0.0, *(10.0 * number for number in range(1, 31))]
    assert not lease.is_over()
    assert await other(way.clock) == 30.0


async def test_a_store_that_is_away_for_a_moment_is_asked_more_often(
    lease: HeldLease, keeper: asyncio.Task[None], way: Way
) -> None:
    way.trouble = StoreUnreachableError("away")
    await way.clock.advance(12.5)
    way.trouble = None
    await way.clock.advance(10.5)
    assert way.asked_at == [0.0, 10.0, 11.0, 12.0, 13.0, 23.0]
    assert not keeper.done()


async def test_it_is_over_when_the_store_is_away_for_too_long(
    lease: HeldLease, keeper: asyncio.Task[None], way: Way
) -> None:
    way.trouble = StoreUnreachableError("away")
    await way.clock.advance(29.5)
    assert not lease.is_over()
    await way.clock.advance(0.5)
    assert lease.is_over()
    assert await other(way.clock) == 0.0
    await way.clock.advance(1.0)
    assert keeper.done()


async def test_it_is_over_when_another_run_has_it(
    lease: HeldLease, keeper: asyncio.Task[None], way: Way
) -> None:
    # At the same place this run counts as dead.
    assert await other(way.clock, place="here") == 0.0
    await way.clock.advance(10.0)
    assert keeper.done()
    assert lease.is_over()


async def test_a_process_that_was_stopped_does_not_get_it_again(lease: HeldLease, way: Way) -> None:
    keeper = asyncio.create_task(lease.keep())
    await asyncio.wait({keeper}, timeout=0.0)
    # Nothing of this process runs meanwhile; another run has come and gone.
    way.clock._now += 60.0
    await way.clock.advance(0.0)
    assert lease.is_over()
    await keeper
    assert way.asked_at == [0.0]


async def test_an_answer_that_comes_too_late_does_not_renew_it(
    lease: HeldLease, keeper: asyncio.Task[None], way: Way
) -> None:
    way.delay = 25.0
    await way.clock.advance(36.0)
    assert lease.is_over()
    assert lease.valid_until == 30.0


async def test_a_store_that_cannot_be_used_ends_it(
    lease: HeldLease, keeper: asyncio.Task[None], way: Way
) -> None:
    way.trouble = ConfigurationError("another program uses the entries")
    await way.clock.advance(10.0)
    assert isinstance(keeper.exception(), ConfigurationError)


async def test_a_store_that_swallows_a_cancellation_does_not_hold_the_run(
    lease: HeldLease, way: Way
) -> None:
    keeper = asyncio.create_task(lease.keep())
    await way.clock.advance(0.0)
    way.swallows = True
    await way.clock.advance(10.0)
    lease.stop()
    keeper.cancel()
    await asyncio.wait_for(keeper, 10.0)
    assert way.asked_at == [0.0, 10.0]


async def test_a_released_lease_is_free_at_once(lease: HeldLease, way: Way) -> None:
    await lease.release()
    assert lease.is_over()
    assert await other(way.clock) == 0.0


async def test_a_store_that_is_away_for_a_moment_does_not_send_the_run_away(way: Way) -> None:
    way.trouble = StoreUnreachableError("away")
    lease = HeldLease(way, "acme:sync", "here", 30.0, way.clock)
    taking = asyncio.create_task(lease.take())
    await way.clock.advance(1.5)
    way.trouble = None
    await way.clock.advance(0.5)
    assert await taking == 0.0
    assert way.asked_at == [0.0, 1.0, 2.0]
    assert lease.valid_until == 32.0


async def test_a_store_that_stays_away_is_asked_three_times(way: Way) -> None:
    way.trouble = StoreUnreachableError("away")
    taking = asyncio.create_task(HeldLease(way, "acme:sync", "here", 30.0, way.clock).take())
    await way.clock.advance(2.0)
    with pytest.raises(StoreUnreachableError, match="away"):
        await taking
    assert way.asked_at == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("error", [StoreUnreachableError("away"), ConfigurationError("closed")])
async def test_without_the_store_it_ends_by_itself(
    lease: HeldLease, way: Way, error: Exception
) -> None:
    way.trouble = error
    await lease.release()
    assert await other(way.clock) == 30.0


async def test_no_request_is_sent_once_it_is_over(lease: HeldLease, way: Way) -> None:
    with lease.guards_requests(), hooked_wait():
        await before_send()
        await way.clock.advance(30.0)
        with pytest.raises(LeaseLostError, match="nothing was sent"):
            await before_send()
    await before_send()

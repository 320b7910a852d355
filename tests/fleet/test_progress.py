"""Progress on its way to a listener: the latest, not too often, and no listener ends a job."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from syncro_async import Progress
from syncro_async.fleet.progress import ProgressRelay
from syncro_async.testing import FakeClock


def at(done: int) -> Progress:
    return Progress("sync", "reading", done, 9, done, 1.0, 1.0, None)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(autojump=False)


@pytest.mark.parametrize("is_async", [False, True])
async def test_the_latest_is_reported_once_a_second_and_at_the_end(
    clock: FakeClock,
    *,
    is_async: bool,
) -> None:
    heard: list[int] = []

    async def listen(progress: Progress) -> None:
        heard.append(progress.done)

    async with ProgressRelay(
        listen if is_async else lambda progress: heard.append(progress.done), clock
    ) as relay:
        relay(at(1))
        await clock.advance(0.0)
        relay(at(2))
        relay(at(3))
        await clock.advance(0.5)
        assert heard == [1]
        await clock.advance(0.5)
        assert heard == [1, 3]
        await clock.advance(5.0)
        relay(at(4))
    assert heard == [1, 3, 4]


async def test_a_listener_that_raises_is_logged(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Progress) -> None:
        raise OSError("the result store is away")

    async with ProgressRelay(broken, clock) as relay:
        relay(at(1))
    assert "the progress of the sync could not be reported" in caplog.text


async def test_without_a_listener_nothing_happens(clock: FakeClock) -> None:
    async with ProgressRelay(None, clock) as relay:
        relay(at(1))


async def test_a_cancelled_job_reports_nothing_more(clock: FakeClock) -> None:
    heard: list[Progress] = []

    async def job() -> None:
        async with ProgressRelay(heard.append, clock) as relay:
            relay(at(1))
            await asyncio.Event().wait()

    task = asyncio.create_task(job())
    await clock.advance(0.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [each.done for each in heard] == [1]


async def test_a_listener_that_swallows_a_cancellation_does_not_hold_the_job(
    clock: FakeClock,
) -> None:
    calls: list[int] = []

    async def stubborn(progress: Progress) -> None:
        calls.append(progress.done)
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async def job() -> None:
        async with ProgressRelay(stubborn, clock) as relay:
            relay(at(1))
            await clock.advance(0.0)

    await asyncio.wait_for(job(), 10.0)
    assert calls == [1]

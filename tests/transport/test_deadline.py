"""The end of one attempt, and cancellations that come at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from syncro_async.testing.fake_clock import FakeClock, FakeTimer
from syncro_async.transport.deadline import Deadline


class Armed(FakeClock):
    """A clock whose one timer goes off when the test says so."""

    def call_at(self, when: float, callback: Callable[[], object]) -> FakeTimer:
        self.strike = callback
        return FakeTimer(callback, None)


async def wait_under(clock: Armed) -> None:
    with Deadline(clock, 5.0):
        await asyncio.Event().wait()


async def test_its_own_cancellation_becomes_a_timeout_and_leaves_no_trace() -> None:
    clock = Armed()
    task = asyncio.ensure_future(wait_under(clock))
    await asyncio.sleep(0)
    clock.strike()
    with pytest.raises(TimeoutError):
        await task
    assert not task.cancelled()
    assert task.cancelling() == 0


async def test_a_cancellation_that_comes_with_it_stays_a_cancellation() -> None:
    clock = Armed()
    task = asyncio.ensure_future(wait_under(clock))
    await asyncio.sleep(0)
    clock.strike()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_an_error_that_comes_with_it_stays_that_error() -> None:
    async def fails() -> None:
        with Deadline(clock, 5.0):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError as error:
                raise KeyError("mine") from error

    clock = Armed()
    task = asyncio.ensure_future(fails())
    await asyncio.sleep(0)
    clock.strike()
    with pytest.raises(KeyError, match="mine"):
        await task
    assert task.cancelling() == 0

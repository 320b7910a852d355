"""Many accounts in one process: each ends by itself, and none stops another one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from syncro_async import Progress, RateLimit, RetryPolicy, SystemClock
from syncro_async.clock import Timer
from syncro_async.fleet import AccountJob, JobReceipt, run_fleet
from syncro_async.limiting.job_leases import MemoryJobStore
from syncro_async.limiting.shared.job_lease import JobClaim
from syncro_async.sandbox import FULL_KEY, SUSPENDED_KEY, Sandbox, Trouble, serving

NAMES = ["acme", "bad", "fine"]


class PatientClock:
    """The system's clock; its long waits are over at once, and are noted."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self.waits: list[float] = []
        self.before_a_wait: Any = self._nothing

    async def _nothing(self) -> None:
        pass

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def wall(self) -> float:
        return self._clock.wall()

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        return self._clock.call_at(when, callback)

    async def sleep(self, seconds: float) -> None:
        if seconds < 5.0:
            await self._clock.sleep(seconds)
            return
        if asyncio.current_task() in self.keepers():
            await asyncio.Event().wait()
        self.waits.append(seconds)
        await self.before_a_wait()
        await self._clock.sleep(0)

    def keepers(self) -> set[Any]:
        """The tasks that renew leases, which wait too."""
        return {
            task
            for task in asyncio.all_tasks()
            if getattr(task.get_coro(), "__qualname__", "") == "HeldLease.keep"
        }


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(leads=10)


@pytest.fixture
def clock() -> PatientClock:
    return PatientClock()


@pytest.fixture
def options(sandbox: Sandbox, tmp_path: Path, clock: PatientClock) -> Iterator[dict[str, Any]]:
    keys = dict.fromkeys(NAMES, FULL_KEY) | {"bad": SUSPENDED_KEY}
    with serving(sandbox) as url:
        yield {
            "keys": keys.__getitem__,
            "folder": tmp_path,
            "clock": clock,
            "base_url": url,
            "rate_limit": RateLimit(1000, 60.0),
            "retry": RetryPolicy(attempts=1),
        }


async def test_the_failure_of_one_account_ends_no_other(options: dict[str, Any]) -> None:
    told: list[tuple[str, Any]] = []
    receipts = await run_fleet(
        map(AccountJob, NAMES), on_account=lambda *what: told.append(what), at_once=2, **options
    )
    assert [each.account for each in receipts] == NAMES
    assert [each.outcome for each in receipts] == ["done", "failed", "done"]
    assert {each.day for each in receipts} == {datetime.now(UTC).date()}
    assert [each for each in told if isinstance(each[1], Progress) and each[0] == "acme"]
    ends = [name for name, what in told if isinstance(what, JobReceipt)]
    assert sorted(ends) == NAMES


async def test_the_day_of_a_job_is_kept(options: dict[str, Any]) -> None:
    (receipt,) = await run_fleet([AccountJob("acme", day=date(2026, 6, 30))], **options)
    assert receipt.day == date(2026, 6, 30)


async def test_a_job_that_comes_back_waits_for_its_time(
    options: dict[str, Any], sandbox: Sandbox, clock: PatientClock
) -> None:
    sandbox.script(Trouble(status=500))
    told: list[str] = []

    def tell(_: str, what: Progress | JobReceipt) -> None:
        if isinstance(what, JobReceipt):
            told.append(what.outcome)

    (receipt,) = await run_fleet([AccountJob("acme")], on_account=tell, **options)
    assert (receipt.outcome, receipt.attempt) == ("done", 2)
    assert told == ["later", "done"]
    assert [round(wait) for wait in clock.waits] == [10]


async def other_run(clock: PatientClock, seconds: float) -> None:
    store = MemoryJobStore(clock)
    await store.claim_job(JobClaim("acme:sync", "other", "there", seconds))


async def test_a_run_that_is_dead_is_waited_for(
    options: dict[str, Any], clock: PatientClock
) -> None:
    await other_run(clock, 30.0)

    async def its_lease_ends() -> None:
        await other_run(clock, 0.0)

    clock.before_a_wait = its_lease_ends
    (receipt,) = await run_fleet([AccountJob("acme")], **options)
    assert receipt.outcome == "done"
    assert [round(wait) for wait in clock.waits] == [30]


async def test_a_run_that_is_alive_is_left_alone(
    options: dict[str, Any], clock: PatientClock, sandbox: Sandbox
) -> None:
    await other_run(clock, 30.0)
    (receipt,) = await run_fleet([AccountJob("acme")], **options)
    assert receipt.outcome == "running"
    assert receipt.next_job is None
    assert sandbox.arrivals == []
    await other_run(clock, 0.0)

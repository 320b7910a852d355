"""Runs the jobs of many accounts side by side in one process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Unpack

import msgspec

from syncro_async.bulk.progress import Progress
from syncro_async.clock import Clock, SystemClock
from syncro_async.fleet.jobs import AccountJob, JobReceipt
from syncro_async.fleet.keys import KeySource
from syncro_async.fleet.run import ClientArguments, run_account_job

OnAccount = Callable[[str, Progress | JobReceipt], object]
"""A function that is given the name of an account, and its progress or the receipt of a run."""


async def run_fleet(
    jobs: Iterable[AccountJob],
    *,
    keys: KeySource,
    folder: str | os.PathLike[str],
    limiter: str | None = None,
    at_once: int = 200,
    on_account: OnAccount | None = None,
    force: bool = False,
    max_attempts: int = 5,
    lease_seconds: float = 30.0,
    clock: Clock | None = None,
    **client: Unpack[ClientArguments],
) -> tuple[JobReceipt, ...]:
    """Run one job for each account side by side, and return the last receipt of each.

        receipts = await run_fleet(accounts.jobs("sync"), keys=accounts, folder="nightly")
        failed = [receipt for receipt in receipts if receipt.outcome != "done"]

    A job that comes back later waits here for its time, without a place among `at_once`. A job that
    another run does is waited for as long as the lease of that run lasts: the other run may be
    dead. If it is at work then, the outcome stays `"running"`. The failure of one account ends no
    other one.

    - `jobs`: the jobs, each of another account
    - `keys`, `folder`, `limiter`, `force`, `max_attempts`, `lease_seconds`, `clock`, `client`: as
      for `run_account_job`
    - `at_once`: how many accounts are worked on at once
    - `on_account`: called with the name of an account and each `Progress`, and with the
      `JobReceipt` of each run
    """
    shared: dict[str, Any] = {
        "keys": keys,
        "folder": folder,
        "limiter": limiter,
        "force": force,
        "max_attempts": max_attempts,
        "lease_seconds": lease_seconds,
        **client,
    }
    fleet = _Fleet(asyncio.Semaphore(at_once), on_account, clock or SystemClock(), shared)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(fleet.run(job)) for job in jobs]
    return tuple(task.result() for task in tasks)


class _Fleet:
    """What the jobs of a fleet share."""

    def __init__(
        self,
        places: asyncio.Semaphore,
        on_account: OnAccount | None,
        clock: Clock,
        shared: dict[str, Any],
    ) -> None:
        self._places = places
        self._on_account = on_account
        self._clock = clock
        self._shared = shared
        # A fleet that runs past midnight is for the day on which it began.
        self._today = self._now().date()

    async def run(self, job: AccountJob) -> JobReceipt:
        """Run the job until it is at its end."""
        tell = partial(self._tell, job.account)
        again: AccountJob | None = msgspec.structs.replace(job, day=job.day or self._today)
        waited_for_another = False
        while again is not None:
            receipt = await self._run_once(again, tell)
            again = receipt.next_job
            if receipt.outcome == "running" and waited_for_another:
                break
            if again is not None:
                waited_for_another = receipt.outcome == "running"
                tell(receipt)
                await self._clock.sleep(receipt.delay(self._now()))
        last = msgspec.structs.replace(receipt, come_back_at=None)
        tell(last)
        return last

    async def _run_once(
        self, job: AccountJob, tell: Callable[[Progress | JobReceipt], None]
    ) -> JobReceipt:
        async with self._places:
            return await run_account_job(job, on_progress=tell, clock=self._clock, **self._shared)

    def _tell(self, account: str, what: Progress | JobReceipt) -> None:
        if self._on_account is not None:
            self._on_account(account, what)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.wall(), UTC)

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
    time = clock or SystemClock()
    places = asyncio.Semaphore(at_once)
    shared: dict[str, Any] = {
        "keys": keys,
        "folder": folder,
        "limiter": limiter,
        "max_attempts": max_attempts,
        "lease_seconds": lease_seconds,
        "clock": time,
        **client,
    }

    async def run(job: AccountJob) -> JobReceipt:
        def tell(what: Progress | JobReceipt) -> None:
            if on_account is not None:
                on_account(job.account, what)

        one = partial(_run_once, places, shared, tell)
        receipt = await one(job, force=force)
        waited_for_another = False
        while (again := receipt.next_job) is not None:
            if receipt.outcome == "running":
                if waited_for_another:
                    break
                waited_for_another = True
            await time.sleep(receipt.delay(datetime.fromtimestamp(time.wall(), UTC)))
            receipt = await one(again, force=force)
        last = msgspec.structs.replace(receipt, come_back_at=None)
        tell(last)
        return last

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(job)) for job in jobs]
    return tuple(task.result() for task in tasks)


async def _run_once(
    places: asyncio.Semaphore,
    shared: dict[str, Any],
    tell: Callable[[Progress | JobReceipt], None],
    job: AccountJob,
    *,
    force: bool,
) -> JobReceipt:
    async with places:
        receipt = await run_account_job(job, force=force, on_progress=tell, **shared)
    if receipt.next_job is not None:
        tell(receipt)
    return receipt

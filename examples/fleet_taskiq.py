"""Many accounts on workers of taskiq: each job is resumed, and no account runs twice at once.

    pip install "syncro-async[redis]" taskiq taskiq-redis
    export FLEET_ACCOUNTS=/srv/fleet/accounts.toml FLEET_FOLDER=/srv/fleet/data
    export FLEET_REDIS=redis://localhost:6379/0 SYNCRO_LIMITER=redis://localhost:6379/1
    taskiq worker examples.fleet_taskiq:broker --workers 3 --max-async-tasks 100
    python -m examples.fleet_taskiq sync        # every night: sends one job for each account

The workers read the keys where accounts.toml says, so no key goes through Redis. FLEET_RECLAIM is
after how many seconds a job of a dead worker is given to another one (60), FLEET_TIME_LIMIT how
long a run may take before the job is put back into the queue (3600), and FLEET_MAX_WAIT how long a
run waits for a key that is paused or used up (300).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from datetime import UTC, datetime
from typing import Any, Literal, cast

import msgspec
from redis.asyncio import Redis
from taskiq import TaskiqDepends, TaskiqEvents, TaskiqState
from taskiq.depends.progress_tracker import ProgressTracker, TaskState
from taskiq.serializers import JSONSerializer
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from syncro_async import Progress
from syncro_async.fleet import AccountJob, Accounts, JobReceipt, run_account_job

REDIS = os.environ.get("FLEET_REDIS", "redis://localhost:6379/0")
ACCOUNTS = Accounts.read(os.environ.get("FLEET_ACCOUNTS", "accounts.toml"))
FOLDER = os.environ.get("FLEET_FOLDER", "fleet")
RECLAIM = float(os.environ.get("FLEET_RECLAIM", "60"))
TIME_LIMIT = float(os.environ.get("FLEET_TIME_LIMIT", "3600"))
MAX_WAIT = float(os.environ.get("FLEET_MAX_WAIT", "300"))
QUEUE = "syncro-fleet"
# Jobs that come back later, in the order of their times.
LATER = f"{QUEUE}:later"
KEEP_RESULTS = 2 * 86_400

# consumer_id="0": jobs that were sent before the first worker started are not lost. xread_count=1:
# no worker holds jobs that another one could do. The lock has a time limit, because a worker that
# is killed while it looks for jobs of dead workers would lock it for good. A stream keeps
# acknowledged messages too, so maxlen bounds it.
broker = RedisStreamBroker(
    REDIS,
    queue_name=QUEUE,
    consumer_id="0",
    idle_timeout=int(RECLAIM * 1000),
    unacknowledged_lock_timeout=5.0,
    xread_block=500,
    xread_count=1,
    maxlen=100_000,
).with_result_backend(
    RedisAsyncResultBackend(REDIS, result_ex_time=KEEP_RESULTS, serializer=JSONSerializer())
)


# Acknowledged late, when the result is stored: a job whose worker dies is given to another one.
@broker.task(task_name="account_job", ack_type="when_saved")
async def account_job(
    message: dict[str, Any],
    progress: ProgressTracker[dict[str, Any]] = TaskiqDepends(),  # noqa: B008  # how taskiq injects
) -> dict[str, Any]:
    """Run the job of one account, and put it back into the queue when it is not at its end."""

    async def report(now: Progress) -> None:
        await progress.set_progress(TaskState.STARTED, msgspec.to_builtins(now))

    receipt = await run_account_job(
        AccountJob.from_message(message),
        keys=ACCOUNTS,
        folder=FOLDER,
        on_progress=report,
        max_wait=MAX_WAIT,
        time_limit=TIME_LIMIT,
    )
    await put_back(receipt)
    return receipt.to_message()


@broker.task(task_name="wake_up", ack_type="when_received")
async def wake_up() -> None:
    """Do nothing: the broker looks for jobs of dead workers after it has read a message."""


async def send(job: AccountJob) -> None:
    """Put the job into the queue."""
    await account_job.kicker().with_task_id(job.task_id()).kiq(job.to_message())


async def put_back(receipt: JobReceipt) -> None:
    """Keep a job that is not at its end until its time comes."""
    job, at = receipt.next_job, receipt.come_back_at
    if job is not None and at is not None:
        async with Redis(connection_pool=broker.connection_pool) as redis:
            await redis.zadd(LATER, {json.dumps(job.to_message()): at.timestamp()})


async def send_what_is_due() -> None:
    """Put the jobs whose time has come into the queue. Sent twice, one ends at once."""
    async with Redis(connection_pool=broker.connection_pool) as redis:
        due: list[Any] = [*await redis.zrangebyscore(LATER, 0, time.time())]
        for message in due:
            await send(AccountJob.from_message(json.loads(message)))
            await redis.zrem(LATER, message)


async def keep_moving() -> None:
    """Every second send what is due; often enough wake the brokers up."""
    woken = 0.0
    while True:
        try:
            await send_what_is_due()
            if time.monotonic() - woken >= RECLAIM / 2:
                await wake_up.kicker().with_task_id("wake_up").kiq()
                woken = time.monotonic()
        except OSError:
            pass  # Redis is away: the next turn tries again
        await asyncio.sleep(1.0)


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def start_moving(state: TaskiqState) -> None:
    """Start `keep_moving` beside the jobs."""
    state.moving = asyncio.create_task(keep_moving())


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def stop_moving(state: TaskiqState) -> None:
    """End it."""
    state.moving.cancel()
    await asyncio.wait({state.moving})


async def send_all(kind: Literal["export", "sync", "import"]) -> None:
    """Put the job of today for every account into the queue. Twice a day does no harm."""
    await broker.startup()
    for job in ACCOUNTS.jobs(kind, datetime.now(UTC).date()):
        await send(job)
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(send_all(cast("Any", sys.argv[1] if len(sys.argv) > 1 else "sync")))

"""Many accounts on workers of Celery: each job is resumed, and no account runs twice at once.

    pip install "syncro-async[redis]" "celery[redis]"
    export FLEET_ACCOUNTS=/srv/fleet/accounts.toml FLEET_FOLDER=/srv/fleet/data
    export FLEET_REDIS=redis://localhost:6379/0 SYNCRO_LIMITER=redis://localhost:6379/1
    celery -A examples.fleet_celery worker --pool threads --concurrency 30
    python -m examples.fleet_celery sync        # every night: sends one job for each account

A job waits for the budget of its account most of the time, so threads are enough. The workers read
the keys where accounts.toml says, so no key goes through Redis. FLEET_RECLAIM is after how many
seconds a job of a dead worker is given to another one (600), FLEET_TIME_LIMIT how long a run may
take before the job is put back into the queue (3600), and FLEET_MAX_WAIT how long a run waits for a
key that is paused or used up (300).
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime
from typing import Any, Literal, cast

import msgspec
from celery import Celery

from syncro_async import Progress
from syncro_async.fleet import AccountJob, Accounts, run_account_job

REDIS = os.environ.get("FLEET_REDIS", "redis://localhost:6379/0")
ACCOUNTS = Accounts.read(os.environ.get("FLEET_ACCOUNTS", "accounts.toml"))
FOLDER = os.environ.get("FLEET_FOLDER", "fleet")
RECLAIM = float(os.environ.get("FLEET_RECLAIM", "600"))
TIME_LIMIT = float(os.environ.get("FLEET_TIME_LIMIT", "3600"))
MAX_WAIT = float(os.environ.get("FLEET_MAX_WAIT", "300"))

app = Celery("fleet", broker=REDIS, backend=REDIS)
app.conf.update(
    task_default_queue="syncro-fleet",
    # Acknowledged late, when the job has ended: one whose worker dies is given to another one.
    task_acks_late=True,
    # A worker takes no more jobs than it can work on.
    worker_prefetch_multiplier=1,
    # After this time Celery gives a job to another worker, also when the first one lives: then the
    # second run ends at once, and the job comes back when the lease of the first would end.
    broker_transport_options={
        "visibility_timeout": RECLAIM,
        "unacked_restore_interval": min(10.0, RECLAIM / 4),
        "unacked_restore_throttle": 1,
    },
    result_expires=2 * 86_400,
    broker_connection_retry_on_startup=True,
)


@app.task(bind=True, name="account_job")  # type: ignore[untyped-decorator]  # Celery has no types
def account_job(self: Any, message: dict[str, Any]) -> dict[str, Any]:
    """Run the job of one account, and put it back into the queue when it is not at its end."""

    def report(now: Progress) -> None:
        self.update_state(state="PROGRESS", meta=msgspec.to_builtins(now))

    receipt = asyncio.run(
        run_account_job(
            AccountJob.from_message(message),
            keys=ACCOUNTS,
            folder=FOLDER,
            on_progress=report,
            max_wait=MAX_WAIT,
            time_limit=TIME_LIMIT,
        )
    )
    if receipt.next_job is not None:
        send(receipt.next_job, receipt.come_back_at)
    return receipt.to_message()


def send(job: AccountJob, at: datetime | None = None) -> None:
    """Put the job into the queue, for that time (None: now)."""
    account_job.apply_async((job.to_message(),), eta=at, task_id=job.task_id())


def send_all(kind: Literal["export", "sync", "import"]) -> None:
    """Put the job of today for every account into the queue. Twice a day does no harm."""
    for job in ACCOUNTS.jobs(kind, datetime.now(UTC).date()):
        send(job)


if __name__ == "__main__":
    send_all(cast("Any", sys.argv[1] if len(sys.argv) > 1 else "sync"))

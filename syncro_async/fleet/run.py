"""Runs the job of one account: under its lease, in its folder, and to a receipt in every case."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

import msgspec

from syncro_async._internal.worker_thread import WorkerThread
from syncro_async.client import AsyncClient
from syncro_async.clock import Clock, SystemClock
from syncro_async.dialects import SYNCRO, Dialect
from syncro_async.errors import (
    AccountSuspendedError,
    APIError,
    AuthenticationError,
    BudgetWaitError,
    ConfigurationError,
    RateLimitedError,
    ServerError,
    SyncroError,
    UnexpectedResponseError,
    without_keys,
)
from syncro_async.events import Event, RequestSent
from syncro_async.fleet.accounts import Accounts
from syncro_async.fleet.classify import Verdict, verdict_on, verdict_on_result
from syncro_async.fleet.folder import AccountFolder
from syncro_async.fleet.jobs import AccountJob, JobReceipt, backoff, digest_of
from syncro_async.fleet.keys import KeySource, ask
from syncro_async.fleet.lease import HeldLease
from syncro_async.fleet.progress import ProgressListener, ProgressRelay
from syncro_async.fleet.work import Plan, do_work, plan_of
from syncro_async.limiting.job_leases import job_store
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.limiting.registry import key_hash
from syncro_async.retrying.policy import RetryPolicy

if TYPE_CHECKING:
    from syncro_async.transport.http_engine import Transport
else:
    Transport = Any  # loaded on first use

logger = logging.getLogger("syncro_async")

# An account needs few connections: its budget is one request a second.
_CONNECTIONS = 4
_ANOTHER_RUN = "another run of this job is at work"


class ClientArguments(TypedDict, total=False):
    """The arguments of `AsyncClient` that a run passes on."""

    base_url: str | None
    dialect: Dialect
    rate_limit: RateLimit | Sequence[RateLimit] | None
    retry: RetryPolicy | None
    timeout: float
    max_connections: int
    transport: Transport | None
    tls: ssl.SSLContext | None
    engine: Literal["httpx", "httpx2"] | None


async def run_account_job(
    job: AccountJob,
    *,
    keys: KeySource,
    folder: str | os.PathLike[str],
    limiter: str | None = None,
    on_progress: ProgressListener | None = None,
    max_wait: float | None = None,
    time_limit: float | None = None,
    force: bool = False,
    max_attempts: int = 5,
    lease_seconds: float = 30.0,
    clock: Clock | None = None,
    **client: Unpack[ClientArguments],
) -> JobReceipt:
    """Run the job of one account, and return what became of it.

        receipt = await run_account_job(job, keys=keys, folder="nightly")
        if receipt.next_job is not None:
            print("again at", receipt.come_back_at)

    The files of the account are in `FOLDER/ACCOUNT`: `leads.db` or the exported file, and
    `receipt.json`. A job that is done for its day is not done again. A second run of a job that is
    at work ends at once, with the outcome `"running"`. A run that was killed is continued by the
    next one in the same folder, and begun again in another folder.

    Nothing that happens to the account is raised: a refused key, a suspended account and wrong
    options are the outcome `"failed"`. A full budget, a `Retry-After` and a fault of the network
    are `"later"`, and `next_job` is what to put into the queue for `come_back_at`. A cancelled run
    raises `CancelledError` and is continued by the next one.

    - `job`: the job
    - `keys`: where the key comes from: a function from the name of an account to its key, such as
      `EnvironmentKeys`, `FileKeys` or `Accounts`, whose `base_url` and `limiter` apply too
    - `folder`: the folder of the fleet, on a disk of this machine, or shared with reliable locks
    - `limiter`: where budgets and leases are kept, a URL as for `AsyncClient` (None: the
      environment's SYNCRO_LIMITER, else this process)
    - `on_progress`: a function, sync or async, that is given a `Progress`, at most once a second
    - `max_wait`: a key that is paused or used up for longer (s) makes the job come back later
      (None: the run waits)
    - `time_limit`: a run that takes longer (s) ends, and the job goes on in the next run (None: no
      limit)
    - `force`: do the job also when it is done for its day
    - `max_attempts`: how often a job is tried that fails for the network or the server
    - `lease_seconds`: how long the lease lasts without being renewed (s). So long a job of a dead
      machine waits for another one
    - `clock`: for tests
    - `client`: further arguments of `AsyncClient`: `base_url`, `dialect`, `rate_limit`, `retry`,
      `timeout`, `max_connections`, `transport`, `tls`, `engine`
    """
    options: dict[str, Any] = {"max_connections": _CONNECTIONS, **client}
    wall = clock or SystemClock()
    settings = _Settings(max_wait, time_limit, force, max_attempts, lease_seconds)
    place = AccountFolder(Path(folder), job.account, job.kind)
    run = _Run(job, keys, place, limiter, options, settings, on_progress, wall)
    return await run.receipt()


@dataclass(frozen=True, slots=True)
class _Settings:
    """The arguments of `run_account_job` of these names."""

    max_wait: float | None
    time_limit: float | None
    force: bool
    max_attempts: int
    lease_seconds: float


class _AccountKey:
    """The `api_key` of the client: asks the key source, and names the account, not the key.

    So the files of the account go on with a new key (see `settings.account_of`).
    """

    def __init__(self, keys: KeySource, account: str, thread: WorkerThread) -> None:
        self.__module__, self.__qualname__ = "fleet", account
        self._keys = keys
        self._thread = thread

    async def __call__(self) -> str:
        return await ask(self._keys, self.__qualname__, self._thread)


@dataclass(eq=False, slots=True)
class _Run:
    """One run of a job."""

    job: AccountJob
    keys: KeySource
    folder: AccountFolder
    limiter: str | None
    options: dict[str, Any]
    settings: _Settings
    on_progress: ProgressListener | None
    clock: Clock
    thread: WorkerThread = field(default_factory=WorkerThread)
    requests: int = 0
    began: float = field(init=False)
    day: date = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock.monotonic()
        self.day = self.job.day or self._now().date()

    async def receipt(self) -> JobReceipt:
        """Run the job, unless it is done or runs elsewhere."""
        async with self.thread as thread:
            thread.on_exit(self.folder.close)
            try:
                self._take_account_settings()
                if not await thread(self.folder.lock):
                    return self._running(self.settings.lease_seconds)
                plan = await thread(plan_of, self.job, self.folder.path)
                digest = digest_of(self.job, plan.content)
                done = await thread(self.folder.done, digest, self.day)
                if done is not None and not self.settings.force:
                    return msgspec.structs.replace(done, skipped=True)
                return await self._under_lease(plan, digest)
            except Exception as error:  # noqa: BLE001  # it ends this job, and no other one
                return self._failed(error)

    def _take_account_settings(self) -> None:
        if isinstance(self.keys, Accounts):
            account = self.keys[self.job.account]
            self.options["base_url"] = account.base_url or self.options.get("base_url")
            self.limiter = account.limiter or self.limiter
        dialect = self.options.get("dialect", SYNCRO)
        limiter = self.limiter or os.environ.get(f"{dialect.environment}_LIMITER") or None
        # As for the budget: "host" is for programs that send real requests in real time.
        simulated = self.options.get("transport") is not None or self.clock != SystemClock()
        self.limiter = None if limiter == "host" and simulated else limiter

    async def _under_lease(self, plan: Plan, digest: str) -> JobReceipt:
        store = job_store(self.limiter, self.clock)
        name = f"{self.job.account}:{self.job.kind}"
        seconds = self.settings.lease_seconds
        lease = HeldLease(store, name, self.folder.place, seconds, self.clock)
        try:
            if rest := await lease.take():
                return self._running(rest)
            receipt = await self._supervised(plan, digest, lease)
            await self.thread(self.folder.write, receipt, digest)
        finally:
            await lease.release()
            await store.aclose()
        return receipt

    async def _supervised(self, plan: Plan, digest: str, lease: HeldLease) -> JobReceipt:
        """Work until the work, the lease or the time is over."""
        work = asyncio.create_task(self._attempt(plan, digest, lease))
        keeper = asyncio.create_task(lease.keep())
        tasks: set[asyncio.Task[Any]] = {work, keeper}
        if self.settings.time_limit is not None:
            tasks.add(asyncio.create_task(self.clock.sleep(self.settings.time_limit)))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            if keeper.done():
                return self._lease_lost()
            reason = f"the time limit of {self.settings.time_limit:g} s is over; the next run"
            return self._later(f"{reason} goes on where this one stopped", 0.0)
        finally:
            lease.stop()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            if not keeper.cancelled():
                keeper.exception()  # retrieved, so that asyncio does not report it

    async def _attempt(self, plan: Plan, digest: str, lease: HeldLease) -> JobReceipt:
        try:
            with lease.guards_requests():
                async with ProgressRelay(self.on_progress, self.clock) as relay:
                    receipt = await self._work(plan, digest, relay)
        except Exception as error:  # noqa: BLE001  # it ends this job, and no other one
            return self._lease_lost() if lease.is_over() else self._failed(error)
        return msgspec.structs.replace(receipt, file=str(plan.file))

    async def _work(self, plan: Plan, digest: str, relay: ProgressRelay) -> JobReceipt:
        key = _AccountKey(self.keys, self.job.account, self.thread)
        fingerprint = key_hash(await key())
        async with AsyncClient(
            key,
            limiter=self.limiter,
            clock=self.clock,
            observers=(self._count,),
            lane="bulk",  # an interactive call would slow the bulk lane of the key down
            **self.options,
        ) as client:
            await self._check_budget(client)
            await self._check_account(client, fingerprint)
            was_done = await self.thread(self.folder.was_done, digest)
            resume = not (self.settings.force and was_done)
            result = await do_work(client, self.job, plan, resume=resume, on_progress=relay)
        found: dict[str, Any] = msgspec.to_builtins(result)
        problem = verdict_on_result(result)
        if problem is None:
            return self._ended("done", result=found)
        return msgspec.structs.replace(self._judged(*problem), result=found)

    async def _check_budget(self, client: AsyncClient) -> None:
        """Raise `BudgetWaitError` when the key cannot be used for longer than `max_wait`."""
        budget = await client.refresh_budget()
        wait = max(budget.gate_closed_for, budget.next_free_in)
        longest = self.settings.max_wait
        if longest is not None and wait > longest:
            raise BudgetWaitError(
                f"the budget of the key is used up or paused for {wait:.0f} s, which is longer than"
                f" max_wait={longest:g}",
                wait_needed=wait,
            )

    async def _check_account(self, client: AsyncClient, fingerprint: str) -> None:
        """Make sure that a new key belongs to the account whose leads are in the folder.

        A key that was used last costs no request, any other costs one. Raises `ConfigurationError`
        for the key of another account.
        """
        known = await self.thread(self.folder.binding)
        if known is not None and known[1] == fingerprint:
            return
        found = await _account_id(client)
        if known is not None and (not found or found != known[0]):
            before = known[0] or "that could not be read"
            raise ConfigurationError(
                f"the folder {self.folder.path} has the leads of the account {before}, and the key"
                f" belongs to the account {found or 'that cannot be read (scope users:read)'};"
                " check which key this account has, or move the folder away"
            )
        await self.thread(self.folder.bind, found, fingerprint)

    def _count(self, event: Event) -> None:
        self.requests += isinstance(event, RequestSent)

    # ------------------------------------------------------------------ receipts, no await

    def _failed(self, error: Exception) -> JobReceipt:
        if not isinstance(error, SyncroError | OSError):
            logger.debug("the job of account %s failed", self.job.account, exc_info=error)
        return self._judged(verdict_on(error), _reason_of(error))

    def _judged(self, verdict: Verdict, reason: str) -> JobReceipt:
        attempt = self.job.attempt
        if not verdict.retry:
            return self._ended("failed", reason=reason)
        if verdict.wait is not None:
            return self._later(reason, verdict.wait)
        if attempt >= self.settings.max_attempts:
            return self._ended("failed", reason=f"{reason} ({attempt} attempts)")
        later = self._later(reason, backoff(attempt))
        return msgspec.structs.replace(later, next_attempt=attempt + 1)

    def _later(self, reason: str, wait: float) -> JobReceipt:
        return self._ended("later", reason=reason, wait=wait)

    def _running(self, wait: float) -> JobReceipt:
        return self._ended("running", reason=_ANOTHER_RUN, wait=wait)

    def _lease_lost(self) -> JobReceipt:
        reason = "the lease of this run is over, and another run may have begun"
        return self._later(reason, self.settings.lease_seconds)

    def _ended(
        self,
        outcome: Literal["done", "failed", "later", "running"],
        *,
        reason: str | None = None,
        wait: float | None = None,
        result: dict[str, Any] | None = None,
    ) -> JobReceipt:
        now, job = self._now(), self.job
        return JobReceipt(
            account=job.account,
            kind=job.kind,
            options=job.options,
            day=self.day,
            attempt=job.attempt,
            outcome=outcome,
            ended_at=now,
            reason=reason,
            come_back_at=None if wait is None else now + timedelta(seconds=wait),
            next_attempt=job.attempt,
            requests=self.requests,
            seconds=self.clock.monotonic() - self.began,
            result=result,
        )

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.wall(), UTC)


async def _account_id(client: AsyncClient) -> str:
    """The id of the account, or nothing where the key may not read it."""
    try:
        return str((await client.account.get()).id)
    except (AuthenticationError, AccountSuspendedError, RateLimitedError, ServerError):
        raise
    except (APIError, UnexpectedResponseError):
        return ""


def _reason_of(error: Exception) -> str:
    return without_keys(_text_of(error))


def _text_of(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        place = "" if error.filename is None else f"{error.filename}: "
        return f"{place}{error.strerror}"
    if isinstance(error, SyncroError):
        return str(error)
    return f"{type(error).__name__}: {error}"

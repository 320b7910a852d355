"""Finds the store that keeps the job leases: the one that keeps the budget."""

from __future__ import annotations

import threading

from syncro_async._internal.forks import register_for_fork
from syncro_async.clock import Clock
from syncro_async.limiting.from_url import location_of
from syncro_async.limiting.host import host_file
from syncro_async.limiting.shared.job_lease import JobClaim, JobHolder, JobStore, decide
from syncro_async.limiting.shared.sqlite_store import SqliteStore
from syncro_async.limiting.shared.store import StoreHandle

# The name of the file of `limiter="host"`, in which a key has a file of its own for its budget.
_HOST_FILE = "jobs"


class MemoryJobStore:
    """The job leases of this process; all objects with equal clocks share them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def claim_job(self, claim: JobClaim) -> float:
        """Take, renew or release a lease. See `JobStore.claim_job`."""
        key = (self._clock, claim.name)
        with _held.lock:
            after, wait = decide(_held.leases.get(key), claim, self._clock.monotonic())
            if after is None:
                _held.leases.pop(key, None)
            else:
                _held.leases[key] = after
        return wait

    async def aclose(self) -> None:
        """Nothing to close."""


class _Held:
    """The leases of this process; a forked child has none."""

    def __init__(self) -> None:
        self.reset_after_fork()
        register_for_fork(self)

    def reset_after_fork(self) -> None:
        """A thread of the parent may hold its lock, and its jobs do not run in the child."""
        self.lock = threading.Lock()
        self.leases: dict[tuple[Clock, str], JobHolder] = {}


_held = _Held()


def job_store(limiter: str | None, clock: Clock) -> JobStore:
    """The store of the job leases beside the budget that this URL names.

    `limiter` is a URL as `AsyncClient` takes it, and None stands for `memory://`. `"host"` keeps
    them in a file beside those of the budgets. Raises `ConfigurationError` for a URL of no limiter.
    """
    if limiter in (None, "memory://"):
        return MemoryJobStore(clock)
    if limiter == "host":
        file = host_file(_HOST_FILE, clock)
        if file is None:
            return MemoryJobStore(clock)
        return StoreHandle((file, clock), lambda: SqliteStore(file, clock))
    place = location_of(str(limiter))
    # With connections of its own: the many requests about budgets must not keep a lease waiting.
    return StoreHandle((f"jobs at {place.address}", clock), lambda: place.store(clock))

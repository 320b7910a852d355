"""Holds the job lease of a run: taken before it, renewed beside it, and checked at each request."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress

from syncro_async.clock import Clock
from syncro_async.errors import ConfigurationError
from syncro_async.limiting.context import use_wait_hooks
from syncro_async.limiting.shared.job_lease import JobClaim, JobStore
from syncro_async.limiting.shared.store import StoreUnreachableError

# A lease is renewed so many times before it would end, and more often while its store is away.
_RENEWALS = 3
_ATTEMPTS = 30
# How often a run asks for its lease before it gives up. The event loop of a busy worker can take
# longer than the patience of the store's client, which then looks like a store that is away.
_TAKES = 3


class LeaseLostError(ConfigurationError):
    """The lease of the run has ended, so the run may not send any more."""


class HeldLease:
    """The lease of one run of a job.

    `valid_until` is counted from before the store was asked, so it never ends later than in the
    store. A run that was stopped for longer finds it over, and sends nothing more: another run may
    have begun since. Once over, a lease is never valid again.

    - `store`: where the leases are kept
    - `name`, `place`: the job, and where it runs; see `JobClaim`
    - `seconds`: how long the lease lasts without being renewed
    """

    def __init__(
        self, store: JobStore, name: str, place: str, seconds: float, clock: Clock
    ) -> None:
        self._store = store
        self._name = name
        self._place = place
        self._seconds = seconds
        self._clock = clock
        self._holder = secrets.token_hex(16)
        self._wait = seconds / _RENEWALS
        self._ends = False
        self.valid_until = -math.inf

    async def take(self) -> float:
        """Take the lease. Returns 0.0, or in how many seconds that of another run ends.

        Raises `StoreUnreachableError` when the store is out of reach three times in a row, and
        `ConfigurationError`.
        """
        for _ in range(_TAKES - 1):
            with suppress(StoreUnreachableError):
                return await self._claim(renews=False)
            await self._clock.sleep(self._seconds / _ATTEMPTS)
        return await self._claim(renews=False)

    async def keep(self) -> None:
        """Renew the lease until it is lost, or until `stop`; returns then."""
        while await self._renewed():
            pass

    async def _renewed(self) -> bool:
        """Wait, and renew the lease. Returns False when that is over."""
        await self._clock.sleep(self._wait)
        if self.is_over():
            return False
        try:
            if await self._claim(renews=True):
                self.valid_until = -math.inf
                return False
            self._wait = self._seconds / _RENEWALS
        except StoreUnreachableError:
            # It may answer before the lease is over.
            self._wait = self._seconds / _ATTEMPTS
        return not self._ends

    def stop(self) -> None:
        """End `keep`, also when a library of the store swallows its cancellation."""
        self._ends = True

    async def release(self) -> None:
        """Let another run have the lease; without the store it ends by itself."""
        self.valid_until = -math.inf
        claim = JobClaim(self._name, self._holder, self._place, 0.0, renews=True)
        with suppress(StoreUnreachableError, ConfigurationError):
            await self._store.claim_job(claim)

    def is_over(self) -> bool:
        """Whether another run may have the lease now."""
        return self._clock.monotonic() >= self.valid_until

    @contextmanager
    def guards_requests(self) -> Iterator[None]:
        """While the block runs, no request of its tasks is sent once the lease is over."""
        with use_wait_hooks(_Fence(self)):
            yield

    async def _claim(self, *, renews: bool) -> float:
        asked_at = self._clock.monotonic()
        claim = JobClaim(self._name, self._holder, self._place, self._seconds, renews)
        wait = await self._store.claim_job(claim)
        # A late answer of a store says nothing of a lease that has ended meanwhile.
        if not wait and not (renews and self.is_over()):
            self.valid_until = asked_at + self._seconds
        return wait


class _Fence:
    """Stops the requests of a run whose lease is over (see `WaitHooks`)."""

    def __init__(self, lease: HeldLease) -> None:
        self._lease = lease

    def waiting(self) -> AbstractContextManager[None]:
        """Nothing is to be done while a call waits for budget."""
        return nullcontext()

    async def before_send(self) -> None:
        """Raise `LeaseLostError` when the lease is over."""
        if self._lease.is_over():
            raise LeaseLostError(
                "the lease of this job is over, because the process was stopped or its store was"
                " out of reach; nothing was sent, and the job goes on in another run"
            )

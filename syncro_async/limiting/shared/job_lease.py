"""Decides who may run a job: the rule of the job leases, which is the same in every store.

A job lease is the right to run one job. Its holder renews it while the job runs. It ends when it is
released, or when it was not renewed in time.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import msgspec


class JobClaim(NamedTuple):
    """What a process asks of a job lease.

    - `name`: the job
    - `holder`: names this run, a new one for each
    - `place`: where the job runs. There is one run at a place at a time, which the caller ensures.
      So an earlier holder of the same place is dead, and its lease can be taken over
    - `seconds`: how long the lease lasts from now; 0.0 releases it
    - `renews`: the lease was taken before, so no other holder's may be taken over
    """

    name: str
    holder: str
    place: str
    seconds: float
    renews: bool = False


class JobHolder(msgspec.Struct, frozen=True):
    """Who has a job lease, where the job runs, and when the lease ends (s of the store's clock)."""

    holder: str
    place: str
    expires_at: float


class JobStore(Protocol):
    """Keeps job leases; every claim is atomic across processes."""

    async def claim_job(self, claim: JobClaim) -> float:
        """Take, renew or release a lease; see `decide`.

        Returns 0.0 when the claim was granted, else in how many seconds the lease of the other
        holder ends. Raises `ConfigurationError` for a store that cannot be used, and
        `StoreUnreachableError` for one that does not answer.
        """

    async def aclose(self) -> None:
        """Close files and connections."""


def decide(held: JobHolder | None, claim: JobClaim, now: float) -> tuple[JobHolder | None, float]:
    """The lease after the claim, and the rest of another holder's lease (s; 0.0: granted).

    `held` is the lease as it is stored, None without one.
    """
    if held is not None and held.holder != claim.holder and held.expires_at > now:
        is_dead = held.place == claim.place and not claim.renews
        if not is_dead:
            return held, held.expires_at - now
    if claim.seconds <= 0.0:
        return None, 0.0
    return JobHolder(claim.holder, claim.place, now + claim.seconds), 0.0

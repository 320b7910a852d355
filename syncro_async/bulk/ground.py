"""What a bulk job stands on: the client's calls, its budget and its time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import msgspec

from syncro_async.clock import Clock
from syncro_async.limiting.limiter import Budget, Lane
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.resources.leads import Leads
from syncro_async.transport.exchange import CallOptions
from syncro_async.transport.tally import Tally

# What an answer is taken to need before any has come (s).
_USUAL_LATENCY = 0.3


@dataclass(frozen=True, slots=True)
class Ground:
    """Handed to every job by the client it belongs to.

    `account` tells accounts apart and shows no key, `lane` is the lane the job's calls stand in,
    `client` what tells this client's calls from another's, and `tally` counts all of them.
    """

    ask_leads: Callable[[], Leads]
    request: Callable[..., Awaitable[Any]]
    budget: Callable[[], Budget]
    rates: tuple[RateLimit, ...]
    clock: Clock
    base_url: str
    account: str
    lane: Lane
    client: object
    tally: Tally

    @property
    def leads(self) -> Leads:
        """The calls about leads. Raises `ConfigurationError` where the service has none."""
        return self.ask_leads()

    @property
    def latency(self) -> float:
        """How long an answer takes (s): the mean of all so far, or what is usual before any."""
        measured = self.tally.mean_latency
        return _USUAL_LATENCY if measured is None else measured


@dataclass(frozen=True, slots=True)
class Job:
    """One job under way, and what it has sent so far (`tally`)."""

    ground: Ground
    tally: Tally = field(default_factory=Tally)

    @classmethod
    def on(cls, ground: Ground) -> Job:
        """A job that has sent nothing yet."""
        return cls(ground, Tally(ground.tally))

    def part(self) -> Job:
        """A part of the job whose sends are counted for themselves, too."""
        return Job(self.ground, Tally(self.tally))

    @contextmanager
    def underway(self) -> Iterator[None]:
        """While the block runs, the calls of this task, and of tasks it starts, are the job's."""
        token = _underway.set(self)
        try:
            yield
        finally:
            _underway.reset(token)

    def begin(self) -> None:
        """From here on the calls of this task are the job's: for a task that does nothing else."""
        _underway.set(self)

    def options(self, usual: CallOptions, *, lane_chosen: bool) -> CallOptions:
        """How a call of the job is to be made.

        It stands in the job's lane, or in that of the view it is made through where one was
        chosen, for as long as it takes: `max_wait` is for calls that somebody waits for.
        """
        lane = usual.lane if lane_chosen else self.ground.lane
        return msgspec.structs.replace(usual, tally=self.tally, lane=lane, max_wait=None)


_underway: ContextVar[Job | None] = ContextVar("syncro_async.bulk", default=None)


def job_of(client: object) -> Job | None:
    """The job of this client that the running task works for, if any."""
    job = _underway.get()
    return job if job is not None and job.ground.client is client else None

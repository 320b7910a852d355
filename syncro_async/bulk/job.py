"""What a bulk job uses of the client: its calls, its budget and its clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import msgspec

from syncro_async.clock import Clock
from syncro_async.events import Observers
from syncro_async.limiting.protocol import Budget, Lane
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.resources.leads import Leads
from syncro_async.transport.messages import CallOptions, SendCall, SendStats

# What an answer is taken to need before any has come (s).
_USUAL_LATENCY = 0.3


@dataclass(frozen=True, slots=True)
class JobContext:
    """Handed to every job by the client it belongs to.

    `account` tells accounts apart and shows no key, `lane` is the lane of the job's calls,
    `send` makes a call that no resource has, `client` what tells this client's calls from
    another's, `stats` counts all of them, and `emit` tells the observers.
    `locale` is how files are written, of the environment; None: not known.
    """

    list_leads: Callable[[], Leads]
    request: Callable[..., Awaitable[Any]]
    send: SendCall
    budget: Callable[[], Budget]
    rates: tuple[RateLimit, ...]
    clock: Clock
    base_url: str
    account: str
    lane: Lane
    client: object
    stats: SendStats
    emit: Observers
    locale: str | None = None

    @property
    def leads(self) -> Leads:
        """The calls about leads. Raises `ConfigurationError` where the service has none."""
        return self.list_leads()

    @property
    def latency(self) -> float:
        """How long an answer takes (s): the mean of all so far, or what is usual before any."""
        measured = self.stats.mean_latency
        return _USUAL_LATENCY if measured is None else measured


@dataclass(frozen=True, slots=True)
class Job:
    """One job under way, and what it has sent so far (`stats`)."""

    context: JobContext
    stats: SendStats = field(default_factory=SendStats)

    @classmethod
    def start(cls, ground: JobContext) -> Job:
        """A job that has sent nothing yet."""
        return cls(ground, SendStats(ground.stats))

    def child(self) -> Job:
        """A part of the job whose sends are counted for themselves, too."""
        return Job(self.context, SendStats(self.stats))

    @contextmanager
    def active(self) -> Iterator[None]:
        """While the block runs, the calls of this task, and of tasks it starts, are the job's."""
        token = _active_job.set(self)
        try:
            yield
        finally:
            _active_job.reset(token)

    def activate(self) -> None:
        """From here on the calls of this task are the job's: for a task that does nothing else."""
        _active_job.set(self)

    def options(self, usual: CallOptions, *, lane_chosen: bool) -> CallOptions:
        """How a call of the job is to be made.

        It uses the job's lane, or the lane of the view that makes it, where one was
        chosen, for as long as it takes: `max_wait` is for interactive calls. For the
        same reason it waits when the client has no retries left, and does not fail.
        """
        lane = usual.lane if lane_chosen else self.context.lane
        return msgspec.structs.replace(
            usual, stats=self.stats, lane=lane, max_wait=None, waits_for_quota=True
        )


_active_job: ContextVar[Job | None] = ContextVar("syncro_async.bulk", default=None)


def current_job(client: object) -> Job | None:
    """The job of this client that the running task works for, if any."""
    job = _active_job.get()
    return job if job is not None and job.context.client is client else None

"""Sends one row of an import, and records its outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar, cast

from syncro_async.bulk.importing.failures import action_for, reason_for
from syncro_async.bulk.importing.journal import (
    HALF_MADE,
    MADE,
    NOT_MADE,
    Journal,
    Outcome,
    QueuedRow,
)
from syncro_async.bulk.importing.outage import Outage
from syncro_async.bulk.importing.scheduler import RowScheduler
from syncro_async.bulk.importing.writer import LeadWriter
from syncro_async.bulk.job import Job
from syncro_async.errors import SyncroError

T = TypeVar("T")
OnOutcome = Callable[[Outcome, SyncroError | None], object]


class _Ended(NamedTuple):
    """The outcome of a row, and the error that led to it."""

    outcome: Outcome
    error: SyncroError | None


class Sender:
    """Sends rows and records their outcomes; each task calls `process` for one row."""

    def __init__(
        self,
        *,
        job: Job,
        journal: Journal,
        queue: RowScheduler,
        outage: Outage,
        writer: LeadWriter,
        on_outcome: OnOutcome,
    ) -> None:
        self._job = job
        self._journal = journal
        self._queue = queue
        self._outage = outage
        self._writer = writer
        self._on_outcome = on_outcome

    async def process(self, row: QueuedRow) -> None:
        """Send the row unless the job has stopped, and record its outcome.

        When the stopped job cancels a row before anything is sent, the row stays pending for the
        next run. An exception that is no `SyncroError` is raised; the outcome of the row is then
        unknown if anything was sent.
        """
        part = self._job.child()
        part.activate()
        self._queue.begin(row, part.stats)
        error: SyncroError | None = None
        if self._queue.stopped:
            outcome = Outcome(row.idx, "pending")
        else:
            try:
                outcome, error = await self._outcome_of(row)
            except asyncio.CancelledError:
                if not self._cancelled_by_queue():
                    raise
                outcome = Outcome(row.idx, "pending" if part.stats.sent == 0 else "unknown")
        # Before the journal is written: it may stop rows that would begin in this time.
        self._on_outcome(outcome, error)
        await self._journal.record(outcome)
        self._queue.end(row, lost=outcome.state == "unknown")

    def _cancelled_by_queue(self) -> bool:
        """Return whether only the stopped queue has cancelled the running task."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        return self._queue.stopped and task.uncancel() == 0

    async def _outcome_of(self, row: QueuedRow) -> _Ended:
        sent = await self._try(row, lambda: self._writer.send(row))
        if isinstance(sent, _Ended):
            return sent
        new, lead_id = sent
        made = HALF_MADE if new else NOT_MADE
        tagged = await self._try(row, lambda: self._writer.add_tags(row, lead_id, created=new))
        if isinstance(tagged, _Ended):
            # Tags can be added again, so a lost answer is a failure like any other.
            state = "pending" if tagged.outcome.state == "pending" else "failed"
            outcome = tagged.outcome._replace(state=state, lead_id=lead_id, made=made)
            return _Ended(outcome, tagged.error)
        self._outage.end()
        created = new or row.made != NOT_MADE
        state = "created" if created else "updated"
        return _Ended(Outcome(row.idx, state, lead_id, made=MADE if created else NOT_MADE), None)

    async def _try(self, row: QueuedRow, call: Callable[[], Awaitable[T]]) -> T | _Ended:
        """Make a call until it succeeds or its error decides about the row."""
        while True:
            try:
                return await call()
            except SyncroError as error:
                action = action_for(error)
                again = action == "retry" or (action == "wait" and await self._outage.wait(error))
                if again and not self._queue.stopped:
                    continue
                if again:
                    return _Ended(Outcome(row.idx, "pending"), None)
                if action in {"abort", "wait"}:
                    return _Ended(Outcome(row.idx, "pending"), error)
                if action == "fail":
                    self._outage.end()
                state = "unknown" if action == "reconcile" else "failed"
                outcome = Outcome(row.idx, state, None, reason_for(error), str(error))
                return _Ended(outcome, error)

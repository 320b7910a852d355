"""Sends one row of an import, and records what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from syncro_async.bulk.importing.failures import action_for, reason_for
from syncro_async.bulk.importing.journal import Journal, Outcome, QueuedRow
from syncro_async.bulk.importing.outage import Outage
from syncro_async.bulk.importing.scheduler import RowScheduler
from syncro_async.bulk.job import Job
from syncro_async.errors import SyncroError

# Sends the row; returns whether that created a lead, and the lead's id.
Send = Callable[[QueuedRow], Awaitable[tuple[bool, int]]]
OnOutcome = Callable[[Outcome, SyncroError | None], object]


class Sender:
    """Brings each row to an outcome and records it. `process` is the work of one task."""

    def __init__(
        self,
        *,
        job: Job,
        journal: Journal,
        queue: RowScheduler,
        outage: Outage,
        send: Send,
        on_outcome: OnOutcome,
    ) -> None:
        self._job = job
        self._journal = journal
        self._queue = queue
        self._outage = outage
        self._send = send
        self._on_outcome = on_outcome

    async def process(self, row: QueuedRow) -> None:
        """Send the row unless the job has stopped meanwhile, and record its outcome.

        A row that was called away before anything was sent waits for the next run. What is no
        error of ours is raised, and leaves the row's outcome unknown if anything was sent.
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
                if not self._was_called_away():
                    raise
                outcome = Outcome(row.idx, "pending" if part.stats.sent == 0 else "unknown")
        # First, for it may call off rows whose turn comes while this outcome is being written.
        self._on_outcome(outcome, error)
        await self._journal.record(outcome)
        self._queue.end(row, lost=outcome.state == "unknown")

    def _was_called_away(self) -> bool:
        """Return whether it is the stopped queue alone that cancelled the running task."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        return self._queue.stopped and task.uncancel() == 0

    async def _outcome_of(self, row: QueuedRow) -> tuple[Outcome, SyncroError | None]:
        while True:
            try:
                created, lead_id = await self._send(row)
            except SyncroError as error:
                action = action_for(error)
                if action == "retry" or (action == "wait" and await self._outage.wait(error)):
                    if not self._queue.stopped:
                        continue
                    return Outcome(row.idx, "pending"), None
                if action == "fail":
                    self._outage.end()
                    return Outcome(row.idx, "failed", None, reason_for(error), str(error)), error
                if action == "reconcile":
                    return Outcome(row.idx, "unknown", None, reason_for(error), str(error)), error
                return Outcome(row.idx, "pending"), error
            self._outage.end()
            return Outcome(row.idx, "created" if created else "updated", lead_id), None

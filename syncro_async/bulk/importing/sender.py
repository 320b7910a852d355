"""Sends one row of an import, and finds out what became of it when its answer is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec

from syncro_async.bulk.importing.failures import action_for, reason_for
from syncro_async.bulk.importing.fields import FieldMapping
from syncro_async.bulk.importing.journal import Journal, Outcome, QueuedRow
from syncro_async.bulk.importing.reconcile import Reconciler
from syncro_async.bulk.importing.scheduler import RowScheduler
from syncro_async.bulk.job import Job
from syncro_async.errors import SyncroError
from syncro_async.limiting.protocol import LATE_ARRIVAL_GRACE
from syncro_async.transport.messages import SendStats

# How often a row is sent whose answer is lost every time and that is never found at the server.
_SENDS = 4

# Sends the fields; returns whether that created a lead, and the lead's id.
Send = Callable[[dict[str, Any]], Awaitable[tuple[bool, int]]]
_Ended = tuple[Outcome, SyncroError | None]
OnOutcome = Callable[[Outcome, SyncroError | None], object]


class Sender:
    """Carries each row to an outcome and writes it down. `carry` is the work of one task."""

    def __init__(
        self,
        *,
        job: Job,
        journal: Journal,
        fields: FieldMapping,
        queue: RowScheduler,
        reconciler: Reconciler,
        send: Send,
        on_outcome: OnOutcome,
    ) -> None:
        self._job = job
        self._clock = job.context.clock
        self._journal = journal
        self._fields = fields
        self._queue = queue
        self._reconciler = reconciler
        self._send = send
        self._on_outcome = on_outcome
        self._began = self._clock.monotonic()

    async def process(self, row: QueuedRow) -> None:
        """Send the row unless the job has stopped meanwhile, and see to it that it has an outcome.

        A row that was called away before anything was sent waits for the next run. What is no
        error of ours is raised, and leaves the row in doubt if anything was sent.
        """
        part = self._job.child()
        part.activate()
        self._queue.begin(row, part.stats)
        error: SyncroError | None = None
        if self._queue.stopped and row.state == "pending":
            outcome = Outcome(row.idx, "pending")
        else:
            try:
                outcome, error = await self._outcome_of(row, part.stats)
            except asyncio.CancelledError:
                if not self._was_called_away(row):
                    raise
                outcome = Outcome(row.idx, "pending" if part.stats.sent == 0 else "unknown")
        # First, for it may call off rows whose turn comes while this outcome is being written.
        self._on_outcome(outcome, error)
        await self._journal.record(outcome)
        self._queue.end(row)

    def _was_called_away(self, row: QueuedRow) -> bool:
        """Whether it is the stopped queue alone that cancelled the running task."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        return self._queue.stopped and row.state == "pending" and task.uncancel() == 0

    async def _outcome_of(self, row: QueuedRow, tally: SendStats) -> _Ended:
        fields, _ = self._fields.convert(msgspec.json.decode(row.body))
        # When the answer was lost; that of an earlier run's row, before this one began.
        lost = self._began if row.state == "unknown" else None
        sends = 0
        while True:
            done = None if lost is None else await self._reconcile(row, fields, lost)
            if done is not None:
                return done
            try:
                return await self._sent(row, fields, tally, again=lost is not None), None
            except SyncroError as error:
                action = action_for(error)
                sends += action != "retry"
                now = self._clock.monotonic()
                if action == "reconcile" and sends < _SENDS:
                    lost = now
                elif action == "abort":
                    return Outcome(row.idx, "pending" if lost is None else "unknown"), error
                elif action in {"reconcile", "reconcile_only"}:
                    return await self._reconcile(row, fields, now) or _failed(row, error)
                elif action == "fail":
                    return _failed(row, error)

    async def _sent(
        self, row: QueuedRow, fields: dict[str, Any], tally: SendStats, *, again: bool
    ) -> Outcome:
        before = tally.sent
        created, lead_id = await self._send(fields)
        if not created and (again or tally.sent > before + 1):
            created = await self._was_created(row, fields, lead_id)
        return Outcome(row.idx, "created" if created else "updated", lead_id)

    async def _reconcile(
        self, row: QueuedRow, fields: dict[str, Any], lost: float
    ) -> _Ended | None:
        """What the server shows of a row whose answer was lost; None: it was not carried out."""
        # A request whose connection broke may still be on its way to the server.
        await self._clock.sleep(lost + LATE_ARRIVAL_GRACE - self._clock.monotonic())
        try:
            done = await self._reconciler.find_result(fields, row.idx, row.sent_at or 0.0)
        except SyncroError as error:
            text = f"its answer was lost, and looking it up failed: {error}"
            return Outcome(row.idx, "unknown", None, reason_for(error), text), error
        return None if done is None else (Outcome(row.idx, *done), None)

    async def _was_created(self, row: QueuedRow, fields: dict[str, Any], lead_id: int) -> bool:
        """Whether a lead that was found when its row came again is what the first attempt made."""
        try:
            return await self._reconciler.was_created(fields, row.idx, row.sent_at or 0.0, lead_id)
        except SyncroError:
            return False  # it is at the server in any case; only how it is counted may be wrong


def _failed(row: QueuedRow, error: SyncroError) -> _Ended:
    return Outcome(row.idx, "failed", None, reason_for(error), str(error)), error

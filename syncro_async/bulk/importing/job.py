"""Imports leads so that every row is carried out once at the server."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import aclosing
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from syncro_async._internal.checks import is_int, is_number
from syncro_async.bulk.concurrent_map import Failed, Outcomes
from syncro_async.bulk.files.formats import as_path, check_suffix
from syncro_async.bulk.importing import journal as journal_db
from syncro_async.bulk.importing.account import bind_account
from syncro_async.bulk.importing.calls import LeadCalls
from syncro_async.bulk.importing.diff import PAGE_SIZE, Comparison, changes_in, pages_of
from syncro_async.bulk.importing.failures import (
    FailureLimit,
    action_for,
    check_writable,
    write_failures,
)
from syncro_async.bulk.importing.fields import FieldMapping, Kind, definitions_from
from syncro_async.bulk.importing.journal import Journal, Outcome, QueuedRow
from syncro_async.bulk.importing.outage import Outage, is_passing
from syncro_async.bulk.importing.reconcile import Lost, Reconciler, outcome_of, since_of
from syncro_async.bulk.importing.scheduler import RowScheduler
from syncro_async.bulk.importing.sender import Sender
from syncro_async.bulk.importing.staging import RowStaging, Source
from syncro_async.bulk.job import Job, JobContext
from syncro_async.bulk.progress import OnProgress, ProgressReporter
from syncro_async.errors import (
    AuthenticationError,
    ConnectionFailedError,
    ImportStoppedError,
    PermissionDeniedError,
    SyncroError,
)
from syncro_async.models.receipts import ImportSummary, RowChange
from syncro_async.resources.arguments import MatchBy

# The client has this many connections; more tasks would only wait in the queue.
_CONCURRENCY = 20
_DONE = ("created", "updated", "unchanged", "repeat")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """The options of an import, with the names and meanings of `Bulk.upsert_leads`.

    Raises `ValueError` for an option that is not valid.
    """

    kind: Kind
    rows: Source
    match_by: MatchBy = "email_or_phone"
    columns: Mapping[str, str | None] | None = None
    defaults: Mapping[str, Any] | None = None
    definitions: Iterable[Any] | None = None
    journal: Path | None = None
    failures: Path | None = None
    canary: int = 20
    max_failures: int | None = None
    server_time_limit: float = 30.0
    max_outage: float = 900.0
    diff: bool = False
    dry_run: bool = False
    on_progress: OnProgress | None = None
    fields: FieldMapping = field(init=False)

    def __post_init__(self) -> None:
        source = as_path(self.rows)
        for path in filter(None, (source, self.failures)):
            check_suffix(path)
        for name, other in (("of the rows", source), ("of the journal", self.journal)):
            if other and self.failures and other.resolve() == self.failures.resolve():
                raise ValueError(
                    f"failures must not be the file {name} ({self.failures}); name another file"
                )
        for name in ("canary", "max_failures"):
            value = getattr(self, name)
            if value is not None and not (is_int(value) and value >= 0):
                raise ValueError(f"{name}={value!r} must be an integer of 0 or more")
        for name in ("server_time_limit", "max_outage"):
            value = getattr(self, name)
            if not (is_number(value) and 0 <= value < math.inf):
                raise ValueError(f"{name}={value!r} must be a number of seconds, 0 or more")
        known = None if self.definitions is None else definitions_from(self.definitions)
        fields = FieldMapping(self.kind, self.match_by, self.columns, self.defaults, known)
        object.__setattr__(self, "fields", fields)

    def facts(self, context: JobContext) -> dict[str, str]:
        """Return the settings that all runs with one journal must share."""
        return {
            "kind": self.kind,
            "match_by": self.match_by,
            "base_url": context.base_url,
            "columns": repr(sorted((self.columns or {}).items())),
            "defaults": repr(sorted((self.defaults or {}).items())),
            "diff": str(self.diff),
        }


class Import:
    """One run of an import."""

    def __init__(self, context: JobContext, options: ImportOptions) -> None:
        self._context = context
        self._options = options
        self._job = Job.start(context)
        self._progress = ProgressReporter(self._job, "import", options.on_progress)
        self._cause: SyncroError | None = None
        self._stop_reason: str | None = None
        self._attempted_rows = 0
        self._queue: RowScheduler | None = None
        self._outage = Outage(context.clock, options.max_outage)
        self._last_lost_at = context.clock.monotonic()

    async def run(self) -> ImportSummary:
        """Check the rows, compare them with the leads where required, and send them."""
        options = self._options
        self._calls = LeadCalls(self._context)
        path = None if options.dry_run else options.journal
        with self._job.active():
            async with Journal(path) as journal:
                if options.failures is not None and not options.dry_run:
                    failures = options.failures
                    await journal.run(lambda _: check_writable(failures))
                await self._stage_rows(journal)
                self._context.list_leads()  # a service without leads is asked nothing
                if options.dry_run:
                    if options.kind == "upsert":
                        await self._compare(journal)
                    return await self._dry_run_summary(journal)
                return await self._send_all(journal)

    async def requests_needed(self) -> int:
        """Return the largest number of requests that the import still needs; send no row.

        With `diff` one request reads the number of leads to compare with.
        """
        options = self._options
        begun = options.journal is not None and options.journal.exists()
        path = options.journal if begun else None
        with self._job.active():
            async with Journal(path) as journal:
                await self._stage_rows(journal)
                counts = await journal.run(journal_db.counts)
                unsent = sum(count for state, count in counts.items() if state not in _DONE)
                if not options.diff:
                    return unsent
                return unsent + pages_of(await self._context.leads.list().count())

    async def _stage_rows(self, journal: Journal) -> None:
        options = self._options
        staging = RowStaging(journal, options.fields, options.kind, self._context.clock)
        await staging.load(options.rows)
        await staging.learn_custom_fields(self._context.request)
        await staging.check()
        await staging.commit(options.facts(self._context))
        self._uses_owner = "assigned_to" in staging.fields_used

    async def _compare(self, journal: Journal) -> None:
        # A list contains the owner of a lead only with this `include`.
        include = "owner" if self._uses_owner else None
        leads = self._context.leads.list(page_size=PAGE_SIZE, include=include)
        comparison = Comparison(journal, self._options.fields, self._progress)
        await comparison.run(leads)
        if comparison.read:
            self._outage.end()
            since = since_of(comparison.answered_at)
            await self._reconciler(journal).record(since, comparison.seen)

    async def _send_all(self, journal: Journal) -> ImportSummary:
        options = self._options
        resumed = await journal.run(journal_db.begin_run)
        counts = await journal.run(journal_db.counts)
        total = sum(counts.values())
        self._failure_limit = FailureLimit(options.max_failures, total)
        await self._prepare(journal)
        try:
            self._progress.phase("sending", total, sum(counts.get(state, 0) for state in _DONE))
            if options.canary and not resumed and self._stop_reason is None:
                await self._pass(journal, options.canary)
                if await journal.run(journal_db.has_open_rows):
                    self._check_canary()
            await self._pass_until_done(journal)
        finally:
            await self._write_failures(journal)
        summary = await self._summary(journal)
        if self._stop_reason is not None:
            text = self._stop_message(self._stop_reason, summary)
            raise ImportStoppedError(text, summary=summary) from self._cause
        return summary

    async def _prepare(self, journal: Journal) -> None:
        """Read what is at the server before the first row is sent."""
        options = self._options
        if not await journal.run(journal_db.has_open_rows):
            return
        try:
            if options.journal is not None:
                await bind_account(journal, self._context)
            if options.kind == "upsert" and options.diff:
                await self._compare(journal)
            if await journal.run(journal_db.has_open_rows):
                await self._reconciler(journal).prepare()
        except (AuthenticationError, PermissionDeniedError, ConnectionFailedError) as error:
            self._stop(str(error), error)

    async def _pass_until_done(self, journal: Journal) -> None:
        """Send what is pending, then try the rows again that failed in earlier runs."""
        in_order = self._options.kind == "upsert"
        while self._stop_reason is None:
            await self._pass(journal, None)
            counts = await journal.run(journal_db.counts)
            if counts.get("pending") or self._stop_reason is not None:
                continue
            again = await journal.run(lambda db: journal_db.retry_failed(db, in_order=in_order))
            if not again:
                return

    async def _pass(self, journal: Journal, limit: int | None) -> None:
        """Send the pending rows once, at most `limit`, and decide about those that were lost."""
        unknown = await journal.run(lambda db: [r.idx for r in journal_db.rows_in(db, "unknown")])
        self._queue = queue = RowScheduler(journal, unknown, limit=limit)
        try:
            await self._drain(queue, self._sender(journal, queue))
        finally:
            await queue.revert_unsent()
        if self._stop_reason is None:
            await self._decide_lost_rows(journal)

    async def _drain(self, queue: RowScheduler, sender: Sender) -> None:
        async with aclosing(queue.rows()) as rows:
            outcomes = Outcomes(sender.process, rows, _CONCURRENCY, ordered=False)
            outcomes.start(copy_context())
            try:
                async for outcome in outcomes:
                    if isinstance(outcome, Failed):
                        raise outcome.error
            finally:
                await outcomes.aclose()

    def _sender(self, journal: Journal, queue: RowScheduler) -> Sender:
        return Sender(
            job=self._job,
            journal=journal,
            queue=queue,
            outage=self._outage,
            send=self._create if self._options.kind == "create" else self._upsert,
            on_outcome=self._on_outcome,
        )

    def _reconciler(self, journal: Journal) -> Reconciler:
        return Reconciler(
            self._context.leads,
            journal,
            self._outage,
            self._context.clock,
            self._options.server_time_limit,
        )

    async def _upsert(self, row: QueuedRow) -> tuple[bool, int]:
        return await self._calls.upsert(self._fields_of(row), self._options.match_by)

    async def _create(self, row: QueuedRow) -> tuple[bool, int]:
        return True, await self._calls.create(self._fields_of(row))

    def _fields_of(self, row: QueuedRow) -> dict[str, Any]:
        return self._options.fields.convert(msgspec.json.decode(row.body))[0]

    # ------------------------------------------------------------------ lost answers

    async def _decide_lost_rows(self, journal: Journal) -> None:
        rows = await journal.run(lambda db: journal_db.rows_in(db, "unknown"))
        if not rows:
            return
        lost = [Lost(row.idx, self._fields_of(row)) for row in rows]
        why, verdicts = "the list of leads did not come to rest", None
        try:
            verdicts = await self._reconciler(journal).verdicts(lost, self._last_lost_at)
        except SyncroError as error:
            if action_for(error) in {"abort", "wait"} or is_passing(error):
                self._stop(str(error), error)
                return
            why = f"the leads created since cannot be read: {error}"
        for row in rows:
            outcome = outcome_of(row, None if verdicts is None else verdicts[row.idx], why)
            self._on_outcome(outcome, None)
            await journal.record(outcome)
        if self._options.kind == "upsert":
            await journal.run(journal_db.hold_followers)

    # ------------------------------------------------------------------ stop conditions

    def _on_outcome(self, outcome: Outcome, error: SyncroError | None) -> None:
        """Count an outcome, and stop the job when no later row can succeed."""
        if outcome.state == "unknown":
            self._last_lost_at = self._context.clock.monotonic()
            return
        if outcome.state != "pending":
            self._attempted_rows += 1
            self._progress.advance()
        if error is not None and action_for(error) in {"abort", "wait"}:
            self._stop(str(error), error)
        elif outcome.state == "failed" and self._failure_limit.record(outcome.reason or ""):
            self._stop(f"too many rows failed for the same reason ({outcome.reason})", error)

    def _check_canary(self) -> None:
        if self._failure_limit.all_alike(self._attempted_rows):
            self._stop(
                f"the first {self._attempted_rows} rows all failed for the same reason", None
            )

    def _stop(self, reason: str, error: SyncroError | None) -> None:
        if self._stop_reason is None:
            self._stop_reason, self._cause = reason, error
            if self._queue is not None:
                self._queue.stop()

    # ------------------------------------------------------------------ results

    async def _write_failures(self, journal: Journal) -> None:
        path = self._options.failures
        if path is None:
            return
        # Without a journal this file is the only place that keeps the unsent rows.
        states = ["failed", "stale"]
        if self._options.journal is None:
            states += ["doubt", "unknown", "pending"]
        source = as_path(self._options.rows)
        await journal.run(lambda db: write_failures(db, path, states, source))

    async def _summary(
        self, journal: Journal, changes: tuple[RowChange, ...] = ()
    ) -> ImportSummary:
        counts = await journal.run(journal_db.counts)
        return ImportSummary(
            total=sum(counts.values()),
            created=counts.get("created", 0),
            updated=counts.get("updated", 0),
            unchanged=counts.get("unchanged", 0) + counts.get("repeat", 0),
            failed=counts.get("failed", 0) + counts.get("stale", 0),
            in_doubt=counts.get("unknown", 0) + counts.get("doubt", 0),
            requests=self._job.stats.sent,
            seconds=self._progress.seconds,
            reasons=await journal.run(journal_db.failure_groups),
            changes=changes,
            doubts=await journal.run(journal_db.doubts),
        )

    async def _dry_run_summary(self, journal: Journal) -> ImportSummary:
        fields = self._options.fields
        changes = await journal.run(lambda db: tuple(changes_in(db, fields)))
        created = sum(change.kind == "create" for change in changes)
        summary = await self._summary(journal, changes)
        return replace(summary, created=created, updated=len(changes) - created)

    def _stop_message(self, reason: str, summary: ImportSummary) -> str:
        done = summary.created + summary.updated + summary.unchanged
        if self._options.journal is not None:
            advice = "run it again with the same journal to continue where it stopped"
        elif self._options.failures is not None:
            advice = f"the rows that are not done are in {self._options.failures}"
        else:
            advice = "with journal= the next run continues where this one stopped"
        return (
            f"the import stopped: {reason.rstrip('.')}. Of {summary.total} rows {done} are done,"
            f" {summary.failed} failed, {summary.in_doubt} are in doubt and {summary.unsent} were"
            f" not sent; {advice}"
        )

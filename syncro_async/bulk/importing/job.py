"""Imports leads so that every row is carried out once at the server."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from contextvars import copy_context
from pathlib import Path
from uuid import uuid4

from msgspec.structs import replace

from syncro_async._internal.argument_text import Argument, ArgumentText
from syncro_async._internal.error_text import counted
from syncro_async.bulk.concurrent_map import Failed, Outcomes
from syncro_async.bulk.estimates import requests_for
from syncro_async.bulk.importing import journal as journal_db
from syncro_async.bulk.importing import row_states
from syncro_async.bulk.importing.account import bind_account
from syncro_async.bulk.importing.diff import Comparison, set_refused_aside
from syncro_async.bulk.importing.dry_run import changes_in, emptied_cells
from syncro_async.bulk.importing.failures import FailureLimit, action_for
from syncro_async.bulk.importing.failures_file import check_writable, failed_rows, write_failures
from syncro_async.bulk.importing.journal import Journal, Outcome, bodies_of
from syncro_async.bulk.importing.options import ImportOptions
from syncro_async.bulk.importing.outage import Outage, is_passing
from syncro_async.bulk.importing.reconcile import (
    Finding,
    Lost,
    Reconciler,
    finding_on,
    outcome_of,
    since_of,
)
from syncro_async.bulk.importing.report import check_writable_report, write_report
from syncro_async.bulk.importing.row_states import requests_left
from syncro_async.bulk.importing.sales import Deals, deals_of, read_final_stages, stages_entered
from syncro_async.bulk.importing.scheduler import RowScheduler
from syncro_async.bulk.importing.sender import Sender
from syncro_async.bulk.importing.staging import SET_ASIDE, RowStaging
from syncro_async.bulk.importing.whole_list import PAGE_SIZE
from syncro_async.bulk.importing.writer import LeadWriter
from syncro_async.bulk.job import Job, JobContext
from syncro_async.bulk.progress import ProgressReporter
from syncro_async.errors import (
    AuthenticationError,
    BadRowsError,
    ConfigurationError,
    ConnectionFailedError,
    ImportStoppedError,
    PermissionDeniedError,
    SyncroError,
)
from syncro_async.events import ImportInDoubt
from syncro_async.models.receipts import ImportSummary, RowChange

# The client has this many connections; more tasks would only wait in the queue.
_CONCURRENCY = 20
_UNSETTLED = (
    "leads were created and deleted during every reading of the list, so that the lead of a row may"
    " have been missed"
)
_ALLOWED = "stages checked"
_DONE = ("created", "updated", "unchanged", "repeat", SET_ASIDE)


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
        self._deals = Deals()
        self._lead_writer: LeadWriter | None = None
        self._failures_file: Path | None = None
        self._sending = False
        self._in_doubt = 0
        # A run without a journal is told from others by a name of its own.
        self._name = str(options.journal or f"run {uuid4().hex}")

    async def run(self) -> ImportSummary:
        """Check the rows, compare them with the leads where required, and send them."""
        options = self._options
        path = None if options.dry_run else options.journal
        with self._job.active():
            async with Journal(path) as journal:
                if not options.resume:
                    await journal.run(journal_db.forget)
                if options.report is not None and not options.dry_run:
                    report = options.report
                    await journal.run(lambda db: check_writable_report(db, report))
                if options.failures is not None:
                    failures = options.failures
                    await journal.run(lambda _: check_writable(failures))
                await self._stage_rows(journal, options.failures)
                self._context.list_leads()  # a service without leads is asked nothing
                if options.dry_run:
                    await self._compare(journal)
                    await self._check_sales(journal)
                    await self._write_failures(journal)
                    return await self._dry_run_summary(journal)
                return await self._send_all(journal)

    async def requests_needed(self) -> int:
        """Return the largest number of requests that the import still needs; send no row.

        With `diff` one request reads the number of leads to compare with.
        """
        options = self._options
        begun = options.journal is not None and options.journal.exists()
        with self._job.active():
            async with Journal(options.journal if begun else None) as journal:
                await self._stage_rows(journal, None)
                writer = self._writer(journal)
                needed = await journal.run(lambda db: requests_left(db, writer.requests_for))
                if begun or not needed:
                    return needed
                first = 1 + (options.journal is not None) + self._has_stages
                if not options.compares:
                    return needed + first
                leads = await self._context.leads.list().count()
                return needed + first + requests_for(leads, PAGE_SIZE, once=True) - 1

    async def _stage_rows(self, journal: Journal, failures: Path | None) -> None:
        options = self._options
        clock = self._context.clock
        source = options.source(failures)
        staging = RowStaging(journal, options.fields, options.kind, clock, source)
        await staging.load(options.rows)
        await staging.learn_custom_fields(self._context.request)
        await staging.check()
        await staging.commit(options.facts(self._context))
        self._uses_owner = "assigned_to" in staging.fields_used
        self._has_stages = "stage_id" in staging.fields_used
        self._layout = staging.layout

    async def _compare(self, journal: Journal) -> None:
        """Find the leads of the rows. Raises `BadRowsError` for rows of no certain lead."""
        options = self._options
        if not options.compares:
            return
        comparison = Comparison(
            journal,
            options.fields,
            self._outage,
            self._progress,
            match_by=options.match_by,
            tags_mode=options.tags_mode,
        )
        # A list contains the owner of a lead only with this `include`.
        include = "owner" if self._uses_owner else None
        if not await comparison.run(self._context.leads, include):
            text = self._stop_message(_UNSETTLED, summary := await self._summary(journal))
            raise ImportStoppedError(text, summary=summary)
        if comparison.refusals:
            await journal.run(lambda db: set_refused_aside(db, comparison.refusals))
            if options.on_bad_row == "stop":
                raise await self._refusal(journal, comparison)
        if comparison.all_leads is not None:
            since = since_of(comparison.answered_at)
            await self._reconciler(journal).record(since, comparison.all_leads)

    async def _refusal(self, journal: Journal, comparison: Comparison) -> BadRowsError:
        problems = tuple(refusal.problem for refusal in comparison.refusals)
        await self._write_failures(journal)
        file = self._failures_file
        place = f"; see {file}" if file else ""
        await journal.run(journal_db.forget)
        return BadRowsError(
            f"{counted(len(problems), 'row')} cannot be imported and nothing was sent{place}",
            problems=problems,
            file=None if file is None else str(file),
        )

    async def _check_sales(self, journal: Journal) -> None:
        """Count the rows that record a sale or a loss. Raises `ConfigurationError`."""
        options = self._options
        if _ALLOWED in await journal.run(journal_db.read_meta):
            return
        entered = await journal.run(lambda db: stages_entered(db, options.fields))
        if entered and (options.dry_run or not options.allow_sales):
            self._deals = deals_of(entered, await read_final_stages(self._context))
        if self._deals.lines and not options.dry_run:
            raise ConfigurationError(
                ArgumentText(
                    f"the rows would record {self._deals}, because their stages are won or lost"
                    " ones; nothing was sent. If this is meant, allow it with ",
                    Argument("allow_sales", "True"),
                )
            )
        await journal.run(lambda db: journal_db.write_meta(db, {_ALLOWED: "yes"}))

    async def _send_all(self, journal: Journal) -> ImportSummary:
        options = self._options
        resumed = await journal.run(row_states.begin_run)
        counts = await journal.run(journal_db.counts)
        self._report_doubts(_in_doubt(counts))
        total = sum(counts.values())
        self._failure_limit = FailureLimit(options.max_failures, total)
        await self._prepare(journal, resumed=resumed)
        self._sending = True
        try:
            self._progress.phase("sending", total, sum(counts.get(state, 0) for state in _DONE))
            if options.canary and not resumed and self._stop_reason is None:
                await self._pass(journal, options.canary)
                if await journal.run(row_states.has_open_pools):
                    self._check_canary()
            await self._pass_until_done(journal)
        finally:
            self._report_doubts(_in_doubt(await journal.run(journal_db.counts)))
            await self._write_failures(journal)
            await self._write_report(journal)
        summary = await self._summary(journal)
        if self._stop_reason is not None:
            text = self._stop_message(self._stop_reason, summary)
            raise ImportStoppedError(text, summary=summary) from self._cause
        return summary

    async def _prepare(self, journal: Journal, *, resumed: bool) -> None:
        """Read what is at the server before the first row is sent."""
        options = self._options
        if not await journal.run(row_states.has_open_pools):
            return
        try:
            if options.journal is not None:
                await bind_account(journal, self._context)
            await self._compare(journal)
            await self._check_sales(journal)
            if self._job.stats.answered or resumed:
                self._outage.end()
            if await journal.run(row_states.has_open_pools):
                await self._reconciler(journal).prepare()
        except (AuthenticationError, PermissionDeniedError, ConnectionFailedError) as error:
            self._stop(str(error), error)

    async def _pass_until_done(self, journal: Journal) -> None:
        """Send what is pending, then try the rows again that failed in earlier runs."""
        in_order = self._options.kind == "upsert"
        while self._stop_reason is None:
            await self._pass(journal, None)
            counts = await journal.run(journal_db.counts)
            self._report_doubts(_in_doubt(counts))
            if counts.get("pending") or self._stop_reason is not None:
                continue
            again = await journal.run(lambda db: row_states.retry_failed(db, in_order=in_order))
            if not again:
                return

    async def _pass(self, journal: Journal, limit: int | None) -> None:
        """Send the pending rows once, at most `limit`, and decide about those that were lost."""
        unknown = await journal.run(lambda db: [r.idx for r in row_states.rows_in(db, "unknown")])
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
            writer=self._writer(journal),
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

    def _writer(self, journal: Journal) -> LeadWriter:
        if self._lead_writer is None:
            self._lead_writer = self._new_writer(journal)
        return self._lead_writer

    def _new_writer(self, journal: Journal) -> LeadWriter:
        options = self._options
        return LeadWriter(
            self._context,
            journal,
            options.fields,
            options.kind,
            match_by=options.match_by,
            tags_mode=options.tags_mode,
            compared=options.compares,
        )

    # ------------------------------------------------------------------ lost answers

    async def _decide_lost_rows(self, journal: Journal) -> None:
        rows = await journal.run(lambda db: row_states.rows_in(db, "unknown"))
        if not rows:
            return
        writer = self._writer(journal)
        # An update of a lead that is known can be sent again without a look.
        lost = [Lost(row.idx, writer.fields_of(row)) for row in rows if row.plan is None]
        why = "the list of leads did not come to rest"
        findings: Mapping[int, Finding] | None = {}
        try:
            if lost:
                findings = await self._reconciler(journal).findings(lost, self._last_lost_at)
        except SyncroError as error:
            if action_for(error) in {"abort", "wait"} or is_passing(error):
                self._stop(str(error), error)
                return
            why, findings = f"the leads created since cannot be read: {error}", None
        for row in rows:
            finding = Finding() if row.plan else finding_on(row.idx, findings)
            outcome = outcome_of(row, finding, why, tagged=writer.adds_tags(row))
            self._on_outcome(outcome, None)
            await journal.record(outcome)
        if self._options.kind == "upsert":
            await journal.run(row_states.hold_followers)

    def _report_doubts(self, rows: int) -> None:
        """Report the number of rows in doubt when it has changed."""
        if rows != self._in_doubt:
            self._in_doubt = rows
            self._context.emit(ImportInDoubt(self._context.base_url, self._name, rows))

    # ------------------------------------------------------------------ stop conditions

    def _on_outcome(self, outcome: Outcome, error: SyncroError | None) -> None:
        """Count an outcome, and stop the job when no later row can succeed."""
        if outcome.state == "unknown":
            self._last_lost_at = self._context.clock.monotonic()
            self._report_doubts(self._in_doubt + 1)
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
            count = self._attempted_rows
            rows = "row" if count == 1 else f"{count} rows all"
            self._stop(f"the first {rows} failed for the same reason", None)

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
        states = [SET_ASIDE]
        if self._sending:
            states += ["failed", "stale"]
            if self._options.journal is None:
                states += ["doubt", "unknown", "pending"]
        layout = self._layout
        self._failures_file = await journal.run(
            lambda db: write_failures(db, path, failed_rows(bodies_of(db, states)), layout)
        )

    async def _write_report(self, journal: Journal) -> None:
        path, fields = self._options.report, self._options.fields
        if path is not None:
            await journal.run(lambda db: write_report(db, path, fields))

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
            in_doubt=_in_doubt(counts),
            requests=self._job.stats.sent,
            seconds=self._progress.seconds,
            reasons=await journal.run(journal_db.failure_groups),
            changes=changes,
            set_aside=counts.get(SET_ASIDE, 0),
            failures_file=None if self._failures_file is None else str(self._failures_file),
            sales=self._deals.sales,
            losses=self._deals.losses,
            emptied=await journal.run(emptied_cells),
            doubts=await journal.run(row_states.doubts),
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
        elif summary.failures_file is not None:
            advice = f"the rows that are not done are in {summary.failures_file}"
        else:
            advice = "with journal= the next run continues where this one stopped"
        return (
            f"the import stopped: {reason.rstrip('.')}. Of {counted(summary.total, 'row')}: done"
            f" {done}, failed {summary.failed}, in doubt {summary.in_doubt}, not sent"
            f" {summary.unsent}; {advice}"
        )


def _in_doubt(counts: Mapping[str, int]) -> int:
    """The number of rows whose outcome is not known, from the numbers of rows in each state."""
    return counts.get("unknown", 0) + counts.get("doubt", 0)

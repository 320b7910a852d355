"""Imports leads so that every row is carried out once at the server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from msgspec.structs import replace

from syncro_async._internal.checks import is_int
from syncro_async.bulk.concurrent_map import Failed, Outcomes
from syncro_async.bulk.files.encodings import checked_encoding
from syncro_async.bulk.files.inputs import STDIN, split_suffix
from syncro_async.bulk.files.locales import locale_named
from syncro_async.bulk.files.reading import as_path
from syncro_async.bulk.importing import journal as journal_db
from syncro_async.bulk.importing.diff import PAGE_SIZE, Comparison, changes_in, pages_of
from syncro_async.bulk.importing.failures import FailureLimit, action_for
from syncro_async.bulk.importing.failures_file import check_writable, failed_rows, write_failures
from syncro_async.bulk.importing.fields import FieldMapping, Kind, definitions_from
from syncro_async.bulk.importing.journal import Journal, Outcome, bodies_of
from syncro_async.bulk.importing.reconcile import Reconciler
from syncro_async.bulk.importing.scheduler import RowScheduler
from syncro_async.bulk.importing.sender import Sender
from syncro_async.bulk.importing.staging import SET_ASIDE, RowStaging, Source, SourceOptions
from syncro_async.bulk.job import Job, JobContext
from syncro_async.bulk.progress import OnProgress, ProgressReporter
from syncro_async.errors import ImportStoppedError, InvalidArgumentError, SyncroError
from syncro_async.models.receipts import ImportSummary, RowChange, SourceReport
from syncro_async.resources.arguments import MatchBy
from syncro_async.transport.values import refusal

# The client has this many connections; more tasks would only wait in the queue.
_CONCURRENCY = 20
_DONE = ("created", "updated", "unchanged", "repeat")
_SETTLED = (*_DONE, SET_ASIDE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """The options of an import, with the names and meanings of `Bulk.upsert_leads`.

    Raises `InvalidArgumentError` for an option that is not valid.
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
    diff: bool = False
    dry_run: bool = False
    on_progress: OnProgress | None = None
    locale: str | None = None
    on_bad_row: Literal["stop", "set-aside"] = "stop"
    encoding: str | None = None
    header_row: int | None = None
    ignore_others: bool = False
    resume: bool = True
    on_source: Callable[[SourceReport], object] | None = None
    fields: FieldMapping = field(init=False)

    def __post_init__(self) -> None:
        source = as_path(self.rows)
        for path in filter(None, (source, self.failures)):
            if str(path) != STDIN or path is self.failures:
                split_suffix(path, "rows" if path is source else "failures")
        for name, other in (("of the rows", source), ("of the journal", self.journal)):
            if other and self.failures and other.resolve() == self.failures.resolve():
                raise InvalidArgumentError(
                    f"failures must not be the file {name} ({self.failures}); name another file",
                    argument="failures",
                )
        for name in ("canary", "max_failures"):
            value = getattr(self, name)
            if value is not None and not (is_int(value) and value >= 0):
                raise refusal(name, "an int of 0 or more", value)
        if self.on_bad_row not in ("stop", "set-aside"):
            raise refusal("on_bad_row", "'stop' or 'set-aside'", self.on_bad_row)
        if self.header_row is not None and not (is_int(self.header_row) and self.header_row >= 1):
            raise refusal("header_row", "the number of a line, from 1", self.header_row)
        if self.encoding is not None:
            checked_encoding(self.encoding)
        known = None if self.definitions is None else definitions_from(self.definitions)
        fields = FieldMapping(
            self.kind,
            self.match_by,
            self.columns,
            self.defaults,
            known,
            locale=locale_named(self.locale),
            ignore_others=self.ignore_others,
            compared=self.diff or self.dry_run,
        )
        object.__setattr__(self, "fields", fields)

    def source(self, failures: Path | None) -> SourceOptions:
        """How the rows are read; `failures` is the file for those that cannot be imported."""
        return SourceOptions(
            self.encoding,
            self.header_row,
            self.on_bad_row == "set-aside",
            failures,
            self.on_source,
        )

    def facts(self, context: JobContext) -> dict[str, str]:
        """Return the settings that all runs with one journal must share."""
        return {
            "kind of import": self.kind,
            "match_by": self.match_by,
            "base_url": context.base_url,
            "columns": repr(sorted((self.columns or {}).items())),
            "defaults": repr(sorted((self.defaults or {}).items())),
            "diff": str(self.diff),
            "locale": str(self.fields.locale and self.fields.locale.name),
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
        self._failures_file: Path | None = None

    async def run(self) -> ImportSummary:
        """Check the rows, compare them with the leads where required, and send them."""
        options = self._options
        path = None if options.dry_run else options.journal
        with self._job.active():
            async with Journal(path) as journal:
                if not options.resume:
                    await journal.run(journal_db.forget)
                if options.failures is not None:
                    failures = options.failures
                    await journal.run(lambda _: check_writable(failures))
                await self._stage_rows(journal, options.failures)
                if options.kind == "upsert" and (options.diff or options.dry_run):
                    await self._compare(journal)
                if options.dry_run:
                    await self._write_failures(journal)
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
                await self._stage_rows(journal, None)
                counts = await journal.run(journal_db.counts)
                unsent = sum(count for state, count in counts.items() if state not in _SETTLED)
                if not options.diff:
                    return unsent
                return unsent + pages_of(await self._context.leads.list().count())

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
        self._layout = staging.layout

    async def _compare(self, journal: Journal) -> None:
        # A list contains the owner of a lead only with this `include`.
        include = "owner" if self._uses_owner else None
        leads = self._context.leads.list(page_size=PAGE_SIZE, include=include)
        await Comparison(journal, self._options.fields, self._progress).run(leads)

    async def _send_all(self, journal: Journal) -> ImportSummary:
        repeatable = self._options.kind == "upsert"
        unknown = await journal.run(lambda db: journal_db.begin_run(db, repeatable=repeatable))
        counts = await journal.run(journal_db.counts)
        total = sum(counts.values())
        done = sum(counts.get(state, 0) for state in _SETTLED)
        self._progress.phase("sending", total, done)
        self._failure_limit = FailureLimit(self._options.max_failures, total)
        self._queue = RowScheduler(
            journal,
            self._context.clock,
            unknown,
            canary=self._options.canary,
            on_canary=self._check_canary,
        )
        try:
            await self._drain(self._sender(journal))
        finally:
            await self._queue.revert_unsent()
            await self._write_failures(journal)
        summary = await self._summary(journal)
        if self._stop_reason is not None:
            text = self._stop_message(self._stop_reason, summary)
            raise ImportStoppedError(text, summary=summary) from self._cause
        return summary

    async def _drain(self, sender: Sender) -> None:
        async with aclosing(self._queue.rows()) as rows:
            outcomes = Outcomes(sender.process, rows, _CONCURRENCY, ordered=False)
            outcomes.start(copy_context())
            try:
                async for outcome in outcomes:
                    if isinstance(outcome, Failed):
                        raise outcome.error
            finally:
                await outcomes.aclose()

    def _sender(self, journal: Journal) -> Sender:
        leads, fields = self._context.leads, self._options.fields
        return Sender(
            job=self._job,
            journal=journal,
            fields=fields,
            queue=self._queue,
            reconciler=Reconciler(leads, journal, fields, self._options.kind),
            send=self._create if self._options.kind == "create" else self._upsert,
            on_outcome=self._on_outcome,
        )

    async def _upsert(self, fields: dict[str, Any]) -> tuple[bool, int]:
        result = await self._context.leads.upsert(**fields, match_by=self._options.match_by)
        return result.created, result.lead.id

    async def _create(self, fields: dict[str, Any]) -> tuple[bool, int]:
        return True, (await self._context.leads.create(**fields)).id

    # ------------------------------------------------------------------ stop conditions

    def _on_outcome(self, outcome: Outcome, error: SyncroError | None) -> None:
        """Count an outcome, and stop the job when no later row can succeed."""
        if outcome.state != "pending":
            self._attempted_rows += 1
            self._progress.advance()
        if error is None:
            return
        if action_for(error) == "abort":
            self._stop(str(error), error)
        elif outcome.reason is not None and self._failure_limit.record(outcome.reason):
            self._stop(f"too many rows failed for the same reason ({outcome.reason})", error)

    def _check_canary(self) -> None:
        if self._failure_limit.all_alike(self._attempted_rows):
            self._stop(
                f"the first {self._attempted_rows} rows all failed for the same reason", None
            )

    def _stop(self, reason: str, error: SyncroError | None) -> None:
        if self._stop_reason is None:
            self._stop_reason, self._cause = reason, error
            self._queue.stop()

    # ------------------------------------------------------------------ results

    async def _write_failures(self, journal: Journal) -> None:
        path = self._options.failures
        if path is None:
            return
        # Without a journal this file is the only place that keeps the unsent rows.
        states = [SET_ASIDE]
        if not self._options.dry_run:
            states += ["failed"] if self._options.journal else ["failed", "unknown", "pending"]
        self._failures_file = await journal.run(
            lambda db: write_failures(db, path, failed_rows(bodies_of(db, states)), self._layout)
        )

    async def _summary(
        self, journal: Journal, changes: tuple[RowChange, ...] = ()
    ) -> ImportSummary:
        counts = await journal.run(journal_db.counts)
        return ImportSummary(
            total=sum(counts.values()),
            created=counts.get("created", 0),
            updated=counts.get("updated", 0),
            unchanged=counts.get("unchanged", 0) + counts.get("repeat", 0),
            failed=counts.get("failed", 0),
            set_aside=counts.get(SET_ASIDE, 0),
            in_doubt=counts.get("unknown", 0),
            requests=self._job.stats.sent,
            seconds=self._progress.seconds,
            reasons=await journal.run(journal_db.failure_groups),
            changes=changes,
            failures_file=None if self._failures_file is None else str(self._failures_file),
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
            f"the import stopped: {reason.rstrip('.')}. Of {summary.total} rows {done} are done,"
            f" {summary.failed} failed, {summary.in_doubt} are in doubt and {summary.unsent} were"
            f" not sent; {advice}"
        )

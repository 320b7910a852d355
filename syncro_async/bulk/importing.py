"""Imports leads: every row reaches the server once, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import aclosing
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from syncro_async.bulk import journal as book
from syncro_async.bulk.ground import Ground, Job
from syncro_async.bulk.importing_check import Intake, Source
from syncro_async.bulk.importing_diff import PAGE_SIZE, Comparison, changes_in, pages_of
from syncro_async.bulk.importing_errors import Fuse, verdict_on
from syncro_async.bulk.importing_failures import write_failures
from syncro_async.bulk.importing_lookup import Lookup
from syncro_async.bulk.importing_queue import RowQueue
from syncro_async.bulk.importing_send import Sender
from syncro_async.bulk.journal import Journal, Outcome
from syncro_async.bulk.progress import Meter, OnProgress
from syncro_async.bulk.rows import as_path, check_suffix
from syncro_async.bulk.rows_custom import definitions_from
from syncro_async.bulk.rows_fields import Fields, Kind
from syncro_async.bulk.runner import Failed, Outcomes
from syncro_async.errors import ImportStoppedError, SyncroError
from syncro_async.numeric import is_whole
from syncro_async.receipts import ImportSummary, RowChange
from syncro_async.resources.arguments import MatchBy

# As many as a client has connections: more would only queue up.
_AT_WORK = 20
_DONE = ("created", "updated", "unchanged", "repeat")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be imported, and how; the words are those of `Bulk.upsert_leads`.

    Raises `ValueError` for what cannot be.
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
    fields: Fields = field(init=False)

    def __post_init__(self) -> None:
        source = as_path(self.rows)
        for path in filter(None, (source, self.failures)):
            check_suffix(path)
        if source and self.failures and source.resolve() == self.failures.resolve():
            raise ValueError("failures must not be the file that the rows come from")
        for name in ("canary", "max_failures"):
            value = getattr(self, name)
            if value is not None and not (is_whole(value) and value >= 0):
                raise ValueError(f"{name}={value!r} must be a whole number, 0 or more")
        known = None if self.definitions is None else definitions_from(self.definitions)
        fields = Fields(self.kind, self.match_by, self.columns, self.defaults, known)
        object.__setattr__(self, "fields", fields)

    def facts(self, ground: Ground) -> dict[str, str]:
        """What every run with one journal must have in common."""
        return {
            "kind of import": self.kind,
            "match_by": self.match_by,
            "base_url": ground.base_url,
            "columns": repr(sorted((self.columns or {}).items())),
            "defaults": repr(sorted((self.defaults or {}).items())),
            "diff": str(self.diff),
        }


class Import:
    """One run of an import."""

    def __init__(self, ground: Ground, order: Order) -> None:
        self._ground = ground
        self._order = order
        self._job = Job.on(ground)
        self._meter = Meter(self._job, "import", order.on_progress)
        self._cause: SyncroError | None = None
        self._why: str | None = None
        self._tried = 0

    async def run(self) -> ImportSummary:
        """Check, compare if that is wanted, and send."""
        order = self._order
        path = None if order.dry_run else order.journal
        with self._job.underway():
            async with Journal(path) as journal:
                await self._take_rows(journal)
                if order.kind == "upsert" and (order.diff or order.dry_run):
                    await self._compare(journal)
                if order.dry_run:
                    return await self._would_be(journal)
                return await self._send_all(journal)

    async def requests_needed(self) -> int:
        """How many requests the import would take from now on, at most; reads, and sends nothing.

        With `diff` one request asks how many leads there are to be compared with.
        """
        order = self._order
        path = order.journal if order.journal is not None and order.journal.exists() else None
        with self._job.underway():
            async with Journal(path) as journal:
                await self._take_rows(journal)
                counts = await journal.run(book.counts)
                unsent = sum(count for state, count in counts.items() if state not in _DONE)
                if not order.diff:
                    return unsent
                return unsent + pages_of(await self._ground.leads.list().count())

    async def _take_rows(self, journal: Journal) -> None:
        order = self._order
        intake = Intake(journal, order.fields, order.kind, self._ground.clock)
        await intake.take(order.rows)
        await intake.learn_custom_fields(self._ground.request)
        await intake.settle(order.facts(self._ground))
        self._names_owners = "assigned_to" in intake.fields_used

    async def _compare(self, journal: Journal) -> None:
        # A list says whose a lead is only when it is asked for the owners.
        include = "owner" if self._names_owners else None
        leads = self._ground.leads.list(page_size=PAGE_SIZE, include=include)
        await Comparison(journal, self._order.fields, self._meter).run(leads)

    async def _send_all(self, journal: Journal) -> ImportSummary:
        doubts = await journal.run(book.begin_run)
        counts = await journal.run(book.counts)
        total = sum(counts.values())
        done = sum(counts.get(state, 0) for state in _DONE)
        self._meter.phase("sending", total, done)
        self._fuse = Fuse(self._order.max_failures, total)
        self._queue = RowQueue(
            journal,
            self._ground.clock,
            doubts,
            canary=self._order.canary,
            on_canary=self._judge_canary,
        )
        try:
            await self._drain(self._sender(journal))
        finally:
            await self._queue.put_back()
            await self._write_failures(journal)
        summary = await self._summary(journal)
        if self._why is not None:
            text = self._ending(self._why, summary)
            raise ImportStoppedError(text, summary=summary) from self._cause
        return summary

    async def _drain(self, sender: Sender) -> None:
        async with aclosing(self._queue.rows()) as rows:
            outcomes = Outcomes(sender.carry, rows, _AT_WORK, ordered=False)
            outcomes.start(copy_context())
            try:
                async for outcome in outcomes:
                    if isinstance(outcome, Failed):
                        raise outcome.error
            finally:
                await outcomes.aclose()

    def _sender(self, journal: Journal) -> Sender:
        leads, fields = self._ground.leads, self._order.fields
        return Sender(
            job=self._job,
            journal=journal,
            fields=fields,
            queue=self._queue,
            lookup=Lookup(leads, journal, fields, self._order.kind),
            send=self._create if self._order.kind == "create" else self._upsert,
            on_outcome=self._note,
        )

    async def _upsert(self, fields: dict[str, Any]) -> tuple[bool, int]:
        result = await self._ground.leads.upsert(**fields, match_by=self._order.match_by)
        return result.created, result.lead.id

    async def _create(self, fields: dict[str, Any]) -> tuple[bool, int]:
        return True, (await self._ground.leads.create(**fields)).id

    # ------------------------------------------------------------------ when to stop

    def _note(self, outcome: Outcome, error: SyncroError | None) -> None:
        """Count an outcome, and stop the job where going on makes no sense."""
        if outcome.state != "pending":
            self._tried += 1
            self._meter.advance()
        if error is None:
            return
        if verdict_on(error) == "stop":
            self._stop(str(error), error)
        elif outcome.reason is not None and self._fuse.burn(outcome.reason):
            self._stop(f"too many rows failed alike ({outcome.reason})", error)

    def _judge_canary(self) -> None:
        if self._fuse.all_alike(self._tried):
            self._stop(f"the first {self._tried} rows all failed alike", None)

    def _stop(self, why: str, error: SyncroError | None) -> None:
        if self._why is None:
            self._why, self._cause = why, error
            self._queue.stop()

    # ------------------------------------------------------------------ what is left behind

    async def _write_failures(self, journal: Journal) -> None:
        path = self._order.failures
        if path is None:
            return
        # Without a journal to keep them, rows that are still to be sent are kept here.
        states = ["failed"] if self._order.journal else ["failed", "doubt", "pending"]
        source = as_path(self._order.rows)
        await journal.run(lambda db: write_failures(db, path, states, source))

    async def _summary(
        self, journal: Journal, changes: tuple[RowChange, ...] = ()
    ) -> ImportSummary:
        counts = await journal.run(book.counts)
        return ImportSummary(
            total=sum(counts.values()),
            created=counts.get("created", 0),
            updated=counts.get("updated", 0),
            unchanged=counts.get("unchanged", 0) + counts.get("repeat", 0),
            failed=counts.get("failed", 0),
            in_doubt=counts.get("doubt", 0),
            requests=self._job.tally.sent,
            seconds=self._meter.seconds,
            reasons=await journal.run(book.failure_groups),
            changes=changes,
        )

    async def _would_be(self, journal: Journal) -> ImportSummary:
        fields = self._order.fields
        changes = await journal.run(lambda db: tuple(changes_in(db, fields)))
        created = sum(change.kind == "create" for change in changes)
        summary = await self._summary(journal, changes)
        return replace(summary, created=created, updated=len(changes) - created)

    def _ending(self, why: str, summary: ImportSummary) -> str:
        done = summary.created + summary.updated + summary.unchanged
        if self._order.journal is not None:
            advice = "run it again with the same journal, and it goes on where it stopped"
        elif self._order.failures is not None:
            advice = f"what is not done is in {self._order.failures}"
        else:
            advice = "with a journal the next run would go on where this one stopped"
        return (
            f"the import stopped: {why.rstrip('.')}. Of {summary.total} rows {done} are done,"
            f" {summary.failed} failed, {summary.in_doubt} are in doubt and {summary.unsent} were"
            f" not sent; {advice}"
        )

"""Takes an import back by its report: deletes what it created, and restores what it changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from anyio import to_thread

from syncro_async.bulk.files import values
from syncro_async.bulk.importing.calls import LeadCalls
from syncro_async.bulk.importing.matching import normal_email, same_name, same_phone
from syncro_async.bulk.importing.plan import Changes, Key, changes_of, fields_of
from syncro_async.bulk.importing.reading import lead_of
from syncro_async.bulk.importing.report import ReportLine, read_report
from syncro_async.bulk.job import Job, JobContext
from syncro_async.models.lead import Lead
from syncro_async.models.receipts import UndoneRow, UndoSummary

_KEYS: tuple[Key, ...] = ("email", "phone")


async def undo_import(context: JobContext, report: Path, *, dry_run: bool) -> UndoSummary:
    """Read the leads, and take back what is still as the import left it."""
    # A report has a line for each row: the event loop must not wait for the disk.
    lines = await to_thread.run_sync(read_report, report)
    job = Job.start(context)
    with job.active():
        leads = await _read_leads(context, lines)
        shared = _shared_keys(leads.values())
        undo = _Undo(context, shared, dry_run=dry_run)
        # The last row first: several rows can have changed one lead.
        rows = [await undo.row(line, leads) for line in reversed(lines) if _did_something(line)]
    # A row that failed may have changed a part, and has nothing to take back as a rule.
    reported = [row for row in rows if row.what != "kept" or row.reason is not None]
    return UndoSummary(tuple(reversed(reported)), job.stats.sent)


def _did_something(line: ReportLine) -> bool:
    return line.lead_id is not None and (line.outcome == "created" or bool(line.changes))


async def _read_leads(context: JobContext, lines: Iterable[ReportLine]) -> dict[int, Lead]:
    owner = any("assigned_to" in line.changes for line in lines)
    found: dict[int, Lead] = {}
    listed = context.leads.list(include="owner" if owner else None)
    async for page in listed.pages():
        shown = [*page.items, *filter(None, (lead_of(item.raw) for item in page.unreadable))]
        found.update((lead.id, lead) for lead in shown)
    return found


def _shared_keys(leads: Iterable[Lead]) -> set[str]:
    seen: set[str] = set()
    shared: set[str] = set()
    for lead in leads:
        for key in filter(None, (lead.email, lead.phone)):
            known = normal_email(key)
            (shared if known in seen else seen).add(known)
    return shared


class _Undo:
    """Takes rows back, one after the other."""

    def __init__(self, context: JobContext, shared: set[str], *, dry_run: bool) -> None:
        self._leads = context.leads
        self._calls = LeadCalls(context)
        self._shared = shared
        self._dry_run = dry_run

    async def row(self, line: ReportLine, leads: Mapping[int, Lead]) -> UndoneRow:
        """Take one row back, and return what was done, or why it was not."""
        lead_id = line.lead_id or 0
        lead = leads.get(lead_id)
        if lead is None:
            return UndoneRow(line.line, "gone", lead_id)
        if line.outcome == "created":
            return await self._delete(line, lead)
        return await self._restore(line, lead)

    async def _delete(self, line: ReportLine, lead: Lead) -> UndoneRow:
        if not _is_as_created(line, lead):
            reason = "its name or its keys have changed since"
            return UndoneRow(line.line, "kept", lead.id, reason=reason)
        if not self._dry_run:
            await self._leads.delete(lead.id)
        return UndoneRow(line.line, "deleted", lead.id)

    async def _restore(self, line: ReportLine, lead: Lead) -> UndoneRow:
        changes: Changes = {}
        left = []
        for name, (old, new) in line.changes.items():
            if name == "tags" or not changes_of(fields_of({name: (None, old)}), lead):
                continue
            if values.is_blank(old):
                left.append(f"{name} was empty, which no request can restore")
            elif changes_of(fields_of({name: (None, new)}), lead):
                left.append(f"{name} has changed since")
            else:
                changes[name] = (new, old)
        before, after = line.changes.get("tags", ([], []))
        held = lead.tags or []
        add = [tag for tag in before if tag not in held and tag not in after]
        remove = [tag for tag in after if tag in held and tag not in before]
        key = self._key_of(lead, changes)
        if changes and key is None:
            left.append("the lead has no key unchanged and for itself")
            changes = {}
        if not self._dry_run:
            await self._send(lead, key, changes, add, remove)
        if add or remove:
            changes["tags"] = (held, [tag for tag in held if tag not in remove] + add)
        what: Literal["restored", "kept"] = "restored" if changes else "kept"
        return UndoneRow(line.line, what, lead.id, changes, "; ".join(left) or None)

    def _key_of(self, lead: Lead, changes: Changes) -> Key | None:
        for key in _KEYS:
            value = getattr(lead, key)
            if value and key not in changes and normal_email(value) not in self._shared:
                return key
        return None

    async def _send(
        self, lead: Lead, key: Key | None, changes: Changes, add: list[str], remove: list[str]
    ) -> None:
        if changes and key is not None:
            present = {
                name: getattr(lead, name)
                for name in ("name", "pipeline_id", "stage_id")
                if getattr(lead, name) is not None
            }
            fields = {**present, **fields_of(changes), key: getattr(lead, key)}
            await self._calls.upsert(fields, key, idempotent=True)
        if add:
            await self._leads.add_tags(lead.id, add)
        for tag in remove:
            await self._leads.remove_tag(lead.id, tag)


def _is_as_created(line: ReportLine, lead: Lead) -> bool:
    """Return whether the lead still has the name and the keys that the import gave it."""
    same: dict[str, Any] = {"name": same_name, "email": _same_email, "phone": same_phone}
    return all(
        compare(str(getattr(lead, name) or ""), str(line.changes[name][1]))
        for name, compare in same.items()
        if name in line.changes
    )


def _same_email(one: str, other: str) -> bool:
    return normal_email(one) == normal_email(other)

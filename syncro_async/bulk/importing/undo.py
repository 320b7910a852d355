"""Takes an import back by its report: deletes what it created, and restores what it changed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from anyio import to_thread

from syncro_async.bulk.files import values
from syncro_async.bulk.importing.calls import LeadCalls, Update
from syncro_async.bulk.importing.matching import normal_email, phone_index, same_name, same_phone
from syncro_async.bulk.importing.plan import PLACE, Changes, Key, changes_of, fields_of
from syncro_async.bulk.importing.present import LeadChangedError
from syncro_async.bulk.importing.reading import lead_of
from syncro_async.bulk.importing.report import ReportLine, read_report
from syncro_async.bulk.job import Job, JobContext
from syncro_async.errors import NotFoundError
from syncro_async.models.lead import Lead
from syncro_async.models.receipts import UndoneRow, UndoSummary

_INDEXES: Mapping[Key, Callable[[str], str]] = {"email": normal_email, "phone": phone_index}

# What a field of several values holds when a report says that it held nothing.
_EMPTY: Mapping[str, Any] = {"tags": [], "custom_fields": {}}

_AGAIN = "undo the import again: what has not changed is restored"


class _Change(NamedTuple):
    """A field of a lead: its value before the import, and the values that rows have given it."""

    old: Any
    new: list[Any]


class _Changed(NamedTuple):
    """What all rows of one lead did to it. `line` is that of the first of them."""

    line: int
    lead_id: int
    is_created: bool
    fields: dict[str, _Change]


async def undo_import(context: JobContext, report: Path, *, dry_run: bool) -> UndoSummary:
    """Read the leads, and take back what is still as the import left it."""
    # A report has a line for each row: the event loop must not wait for the disk.
    lines = await to_thread.run_sync(read_report, report)
    job = Job.start(context)
    with job.active():
        changed = _changed_leads(lines)
        leads = await _read_leads(context, changed)
        undo = _Undo(context, leads, dry_run=dry_run)
        rows = [await undo.lead(one) for one in reversed(changed)]
    # A row that failed may have changed a part, and has nothing to take back as a rule.
    reported = [row for row in rows if row.what != "kept" or row.reason is not None]
    return UndoSummary(tuple(reversed(reported)), job.stats.sent)


def _changed_leads(lines: Iterable[ReportLine]) -> list[_Changed]:
    """Return the leads of the report in the order of their rows; several rows can be of one."""
    lines = list(lines)
    created = {one.lead_id for one in lines if one.is_created}
    found: dict[int, _Changed] = {}
    for line in lines:
        if line.lead_id is None or not (line.is_created or line.changes):
            continue
        lead = found.setdefault(
            line.lead_id,
            _Changed(line.line, line.lead_id, line.lead_id in created, fields={}),
        )
        for name, (old, new) in line.changes.items():
            before = _EMPTY.get(name) if old is None else old
            lead.fields.setdefault(name, _Change(before, [])).new.append(new)
    return list(found.values())


async def _read_leads(context: JobContext, changed: Collection[_Changed]) -> dict[int, Lead]:
    include = "owner" if any("assigned_to" in lead.fields for lead in changed) else None
    found: dict[int, Lead] = {}
    async for page in context.leads.list(include=include).pages():
        shown = [*page.items, *filter(None, (lead_of(item.raw) for item in page.unreadable))]
        found.update((lead.id, lead) for lead in shown)
    # A page can miss a lead while others are deleted.
    for lead_id in [lead.lead_id for lead in changed if lead.lead_id not in found]:
        try:
            found[lead_id] = await context.leads.get(lead_id)
        except NotFoundError:
            continue
    return found


class _Undo:
    """Takes the changes of leads back, one lead after the other. `leads`: all of the account."""

    def __init__(self, context: JobContext, leads: Mapping[int, Lead], *, dry_run: bool) -> None:
        self._api = context.leads
        self._calls = LeadCalls(context)
        self._leads = leads
        self._shared = {key: _shared(leads.values(), key) for key in _INDEXES}
        self._dry_run = dry_run

    async def lead(self, changed: _Changed) -> UndoneRow:
        """Take the changes of one lead back, and return what was done, or why it was not."""
        lead = self._leads.get(changed.lead_id)
        if lead is None:
            return UndoneRow(changed.line, "gone", changed.lead_id)
        if changed.is_created:
            return await self._delete(changed, lead)
        return await self._restore(changed, lead)

    async def _delete(self, changed: _Changed, lead: Lead) -> UndoneRow:
        if not _is_as_created(changed, lead):
            reason = "its name, its keys or its stage have changed since"
            return UndoneRow(changed.line, "kept", lead.id, reason=reason)
        if not self._dry_run:
            await self._api.delete(lead.id)
        return UndoneRow(changed.line, "deleted", lead.id)

    async def _restore(self, changed: _Changed, lead: Lead) -> UndoneRow:
        changes: Changes = {}
        left = []
        for name, (old, new) in changed.fields.items():
            if name == "tags" or _holds(lead, name, [old]):
                continue
            if values.is_blank(old):
                left.append(f"{name} was empty, which no request can restore")
            elif not _holds(lead, name, new):
                left.append(f"{name} has changed since")
            else:
                changes[name] = (new[-1], old)
        tags = changed.fields.get("tags", _Change([], [[]]))
        before, after, held = tags.old, tags.new[-1], lead.tags or []
        add = [tag for tag in before if tag not in held and tag not in after]
        remove = [tag for tag in after if tag in held and tag not in before]
        key = self._key_of(lead, changes)
        if changes and key is None:
            left.append("the lead has no key unchanged and for itself")
            changes = {}
        if not self._dry_run:
            if key is not None and (why := await self._update(changed, lead, key, changes)):
                left.append(why)
                changes = {}
            await self._change_tags(lead.id, add, remove)
        if add or remove:
            changes["tags"] = (held, [tag for tag in held if tag not in remove] + add)
        what: Literal["restored", "kept"] = "restored" if changes else "kept"
        return UndoneRow(changed.line, what, lead.id, changes, "; ".join(left) or None)

    def _key_of(self, lead: Lead, changes: Changes) -> Key | None:
        for key, index in _INDEXES.items():
            value = getattr(lead, key)
            if value and key not in changes and index(value) not in self._shared[key]:
                return key
        return None

    async def _update(
        self, changed: _Changed, lead: Lead, key: Key, changes: Changes
    ) -> str | None:
        """Send the old values; return why the lead was left as it is."""
        if not changes:
            return None

        def check(now: Lead) -> None:
            other = [name for name in changes if _is_changed(now, name, changed.fields[name].new)]
            if other:
                names = " and ".join(other)
                raise LeadChangedError(f"{names} has changed while leads were restored", _AGAIN)

        fields = {**fields_of(changes), key: getattr(lead, key)}
        place = {name: getattr(lead, name) for name in PLACE}
        try:
            await self._calls.update(Update(lead.id, fields, key, place, check=check))
        except LeadChangedError as error:
            return error.message
        return None

    async def _change_tags(self, lead_id: int, add: list[str], remove: list[str]) -> None:
        if add:
            await self._api.add_tags(lead_id, add)
        for tag in remove:
            await self._api.remove_tag(lead_id, tag)


def _shared(leads: Iterable[Lead], key: Key) -> set[str]:
    """Return the keys that several leads have, in one spelling."""
    seen: set[str] = set()
    shared: set[str] = set()
    for value in filter(None, (getattr(lead, key) for lead in leads)):
        known = _INDEXES[key](value)
        (shared if known in seen else seen).add(known)
    return shared


def _holds(lead: Lead, name: str, some: Iterable[Any]) -> bool:
    """Return whether the field of the lead has one of these values."""
    return any(not changes_of(fields_of({name: (None, value)}), lead) for value in some)


def _is_changed(lead: Lead, name: str, some: Iterable[Any]) -> bool:
    """Return whether the answer shows the field, and none of these values in it."""
    shown = getattr(lead, name.partition(".")[0])
    return shown is not None and not _holds(lead, name, some)


def _is_as_created(changed: _Changed, lead: Lead) -> bool:
    """Return whether the lead has a name, keys and a stage that the import gave it."""
    same: dict[str, Any] = {"name": same_name, "email": _same_email, "phone": same_phone}
    for name, compare in same.items():
        given = changed.fields.get(name)
        held = str(getattr(lead, name) or "")
        if given is not None and not any(compare(held, str(new)) for new in given.new):
            return False
    stage = changed.fields.get("stage_id")
    return stage is None or lead.stage_id is None or lead.stage_id in stage.new


def _same_email(one: str, other: str) -> bool:
    return normal_email(one) == normal_email(other)

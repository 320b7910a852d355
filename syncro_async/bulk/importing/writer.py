"""Writes the lead of one row: which fields are sent, by which key, and which tags."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from syncro_async.bulk.importing.calls import LeadCalls, Update
from syncro_async.bulk.importing.diff import plan_of
from syncro_async.bulk.importing.fields import FieldMapping, Kind
from syncro_async.bulk.importing.journal import HALF_MADE, NOT_MADE, Journal, QueuedRow
from syncro_async.bulk.importing.plan import RowPlan, TagsMode, fields_of, tag_changes
from syncro_async.bulk.importing.row_states import KnownLead, lead_before, mark_half_made
from syncro_async.bulk.job import JobContext
from syncro_async.resources.arguments import MatchBy

# A row is converted once while its requests are sent; so many rows are sent side by side at most.
_ROWS_KEPT = 128


class LeadWriter:
    """Sends the rows of one import.

    `compared`: the leads were read before (`diff`). A lead that exists gets only the fields that
    the row has and that differ; the defaults are for leads that are created.
    """

    def __init__(
        self,
        context: JobContext,
        journal: Journal,
        fields: FieldMapping,
        kind: Kind,
        *,
        match_by: MatchBy,
        tags_mode: TagsMode,
        compared: bool,
    ) -> None:
        self._leads = context.leads
        self._calls = LeadCalls(context)
        self._journal = journal
        self._fields = fields
        self._kind = kind
        self._match_by = match_by
        self._tags_mode: TagsMode = tags_mode
        self._compared = compared
        self._converted = lru_cache(_ROWS_KEPT)(self._convert)

    def fields_of(self, row: QueuedRow) -> Mapping[str, Any]:
        """Return the fields of a row that creates a lead."""
        return self._converted(row.body)

    def _convert(self, body: bytes) -> Mapping[str, Any]:
        return self._fields.convert(msgspec.json.decode(body))[0]

    def adds_tags(self, row: QueuedRow) -> bool:
        """Return whether a row that creates a lead adds its tags with a call of their own."""
        return self._kind == "upsert" and bool(self.fields_of(row).get("tags"))

    def requests_for(self, row: QueuedRow) -> int:
        """Return the number of requests that a row needs as a rule."""
        return 1 + self.adds_tags(row)

    async def send(self, row: QueuedRow) -> tuple[bool, int]:
        """Create or update the lead without its tags; return whether it is new, and its id."""
        if self._kind == "create":
            return True, await self._calls.create(self.fields_of(row))
        if row.made == HALF_MADE and row.lead_id is not None:
            return True, row.lead_id
        plan = plan_of(row.plan)
        if plan is not None:
            return await self._update_planned(plan)
        known = await self._lead_before(row)
        if known is not None:
            return await self._update_again(row, known)
        fields = _without_tags(self.fields_of(row))
        created, lead_id = await self._calls.upsert(fields, self._match_by)
        if created and self.adds_tags(row):
            await self._journal.run(lambda db: mark_half_made(db, row.idx, lead_id))
        return created, lead_id

    async def add_tags(self, row: QueuedRow, lead_id: int, *, created: bool) -> None:
        """Give the lead the tags of its row."""
        if self._kind == "create":
            return
        plan = plan_of(row.plan)
        if plan is not None:
            await self._change_tags(lead_id, plan.add_tags, plan.remove_tags)
            return
        tags = self.fields_of(row).get("tags", [])
        if self._compared and not created:
            tags = self._own(row).get("tags", [])
        if not tags or (self._tags_mode == "skip" and not created):
            return
        held = await self._leads.add_tags(lead_id, tags)
        if self._tags_mode == "replace":
            _, extra = tag_changes(tags, held, "replace")
            await self._change_tags(lead_id, [], extra)

    async def _change_tags(self, lead_id: int, add: list[str], remove: list[str]) -> None:
        if add:
            await self._leads.add_tags(lead_id, add)
        for tag in remove:
            await self._leads.remove_tag(lead_id, tag)

    def _own(self, row: QueuedRow) -> dict[str, Any]:
        return self._fields.own(msgspec.json.decode(row.body))

    async def _lead_before(self, row: QueuedRow) -> KnownLead | None:
        """Return the lead that this row or an earlier one of the import has made, and its key."""
        if not self._compared:
            return None
        if row.made != NOT_MADE and row.lead_id is not None:
            return KnownLead(row.lead_id, "phone" if row.key_a is None else "email", row.body)
        return await self._journal.run(lambda db: lead_before(db, row))

    async def _update_planned(self, plan: RowPlan) -> tuple[bool, int]:
        """Send the changes of a plan; a lead that was deleted meanwhile may be created anew."""
        fields = fields_of(plan.changes)
        if not fields or not plan.key:
            return False, plan.lead_id
        fields[plan.match_by] = plan.key
        return await self._calls.update(Update(plan.lead_id, fields, plan.match_by, plan.place))

    async def _update_again(self, row: QueuedRow, known: KnownLead) -> tuple[bool, int]:
        """Update the lead that the import has made, by its key as the server spells it."""
        fields = _without_tags(self._own(row))
        # An answer may lack the key. The spelling with which the lead was made is then the best.
        fields[known.key] = self._fields.own(msgspec.json.decode(known.body))[known.key]
        place = self._converted(known.body)
        return await self._calls.update(
            Update(known.lead_id, fields, known.key, place, is_own=True)
        )


def _without_tags(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name != "tags"}

"""The stored leads and their history."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

from syncro_async.sandbox.data.account import (
    MAIN_INSTANCE_ID,
    OTHER_SEQUENCE_ID,
    OWNER_ID,
    STAGES,
    USERS,
    Stage,
)
from syncro_async.sandbox.data.sample_leads import (
    CLOSED_WINDOW_LEAD_ID,
    COMPLETE_LEAD_ID,
    sample_leads,
)
from syncro_async.sandbox.data.tasks import TaskTable
from syncro_async.sandbox.data.webhooks import WebhookTable
from syncro_async.sandbox.responses import id_from_path, not_found

if TYPE_CHECKING:
    from syncro_async.sandbox.data.lead_record import LeadRecord

_KEYS = ("email", "phone")

History = defaultdict[int, list[dict[str, Any]]]
Order = Literal["oldest_first", "newest_first", "last_changed_first"]


class Store:
    """The leads by id, in ascending order, and their history.

    Every change of a lead ends with `touch`, which sets `updated_at` and clears its cached JSON.
    """

    def __init__(
        self, leads: int, seed: int, order: Order = "oldest_first", *, strict_upserts: bool = False
    ) -> None:
        self.order = order
        self.strict_upserts = strict_upserts
        self.leads: dict[int, LeadRecord] = {}
        # Ids of the leads that have or had this email or phone: an upsert looks them up.
        self._ids_by_key: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for lead in sample_leads(leads, seed):
            self._store(lead)
        self.samples = leads
        self.tasks = TaskTable(self.leads, leads)
        self.webhooks = WebhookTable()
        self.sales = History(list)
        self.lost_sales = History(list)
        self.blocking_tasks = History(list)
        self.enrollments = History(list)
        self.events = History(list)
        self._histories = (
            *(self.sales, self.lost_sales, self.blocking_tasks, self.enrollments, self.events),
        )
        self._conversations: dict[int, dict[str, Any]] = {}
        self._ids: dict[str, Iterator[int]] = {"lead": count(leads + 1)}
        for lead in self.leads.values():
            self._record_stage_entry(lead, STAGES[lead["stage_id"]], lead["created_at"])
            if lead["id"] == COMPLETE_LEAD_ID:
                self._complete(lead)

    def new_id(self, kind: str) -> int:
        """The next id of this kind of record."""
        return next(self._ids.setdefault(kind, count(1)))

    def in_list_order(self) -> Collection[LeadRecord]:
        """The leads in the order of the list; the API does not document one, so it is a setting."""
        if self.order == "oldest_first":
            return self.leads.values()
        newest_first = list(reversed(self.leads.values()))
        if self.order == "last_changed_first":
            newest_first.sort(key=lambda lead: str(lead["updated_at"]), reverse=True)
        return newest_first

    def find(self, lead_id: str) -> LeadRecord:
        """The lead with the id from a path. Raises `RequestRejected` (404)."""
        lead = self.leads.get(id_from_path(lead_id))
        if lead is None:
            raise not_found("Lead")
        return lead

    def add(self, lead: LeadRecord) -> None:
        """Store a new lead, with the sale or loss that belongs to its stage."""
        self._store(lead)
        self._record_stage_entry(lead, STAGES[lead["stage_id"]], lead["created_at"])

    def oldest_with(self, key: str, value: str) -> LeadRecord | None:
        """The oldest lead with this email or phone (`key`), or None."""
        ids = sorted(self._ids_by_key.get((key, value), ()))
        known = (self.leads.get(lead_id) for lead_id in ids)
        return next((lead for lead in known if lead is not None and lead[key] == value), None)

    def remove(self, lead: LeadRecord) -> None:
        """Delete a lead and everything that belongs to it."""
        lead_id = lead["id"]
        del self.leads[lead_id]
        self._conversations.pop(lead_id, None)
        self.tasks.forget(lead_id)
        for history in self._histories:
            history.pop(lead_id, None)

    def touch(self, lead: LeadRecord, at: str, event: str, description: str) -> None:
        """Record the time and the kind of a change of a lead."""
        self.events[lead["id"]].append(
            {
                "id": self.new_id("event"),
                "event_type": event,
                "description": description,
                "performed_by": USERS[OWNER_ID].name,
                "created_at": at,
            }
        )
        lead["updated_at"] = at

    def enter(self, lead: LeadRecord, stage: Stage, at: str, **deal: Any) -> None:
        """Move a lead; a won or lost stage records a `deal`, except from one to another."""
        before = STAGES[lead["stage_id"]]
        lead["stage_id"] = stage.id
        lead["pipeline_id"] = stage.pipeline_id
        if before.id != stage.id and (before.status != stage.status or stage.status == "open"):
            self._record_stage_entry(lead, stage, at, **deal)

    def complete_tasks(self, lead_id: int, at: str) -> None:
        """Complete the mandatory tasks that keep a lead in its stage."""
        for task in self.blocking_tasks.pop(lead_id, ()):
            task.update(status="completed", completed_at=at, updated_at=at)
            self.leads[lead_id].encoded.clear()

    def conversation(self, lead: LeadRecord) -> dict[str, Any]:
        """The lead's conversation; it is created when there is none."""
        return self._conversations.setdefault(
            lead["id"],
            {
                "id": self.new_id("conversation"),
                "status": "open",
                "last_message_at": lead["updated_at"],
                "unread_count": 0,
                "instance_id": MAIN_INSTANCE_ID,
            },
        )

    def has_conversation(self, lead: LeadRecord) -> bool:
        """Whether there is a conversation: yes for every sample lead with a phone number."""
        known = lead["id"] <= self.samples and lead["phone"] is not None
        return known or lead["id"] in self._conversations

    def is_window_open(self, lead: LeadRecord) -> bool:
        """Whether the 24 h window is open: for every sample lead except one, not for new ones."""
        return bool(lead["id"] <= self.samples) and lead["id"] != CLOSED_WINDOW_LEAD_ID

    def _store(self, lead: LeadRecord) -> None:
        self.leads[lead["id"]] = lead
        for key in _KEYS:
            self._index_key(lead, key)
        lead.listeners = (self._index_key,)

    def _index_key(self, lead: LeadRecord, name: str) -> None:
        if name in _KEYS and lead[name] is not None:
            self._ids_by_key[name, lead[name]].append(lead["id"])

    def _record_stage_entry(self, lead: LeadRecord, stage: Stage, at: str, **deal: Any) -> None:
        lead_id = lead["id"]
        if stage.is_won:
            value = deal.get("value")
            self.sales[lead_id].append(
                {
                    "id": self.new_id("sale"),
                    "pipeline_id": stage.pipeline_id,
                    "value": lead["value"] if value is None else value,
                    "closed_by": lead["assigned_to"],
                    "closed_at": at,
                }
            )
        elif stage.is_lost:
            self.lost_sales[lead_id].append(
                {
                    "id": self.new_id("lost_sale"),
                    "pipeline_id": stage.pipeline_id,
                    "reason_id": deal.get("reason_id"),
                    "lost_at": at,
                    "lost_by": lead["assigned_to"],
                }
            )
        elif stage.mandatory:
            self.blocking_tasks[lead_id].append(self._mandatory_task(lead, at))

    def _mandatory_task(self, lead: LeadRecord, at: str) -> dict[str, Any]:
        fields = {
            "subject": "Ligar para o cliente",
            "type": "call",
            "priority": "high",
            "due_date": at[:10],
            "due_time": "14:30",
            "lead_id": lead["id"],
            "assigned_to": lead["assigned_to"],
        }
        return self.tasks.add(fields, at)

    def _complete(self, lead: LeadRecord) -> None:
        """Add the records that other leads get only through the API."""
        at = lead["created_at"]
        self.lost_sales[lead["id"]].append(
            {
                "id": self.new_id("lost_sale"),
                "pipeline_id": 2,
                "reason_id": 1,
                "lost_at": at,
                "lost_by": lead["assigned_to"],
            }
        )
        self.enrollments[lead["id"]].append(
            {
                "id": self.new_id("enrollment"),
                "sequence_id": OTHER_SEQUENCE_ID,
                "current_step": 2,
                "status": "active",
                "next_step_at": at,
            }
        )

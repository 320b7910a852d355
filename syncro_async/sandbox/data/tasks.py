"""The stored tasks."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, count
from typing import TYPE_CHECKING, Any

from syncro_async.sandbox.data.sample_leads import sample_count

if TYPE_CHECKING:
    from syncro_async.sandbox.data.lead_record import LeadRecord

TaskRecord = dict[str, Any]

_EXAMPLE_ID = 45
_FIRST_SAMPLE_ID = 100
_MOST_SAMPLES_OF_A_LEAD = 2


class TaskTable:
    """The tasks of each lead, and those without a lead.

    The sample tasks of a lead are created at their first use. The first added task has the id of
    the reference's example; the ids of the others follow the last sample.
    """

    def __init__(self, leads: Mapping[int, LeadRecord], samples: int) -> None:
        self._leads = leads
        self._samples = samples
        self._by_lead: dict[int | None, list[TaskRecord]] = {None: []}
        self._ids = chain((_EXAMPLE_ID,), count(_sample_id(samples + 1, 0)))

    def all(self) -> list[TaskRecord]:
        """Every task in the order of the ids."""
        tasks = chain(self._by_lead[None], *(self.of(lead_id) for lead_id in self._leads))
        return sorted(tasks, key=_by_id)

    def of(self, lead_id: int) -> list[TaskRecord]:
        """The tasks of a lead in the order of the ids."""
        tasks = self._by_lead.get(lead_id)
        if tasks is None:
            tasks = self._by_lead[lead_id] = self._samples_of(self._leads[lead_id])
        return tasks

    def add(self, fields: dict[str, Any], at: str) -> TaskRecord:
        """Store a new task with the status `pending`."""
        task = _record(next(self._ids), at, fields)
        lead_id = fields["lead_id"]
        tasks = self._by_lead[None] if lead_id is None else self.of(lead_id)
        tasks.append(task)
        tasks.sort(key=_by_id)
        return task

    def forget(self, lead_id: int) -> None:
        """Delete the tasks of a lead."""
        self._by_lead.pop(lead_id, None)

    def _samples_of(self, lead: LeadRecord) -> list[TaskRecord]:
        at = lead["created_at"]
        done = {
            "subject": "Enviar proposta",
            "type": "email",
            "status": "completed",
            "due_date": at[:10],
            "completed_at": at,
            "lead_id": lead["id"],
            "assigned_to": lead["assigned_to"],
        }
        return [
            _record(_sample_id(lead["id"], number), at, done)
            for number in range(sample_count(lead["id"], self._samples))
        ]


def _record(id_: int, at: str, fields: dict[str, Any]) -> TaskRecord:
    return {
        "id": id_,
        "description": None,
        "status": "pending",
        "priority": "medium",
        "due_time": None,
        "completed_at": None,
        "notes": None,
        "created_at": at,
        "updated_at": at,
        **fields,
    }


def _sample_id(lead_id: int, number: int) -> int:
    return _FIRST_SAMPLE_ID + lead_id * _MOST_SAMPLES_OF_A_LEAD + number


def _by_id(task: TaskRecord) -> int:
    return int(task["id"])

"""The task: something to be done by a day, as a rule for a lead."""

from __future__ import annotations

from datetime import date

from syncro_async.models import base
from syncro_async.models.types import Moment, TaskPriority, TaskStatus, TaskType


class TaskLead(base.Model, frozen=True, kw_only=True, gc=False):
    """The lead a task is for, in short."""

    id: int
    name: str | None = None
    phone: str | None = None
    email: str | None = None


class Assignee(base.Model, frozen=True, kw_only=True, gc=False):
    """The user who is to do a task, in short."""

    id: int
    name: str | None = None


class Task(base.Model, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A task as the server sent it (API reference, 'Tasks'). Names are those on the wire.

    Only `id` is always there; what the answer lacks or says is null is `None`.

    - `id`; `subject`; `description`; `notes`
    - `type`: call, email, task, visit, whatsapp or meeting; `priority`: low, medium or high;
      `status`: pending or completed. Any other word is kept as it came.
    - `due_date`: a date; `due_time`: text such as `14:30`; `is_overdue`
    - `lead_id`, and the lead in short: `lead`; `assigned_to`, and the user by name:
      `assigned_user`
    - `completed_at`, `created_at`, `updated_at`: aware
    """

    id: int
    subject: str | None = None
    description: str | None = None
    type: TaskType | None = None
    status: TaskStatus | None = None
    priority: TaskPriority | None = None
    due_date: date | None = None
    due_time: str | None = None
    completed_at: Moment | None = None
    lead_id: int | None = None
    lead: TaskLead | None = None
    assigned_to: int | None = None
    assigned_user: Assignee | None = None
    notes: str | None = None
    is_overdue: bool | None = None
    created_at: Moment | None = None
    updated_at: Moment | None = None

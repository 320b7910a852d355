"""What can hang on a lead and is sent only when `include` asks for it (API reference, 'Leads')."""

from __future__ import annotations

from datetime import date
from typing import Any

from syncro_async.models import base
from syncro_async.models.types import Amount, Moment, TaskPriority, TaskStatus, TaskType

# The reference names `author`, `closed_by`, `lost_by` and `performed_by` without their type.
Person = int | str | dict[str, Any]


# gc=False where every field is a scalar: such a struct can never be part of a cycle.
class Owner(base.Model, frozen=True, kw_only=True, gc=False):
    """The user a lead is assigned to (`include=["owner"]`)."""

    id: int
    name: str | None = None
    email: str | None = None


class LeadProduct(base.Model, frozen=True, kw_only=True, gc=False):
    """A product in the deal (`include=["products"]`); `discount_percent` counts 0 to 100."""

    id: int
    product_id: int | None = None
    product_name: str | None = None
    quantity: Amount | None = None
    unit_price: Amount | None = None
    discount_percent: Amount | None = None
    total: Amount | None = None


class LeadContact(base.Model, frozen=True, kw_only=True, gc=False):
    """A further person of the deal (`include=["contacts"]`)."""

    id: int
    name: str | None = None
    role: str | None = None
    phone: str | None = None
    email: str | None = None
    is_primary: bool | None = None


class Note(base.Model, frozen=True, kw_only=True):
    """A note on the lead (`include=["notes"]`). `author` is as the server sends it."""

    id: int
    body: str | None = None
    author: Person | None = None
    created_at: Moment | None = None


class Sale(base.Model, frozen=True, kw_only=True):
    """A deal won (`include=["sales"]`). `closed_by` is as the server sends it."""

    id: int
    pipeline_id: int | None = None
    value: Amount | None = None
    closed_by: Person | None = None
    closed_at: Moment | None = None


class LostSale(base.Model, frozen=True, kw_only=True):
    """A deal lost (`include=["sales"]`). `lost_by` is as the server sends it."""

    id: int
    pipeline_id: int | None = None
    reason_id: int | None = None
    lost_at: Moment | None = None
    lost_by: Person | None = None


class LeadTask(base.Model, frozen=True, kw_only=True, gc=False):
    """A task of the lead (`include=["tasks"]`); `due_time` is text such as `14:30`."""

    id: int
    subject: str | None = None
    type: TaskType | None = None
    status: TaskStatus | None = None
    priority: TaskPriority | None = None
    due_date: date | None = None
    due_time: str | None = None
    completed_at: Moment | None = None
    assigned_to: int | None = None


class ActiveSequence(base.Model, frozen=True, kw_only=True, gc=False):
    """The nurture sequence the lead is in now (`include=["sequences"]`)."""

    id: int
    name: str | None = None
    current_step: int | None = None
    total_steps: int | None = None
    status: str | None = None


class LeadSequence(base.Model, frozen=True, kw_only=True, gc=False):
    """One enrollment of the lead, past or present (`include=["sequences"]`).

    `id` is that of the enrollment, `sequence_id` that of the sequence.
    """

    id: int
    sequence_id: int | None = None
    name: str | None = None
    status: str | None = None
    next_step_at: Moment | None = None


class LeadEvent(base.Model, frozen=True, kw_only=True):
    """Something that happened to the lead (`include=["events"]`, one lead at a time).

    `performed_by` is as the server sends it.
    """

    id: int
    event_type: str | None = None
    description: str | None = None
    performed_by: Person | None = None
    created_at: Moment | None = None


class Conversation(base.Model, frozen=True, kw_only=True, gc=False):
    """The lead's WhatsApp conversation (`include=["conversation"]`, one lead at a time).

    `instance_id` is that of the connected number.
    """

    id: int
    phone: str | None = None
    status: str | None = None
    last_message_at: Moment | None = None
    unread_count: int | None = None
    instance_id: int | None = None

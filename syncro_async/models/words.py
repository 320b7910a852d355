"""The words of the reference's closed lists, each open to one that the server learns tomorrow.

A type checker and an editor know the words; when the program runs any text is one, in an answer
and in an argument alike: what the server refuses it says itself, by the field's name.
"""

# ruff: noqa: PYI051 - beside `str` a word adds nothing to the type, but an editor offers it

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Literal

    TaskType = Literal["call", "email", "task", "visit", "whatsapp", "meeting"] | str
    TaskPriority = Literal["low", "medium", "high"] | str
    TaskStatus = Literal["pending", "completed"] | str
    Role = Literal["admin", "manager", "viewer"] | str
    FieldType = (
        Literal["text", "number", "currency", "date", "select", "multiselect", "checkbox"] | str
    )
    Provider = Literal["waha", "cloud_api"] | str
    TemplateStatus = Literal["APPROVED", "PENDING", "REJECTED", "PAUSED", "DISABLED"] | str
    WebhookSource = Literal["api", "n8n"] | str
    WebhookEvent = (
        Literal["lead.created", "lead.updated", "lead.stage_changed", "lead.won", "task.completed"]
        | str
    )
else:
    TaskType = TaskPriority = TaskStatus = Role = FieldType = Provider = str
    TemplateStatus = WebhookSource = WebhookEvent = str

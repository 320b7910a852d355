"""Types that several models share: amounts, moments, maps and the reference's lists of words.

A word of a closed list is open to a word that the server adds later: a type checker and an editor
know the words, and at run time any text is accepted, in an answer and in an argument alike.
"""

# ruff: noqa: PYI051 - beside `str` a word adds nothing to the type, but an editor offers it

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

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
    ListRelation = (
        Literal["owner", "products", "contacts", "notes", "sales", "tasks", "sequences", "score"]
        | str
    )
    Relation = ListRelation | Literal["siblings", "events", "conversation"]
    WebhookSource = Literal["api", "n8n"] | str
    WebhookEvent = (
        Literal["lead.created", "lead.updated", "lead.stage_changed", "lead.won", "task.completed"]
        | str
    )
else:
    TaskType = TaskPriority = TaskStatus = Role = FieldType = Provider = str
    TemplateStatus = WebhookSource = WebhookEvent = ListRelation = Relation = str
if TYPE_CHECKING:
    Map = dict[str, Any]
else:
    Map = dict[str, Any] | Annotated[list[Any], msgspec.Meta(max_length=0)]


Amount = Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]


Moment = Annotated[datetime, msgspec.Meta(tz=True)]

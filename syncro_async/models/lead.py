"""A WhatsApp message on its way."""

from __future__ import annotations

from datetime import date
from typing import Any

from msgspec import UNSET, UnsetType
from msgspec.structs import force_setattr

from syncro_async.models import base
from syncro_async.models.relations import (
    ActiveSequence,
    Conversation,
    LeadContact,
    LeadEvent,
    LeadProduct,
    LeadSequence,
    LeadTask,
    LostSale,
    Note,
    Owner,
    Sale,
)
from syncro_async.models.types import Amount, Map, Moment


class PipelineReference(base.Model, frozen=True, kw_only=True, gc=False):
    """A pipeline by id and name."""

    id: int
    name: str | None = None


class StageReference(base.Model, frozen=True, kw_only=True, gc=False):
    """A stage of a pipeline by id and name."""

    id: int
    name: str | None = None


class Lead(base.Model, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A lead as the server sent it (API reference, 'Leads'). Names are those on the wire.

    Only `id` is always there. A plain field is `None` when the answer lacks it or says null: the
    answers of `create`, `upsert` and `get` carry fewer fields than those of `list`. A relation is
    `msgspec.UNSET` when it was not asked for with `include`; asked for, it is a list, or an object
    that is `None` where the lead has none.

    Plain fields:

    - `id`; `name`; `phone` (E.164 as a rule); `email`; `company`
    - `birthday`: a date
    - `value`: what the deal is worth, in the account's currency
    - `source`: where the lead came from; `tags`: names
    - `pipeline_id`, `stage_id`, and the same two by name: `pipeline`, `stage`
    - `notes`: the lead's own free text (the list of notes is `notes_list`)
    - `utm_source`, `utm_medium`, `utm_campaign`, `utm_term`, `utm_content`
    - `created_at`: aware
    - `custom_fields`: a field's `name` to its value; `{}` where none is filled
    - `assigned_to`: the id of the owner, sent with `include=["owner"]`

    Relations, by the `include` name that brings them:

    - `owner`: `owner` · `products`: `products` · `contacts`: `contacts` · `notes`: `notes_list`
    - `sales`: `sales` and `lost_sales` · `tasks`: `tasks`
    - `sequences`: `active_sequence` and `sequences` · `score`: `score` and `score_updated_at`
    - only with `leads.get`: `events`: `events` · `conversation`: `conversation` ·
      `siblings`: `siblings`, the other deals of the same contact, with whatever lead fields the
      server sends of them, and `contact_totals`, a map as the server sends it
    """

    id: int
    name: str | None = None
    phone: str | None = None
    email: str | None = None
    company: str | None = None
    birthday: date | None = None
    value: Amount | None = None
    source: str | None = None
    tags: list[str] | None = None
    pipeline_id: int | None = None
    stage_id: int | None = None
    notes: str | None = None
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_campaign: str | None = None
    utm_term: str | None = None
    utm_content: str | None = None
    stage: StageReference | None = None
    pipeline: PipelineReference | None = None
    created_at: Moment | None = None
    custom_fields: Map | None = None
    assigned_to: int | None = None

    owner: Owner | UnsetType | None = UNSET
    products: list[LeadProduct] | UnsetType = UNSET
    contacts: list[LeadContact] | UnsetType = UNSET
    notes_list: list[Note] | UnsetType = UNSET
    sales: list[Sale] | UnsetType = UNSET
    lost_sales: list[LostSale] | UnsetType = UNSET
    tasks: list[LeadTask] | UnsetType = UNSET
    active_sequence: ActiveSequence | UnsetType | None = UNSET
    sequences: list[LeadSequence] | UnsetType = UNSET
    score: int | UnsetType | None = UNSET
    score_updated_at: Moment | UnsetType | None = UNSET
    siblings: list[Lead] | UnsetType = UNSET
    contact_totals: Map | UnsetType | None = UNSET
    events: list[LeadEvent] | UnsetType = UNSET
    conversation: Conversation | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        # Written out, because this runs for each lead of a list.
        found: Any = self
        if type(found.custom_fields) is list:
            force_setattr(self, "custom_fields", {})
        if type(found.contact_totals) is list:
            force_setattr(self, "contact_totals", {})


class UpsertResult(base.Model, frozen=True):
    """The result of `leads.upsert` (API reference, 'Leads').

    - `created`: True for a new lead, False for one that was found and updated.
    - `lead`: the lead, with only some of its fields.
    """

    created: bool
    lead: Lead


class Enrollment(base.Model, frozen=True, gc=False):
    """The result of `leads.enroll` and `leads.unenroll` (API reference, 'Leads').

    - `lead_id`, `sequence_id`: the lead and the sequence.
    - `status`: a word of the server, for instance `active` or `exited_manual`.
    - `lead_sequence_id`, `next_step_at` (aware): of an enrollment only.
    """

    lead_id: int
    sequence_id: int
    status: str
    lead_sequence_id: int | None = None
    next_step_at: Moment | None = None


class SentMessage(base.Model, frozen=True, gc=False):
    """The ids of a message that the provider has accepted (API reference, 'Leads').

    - `conversation_id`, `message_id`: ids of the API.
    - `provider_msg_id`: WhatsApp's own id.
    - `template_name`: the template, None for a plain message.
    """

    conversation_id: int
    message_id: int
    provider_msg_id: str | None = None
    template_name: str | None = None

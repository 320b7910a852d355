"""The endpoints that list, show, create, change, move, delete and tag leads."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from syncro_async.sandbox.data.account import LOST_REASONS, PIPELINES, STAGES, USERS, Stage
from syncro_async.sandbox.data.lead_record import LeadRecord
from syncro_async.sandbox.handlers.custom_fields import CUSTOM_FIELDS
from syncro_async.sandbox.handlers.relations import (
    RelationContext,
    asked_in_list,
    asked_of_one,
    related,
)
from syncro_async.sandbox.request import page_asked, page_meta
from syncro_async.sandbox.responses import Response, json_response, rule_violation
from syncro_async.sandbox.serialization import BRIEF_FIELDS, CREATED_FIELDS

if TYPE_CHECKING:
    from syncro_async.sandbox.request import ApiRequest
    from syncro_async.sandbox.validation import Form

    Filter = Callable[[LeadRecord], bool]
    from syncro_async.sandbox.data.store import Store


_SECONDS = len("2026-06-30T10:00:00")


def list_leads(asked: ApiRequest) -> Response:
    """`GET /leads`."""
    form = asked.filters()
    page, per_page = page_asked(form)
    filters = _filters(form)
    include = asked_in_list(form.text("include"))
    form.validate()
    leads = asked.store.listed()
    first = (page - 1) * per_page
    if filters:
        matching = [lead for lead in leads if all(fits(lead) for fits in filters)]
        total = len(matching)
        shown = matching[first : first + per_page]
    else:
        total = len(leads)
        shown = list(islice(leads, min(first, total), first + per_page))
    meta = page_meta(total, page, per_page)
    data = [_encoded(asked, lead, include) for lead in shown]
    return json_response(
        {"success": True, "data": data, "meta": meta | asked.wire.undocumented_fields()}
    )


def get_lead(asked: ApiRequest) -> Response:
    """`GET /leads/{id}`."""
    lead = asked.store.find(asked.parts[0])
    form = asked.filters()
    include = asked_of_one(form.text("include"))
    form.validate()
    extra = related(include, RelationContext(asked.store, lead, asked.wire))
    return json_response({"success": True, "lead": asked.wire.detail(lead) | extra})


def _encoded(asked: ApiRequest, lead: LeadRecord, include: frozenset[str]) -> msgspec.Raw:
    """The lead's JSON: made once for each set of relations, until the lead changes."""
    known = lead.encoded.get(include)
    if known is None:
        fields = asked.wire.lead(lead) | related(
            include, RelationContext(asked.store, lead, asked.wire)
        )
        known = lead.encoded[include] = msgspec.Raw(msgspec.json.encode(fields))
    return known


def _filters(form: Form) -> list[Filter]:
    filters: list[Filter] = []
    for name in ("pipeline_id", "stage_id", "assigned_to"):
        _equal(filters, name, form.integer(name))
    _equal(filters, "source", form.text("source"))
    status = form.text("status")
    if status is not None:
        filters.append(lambda lead: STAGES[lead["stage_id"]].status == status)
    wanted = frozenset(form.texts("tags") or ())
    if wanted:
        filters.append(lambda lead: not wanted.isdisjoint(lead["tags"]))
    q = (form.text("q") or "").casefold()
    if q:
        filters.append(lambda lead: _mentions(lead, q))
    _since(filters, "updated_at", form.moment("updated_since"))
    _since(filters, "created_at", form.moment("created_from"))
    until = form.moment("created_to", day_ends=True)
    if until is not None:
        filters.append(lambda lead: lead["created_at"][:_SECONDS] <= until)
    return filters


def _equal(filters: list[Filter], name: str, wanted: Any) -> None:
    if wanted is not None:
        filters.append(lambda lead: bool(lead[name] == wanted))


def _since(filters: list[Filter], name: str, moment: str | None) -> None:
    if moment is not None:
        # Without its Z, a moment in whole seconds sorts before the same one with a fraction.
        filters.append(lambda lead: lead[name][:_SECONDS] >= moment)


def _mentions(lead: LeadRecord, q: str) -> bool:
    return q in f"{lead['name']}\n{lead['email'] or ''}\n{lead['phone'] or ''}".casefold()


_REQUIRED = ("name", "pipeline_id", "stage_id")
_TEXTS = (
    *("name", "phone", "email", "source", "notes"),
    *("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"),
)
_CUSTOM = frozenset(field.name for field in CUSTOM_FIELDS)
_MATCHES = {
    "email": ("email",),
    "phone": ("phone",),
    "email_or_phone": ("email", "phone"),
}


def create_lead(asked: ApiRequest) -> Response:
    """`POST /leads`."""
    form = asked.form()
    for name in _REQUIRED:
        form.require(name)
    fields = _lead_fields(form)
    form.validate()
    lead = _create(asked, fields)
    return json_response({"success": True, "lead": asked.wire.some(lead, CREATED_FIELDS)}, 201)


def upsert_lead(asked: ApiRequest) -> Response:
    """`POST /leads/upsert`: an existing lead keeps what was not sent, or sent empty."""
    form = asked.form()
    keys = _MATCHES[form.choice("match_by", _MATCHES) or "email_or_phone"]
    if not any(form.text(key) for key in keys):
        for key, other in zip(keys, reversed(keys), strict=True):
            form.require(key, f" when {other} is not present" if other != key else "")
    lead = _match(asked.store, {key: form.text(key) for key in keys})
    if lead is None:
        for name in _REQUIRED:
            form.require(name)
    fields = _lead_fields(form, home=lead["pipeline_id"] if lead else None)
    form.validate()
    created = lead is None
    if lead is None:
        lead = _create(asked, fields)
    else:
        _update(asked, lead, fields)
    answer = {"success": True, "created": created, "lead": asked.wire.some(lead, BRIEF_FIELDS)}
    return json_response(answer, 201 if created else 200)


def move_lead(asked: ApiRequest) -> Response:
    """`PUT /leads/{id}/stage`."""
    lead = asked.store.find(asked.parts[0])
    form = asked.form()
    form.require("pipeline_id")
    stage = _required_stage(form, form.integer("pipeline_id", among=PIPELINES))
    _refuse_if_held(asked.store, lead)
    return _moved(asked, lead, stage)


def mark_won(asked: ApiRequest) -> Response:
    """`PUT /leads/{id}/won`."""
    lead = asked.store.find(asked.parts[0])
    form = asked.form()
    value = form.number("value")
    stage = _required_stage(form)
    if not stage.is_won:
        raise rule_violation("A etapa informada não é uma etapa de ganho.")
    _refuse_if_held(asked.store, lead)
    return _moved(asked, lead, stage, value=value)


def mark_lost(asked: ApiRequest) -> Response:
    """`PUT /leads/{id}/lost`."""
    lead = asked.store.find(asked.parts[0])
    form = asked.form()
    reason_id = form.integer("reason_id", among=LOST_REASONS)
    stage = _required_stage(form)
    if not stage.is_lost:
        raise rule_violation("A etapa informada não é uma etapa de perda.")
    _refuse_if_held(asked.store, lead)
    return _moved(asked, lead, stage, reason_id=reason_id)


def delete_lead(asked: ApiRequest) -> Response:
    """`DELETE /leads/{id}`."""
    asked.store.remove(asked.store.find(asked.parts[0]))
    return json_response({"success": True})


def add_tags(asked: ApiRequest) -> Response:
    """`POST /leads/{id}/tags`."""
    lead = asked.store.find(asked.parts[0])
    form = asked.form()
    form.require("tags")
    tags = form.texts("tags") or []
    form.validate()
    return _tagged(asked, lead, list(dict.fromkeys([*lead["tags"], *tags])))


def remove_tag(asked: ApiRequest) -> Response:
    """`DELETE /leads/{id}/tags/{tag}`; a tag the lead does not have is no error."""
    lead = asked.store.find(asked.parts[0])
    return _tagged(asked, lead, [tag for tag in lead["tags"] if tag != asked.parts[1]])


def _lead_fields(form: Form, home: int | None = None) -> dict[str, Any]:
    """The sent fields of a lead; `home` is the pipeline of its stage unless another is sent."""
    fields: dict[str, Any] = {name: form.text(name) for name in _TEXTS}
    pipeline_id = form.integer("pipeline_id", among=PIPELINES)
    stage = _stage(form, home if pipeline_id is None else pipeline_id)
    fields["stage_id"] = stage and stage.id
    fields["value"] = form.number("value")
    fields["tags"] = form.texts("tags")
    fields["assigned_to"] = form.integer("assigned_to", among=USERS)
    custom = form.mapping("custom_fields") or {}
    fields["custom_fields"] = {k: v for k, v in custom.items() if k in _CUSTOM}
    return fields


def _stage(form: Form, pipeline_id: int | None) -> Stage | None:
    stage = STAGES.get(form.integer("stage_id", among=STAGES) or 0)
    if stage is not None and pipeline_id not in (None, stage.pipeline_id):
        form.unknown("stage_id")
    return stage


def _required_stage(form: Form, pipeline_id: int | None = None) -> Stage:
    form.require("stage_id")
    return form.validated(_stage(form, pipeline_id))


def _create(asked: ApiRequest, fields: dict[str, Any]) -> LeadRecord:
    store = asked.store
    if asked.max_leads is not None and len(store.leads) >= asked.max_leads:
        raise rule_violation("Limite de leads do plano atingido.", limit_reached=True)
    at = asked.at
    lead = LeadRecord(
        {
            **fields,
            "id": store.new_id("lead"),
            "company": None,
            "birthday": None,
            "tags": fields["tags"] or [],
            "pipeline_id": STAGES[fields["stage_id"]].pipeline_id,
            "created_at": at,
            "updated_at": at,
            "score": None,
            "score_updated_at": None,
        }
    )
    store.add(lead)
    return lead


def _match(store: Store, keys: dict[str, str | None]) -> LeadRecord | None:
    """The oldest lead of that email, else of that telephone."""
    for key, wanted in keys.items():
        lead = None if wanted is None else store.oldest_with(key, wanted)
        if lead is not None:
            return lead
    return None


def _update(asked: ApiRequest, lead: LeadRecord, fields: dict[str, Any]) -> None:
    stage_id = fields.pop("stage_id")
    custom = lead["custom_fields"] | fields.pop("custom_fields")
    for name, value in fields.items():
        if value not in (None, []):
            lead[name] = value
    lead["custom_fields"] = custom
    if stage_id is not None:
        asked.store.enter(lead, STAGES[stage_id], asked.at)
    asked.store.touch(lead, asked.at, "updated", "Lead atualizado")


def _refuse_if_held(store: Store, lead: LeadRecord) -> None:
    tasks = store.held_by.get(lead["id"])
    if tasks:
        raise rule_violation(
            "Complete mandatory tasks before moving the lead.",
            blocked=True,
            pending_tasks=[{key: task[key] for key in ("id", "subject", "type")} for task in tasks],
        )


def _moved(asked: ApiRequest, lead: LeadRecord, stage: Stage, **deal: Any) -> Response:
    at = asked.at
    asked.store.enter(lead, stage, at, **deal)
    asked.store.touch(lead, asked.at, "stage_changed", f"Movido para {stage.name}")
    return json_response({"success": True, "lead_id": lead["id"]})


def _tagged(asked: ApiRequest, lead: LeadRecord, tags: list[str]) -> Response:
    lead["tags"] = tags
    asked.store.touch(lead, asked.at, "updated", "Tags alteradas")
    return json_response({"success": True, "lead_id": lead["id"], "tags": tags})

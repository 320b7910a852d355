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
    lead_relations,
    list_relations,
    related,
)
from syncro_async.sandbox.request import page_meta, requested_page
from syncro_async.sandbox.responses import Response, json_response, rule_violation
from syncro_async.sandbox.serialization import BRIEF_FIELDS, CREATED_FIELDS

if TYPE_CHECKING:
    from syncro_async.sandbox.request import ApiRequest
    from syncro_async.sandbox.validation import Form

    Filter = Callable[[LeadRecord], bool]
    from syncro_async.sandbox.data.store import Store


_SECONDS = len("2026-06-30T10:00:00")


def list_leads(request: ApiRequest) -> Response:
    """`GET /leads`."""
    form = request.filters()
    page, per_page = requested_page(form)
    filters = _filters(form)
    include = list_relations(form.text("include"))
    form.validate()
    leads = request.store.in_list_order()
    first = (page - 1) * per_page
    if filters:
        matching = [lead for lead in leads if all(fits(lead) for fits in filters)]
        total = len(matching)
        shown = matching[first : first + per_page]
    else:
        total = len(leads)
        shown = list(islice(leads, min(first, total), min(first + per_page, total)))
    meta = page_meta(total, page, per_page)
    data = [_encoded(request, lead, include) for lead in shown]
    return json_response(
        {"success": True, "data": data, "meta": meta | request.wire.undocumented_fields()}
    )


def get_lead(request: ApiRequest) -> Response:
    """`GET /leads/{id}`."""
    lead = request.store.find(request.parts[0])
    form = request.filters()
    include = lead_relations(form.text("include"))
    form.validate()
    extra = related(include, RelationContext(request.store, lead, request.wire))
    return json_response({"success": True, "lead": request.wire.detail(lead) | extra})


def _encoded(request: ApiRequest, lead: LeadRecord, include: frozenset[str]) -> msgspec.Raw:
    """The lead's JSON, cached for each set of relations until the lead changes."""
    known = lead.encoded.get(include)
    if known is None:
        fields = request.wire.lead(lead) | related(
            include, RelationContext(request.store, lead, request.wire)
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
        filters.append(lambda lead: _contains_text(lead, q))
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
        # Text without the Z sorts whole seconds before the same second with a fraction.
        filters.append(lambda lead: lead[name][:_SECONDS] >= moment)


def _contains_text(lead: LeadRecord, q: str) -> bool:
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


def create_lead(request: ApiRequest) -> Response:
    """`POST /leads`."""
    form = request.form()
    for name in _REQUIRED:
        form.require(name)
    fields = _lead_fields(form)
    form.validate()
    lead = _create(request, fields)
    return json_response({"success": True, "lead": request.wire.some(lead, CREATED_FIELDS)}, 201)


def upsert_lead(request: ApiRequest) -> Response:
    """`POST /leads/upsert`: an existing lead keeps the fields that are absent or empty."""
    form = request.form()
    keys = _MATCHES[form.choice("match_by", _MATCHES) or "email_or_phone"]
    if not any(form.text(key) for key in keys):
        for key, other in zip(keys, reversed(keys), strict=True):
            form.require(key, f" when {other} is not present" if other != key else "")
    lead = _match(request.store, {key: form.text(key) for key in keys})
    if lead is None or request.store.strict_upserts:
        for name in _REQUIRED:
            form.require(name)
    fields = _lead_fields(form, current_pipeline=lead["pipeline_id"] if lead else None)
    form.validate()
    created = lead is None
    if lead is None:
        lead = _create(request, fields)
    else:
        _update(request, lead, fields)
    answer = {"success": True, "created": created, "lead": request.wire.some(lead, BRIEF_FIELDS)}
    return json_response(answer, 201 if created else 200)


def move_lead(request: ApiRequest) -> Response:
    """`PUT /leads/{id}/stage`."""
    lead = request.store.find(request.parts[0])
    form = request.form()
    form.require("pipeline_id")
    stage = _required_stage(form, form.integer("pipeline_id", among=PIPELINES))
    _require_tasks_done(request.store, lead)
    return _move(request, lead, stage)


def mark_won(request: ApiRequest) -> Response:
    """`PUT /leads/{id}/won`."""
    lead = request.store.find(request.parts[0])
    form = request.form()
    value = form.number("value")
    stage = _required_stage(form)
    if not stage.is_won:
        raise rule_violation("A etapa informada não é uma etapa de ganho.")
    _require_tasks_done(request.store, lead)
    return _move(request, lead, stage, value=value)


def mark_lost(request: ApiRequest) -> Response:
    """`PUT /leads/{id}/lost`."""
    lead = request.store.find(request.parts[0])
    form = request.form()
    reason_id = form.integer("reason_id", among=LOST_REASONS)
    stage = _required_stage(form)
    if not stage.is_lost:
        raise rule_violation("A etapa informada não é uma etapa de perda.")
    _require_tasks_done(request.store, lead)
    return _move(request, lead, stage, reason_id=reason_id)


def delete_lead(request: ApiRequest) -> Response:
    """`DELETE /leads/{id}`."""
    request.store.remove(request.store.find(request.parts[0]))
    return json_response({"success": True})


def add_tags(request: ApiRequest) -> Response:
    """`POST /leads/{id}/tags`."""
    lead = request.store.find(request.parts[0])
    form = request.form()
    form.require("tags")
    tags = form.texts("tags") or []
    form.validate()
    return _set_tags(request, lead, list(dict.fromkeys([*lead["tags"], *tags])))


def remove_tag(request: ApiRequest) -> Response:
    """`DELETE /leads/{id}/tags/{tag}`; a tag that the lead does not have is not an error."""
    lead = request.store.find(request.parts[0])
    return _set_tags(request, lead, [tag for tag in lead["tags"] if tag != request.parts[1]])


def _lead_fields(form: Form, current_pipeline: int | None = None) -> dict[str, Any]:
    """The sent fields of a lead; `current_pipeline` is the pipeline when none is sent."""
    fields: dict[str, Any] = {name: form.text(name) for name in _TEXTS}
    pipeline_id = form.integer("pipeline_id", among=PIPELINES)
    stage = _stage(form, current_pipeline if pipeline_id is None else pipeline_id)
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


def _create(request: ApiRequest, fields: dict[str, Any]) -> LeadRecord:
    store = request.store
    if request.max_leads is not None and len(store.leads) >= request.max_leads:
        raise rule_violation("Limite de leads do plano atingido.", limit_reached=True)
    at = request.at
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
    """The oldest lead with the email, else the oldest with the phone number."""
    for key, wanted in keys.items():
        lead = None if wanted is None else store.oldest_with(key, wanted)
        if lead is not None:
            return lead
    return None


def _update(request: ApiRequest, lead: LeadRecord, fields: dict[str, Any]) -> None:
    stage_id = fields.pop("stage_id")
    custom = lead["custom_fields"] | fields.pop("custom_fields")
    for name, value in fields.items():
        if value not in (None, []):
            lead[name] = value
    lead["custom_fields"] = custom
    if stage_id is not None:
        request.store.enter(lead, STAGES[stage_id], request.at)
    request.store.touch(lead, request.at, "updated", "Lead atualizado")


def _require_tasks_done(store: Store, lead: LeadRecord) -> None:
    tasks = store.blocking_tasks.get(lead["id"])
    if tasks:
        raise rule_violation(
            "Complete mandatory tasks before moving the lead.",
            blocked=True,
            pending_tasks=[{key: task[key] for key in ("id", "subject", "type")} for task in tasks],
        )


def _move(request: ApiRequest, lead: LeadRecord, stage: Stage, **deal: Any) -> Response:
    at = request.at
    request.store.enter(lead, stage, at, **deal)
    request.store.touch(lead, request.at, "stage_changed", f"Movido para {stage.name}")
    return json_response({"success": True, "lead_id": lead["id"]})


def _set_tags(request: ApiRequest, lead: LeadRecord, tags: list[str]) -> Response:
    lead["tags"] = tags
    request.store.touch(lead, request.at, "updated", "Tags alteradas")
    return json_response({"success": True, "lead_id": lead["id"], "tags": tags})

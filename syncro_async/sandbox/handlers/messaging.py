"""The endpoints for nurture sequences and WhatsApp messages."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from syncro_async.sandbox.data.account import (
    INSTANCES,
    MAIN_INSTANCE_ID,
    SEQUENCES,
    TEMPLATES,
    Instance,
)
from syncro_async.sandbox.data.sample_leads import moment
from syncro_async.sandbox.responses import Response, error, json_response, not_found, rule_violation

if TYPE_CHECKING:
    from syncro_async.sandbox.data.lead_record import LeadRecord
    from syncro_async.sandbox.request import ApiRequest
    from syncro_async.sandbox.validation import Form

_ACTIVE_SEQUENCES = frozenset(one.id for one in SEQUENCES.values() if one.active)
_APPROVED_TEMPLATES = frozenset(one.id for one in TEMPLATES.values() if one.status == "APPROVED")
_UNTIL_NEXT_STEP = timedelta(days=1)


def enroll(request: ApiRequest) -> Response:
    """`POST /leads/{id}/enroll-sequence`."""
    lead = request.store.find(request.parts[0])
    form = request.form()
    form.require("sequence_id")
    sequence_id = form.validated(form.integer("sequence_id", among=_ACTIVE_SEQUENCES))
    enrollment = {
        "id": request.store.new_id("enrollment"),
        "sequence_id": sequence_id,
        "current_step": 1,
        "status": "active",
        "next_step_at": moment(datetime.fromisoformat(request.at) + _UNTIL_NEXT_STEP),
    }
    request.store.enrollments[lead["id"]].append(enrollment)
    request.store.touch(lead, request.at, "sequence_enrolled", "Inscrito em sequência")
    return json_response(
        {
            "success": True,
            "lead_id": lead["id"],
            "sequence_id": sequence_id,
            "lead_sequence_id": enrollment["id"],
            "status": "active",
            "next_step_at": request.wire.moment(str(enrollment["next_step_at"])),
        }
    )


def unenroll(request: ApiRequest) -> Response:
    """`DELETE /leads/{id}/enroll-sequence/{sequence_id}`."""
    lead = request.store.find(request.parts[0])
    current = [
        one
        for one in request.store.enrollments.get(lead["id"], ())
        if str(one["sequence_id"]) == request.parts[1] and one["status"] == "active"
    ]
    if not current:
        raise not_found("Inscrição")
    for one in current:
        one.update(status="exited_manual", next_step_at=None)
    request.store.touch(lead, request.at, "sequence_exited", "Removido de sequência")
    return json_response(
        {
            "success": True,
            "lead_id": lead["id"],
            "sequence_id": current[0]["sequence_id"],
            "status": "exited_manual",
        }
    )


def send_whatsapp(request: ApiRequest) -> Response:
    """`POST /leads/{id}/send-whatsapp`."""
    lead = request.store.find(request.parts[0])
    form = request.form()
    form.require("type")
    kind = form.choice("type", ("text", "image"))
    if form.text("media_url") is None:
        form.require("body", " when media url is not present")
    form.url("media_url")
    if kind == "image":
        form.require("media_url", " when type is image")
    for name in ("body", "caption"):
        form.text(name)
    instance = _instance(form)
    form.validate()
    _require_phone(lead)
    if instance.official and not request.store.is_window_open(lead):
        message = "Janela de 24h fechada — use um template."
        raise rule_violation(message, skip_reason="window_closed")
    return json_response(_send(request, lead, instance))


def send_template(request: ApiRequest) -> Response:
    """`POST /leads/{id}/send-whatsapp-template`: also allowed outside of the 24 h window."""
    lead = request.store.find(request.parts[0])
    form = request.form()
    form.require("template_id")
    template_id = form.integer("template_id", among=_APPROVED_TEMPLATES)
    if template_id is not None and TEMPLATES[template_id].needs_media:
        form.require("header_media_url")
    form.url("header_media_url")
    form.texts("variables")
    instance = _instance(form)
    template = TEMPLATES[form.validated(template_id)]
    _require_phone(lead)
    return json_response(_send(request, lead, instance) | {"template_name": template.name})


def _instance(form: Form) -> Instance:
    return INSTANCES[form.integer("instance_id", among=INSTANCES) or MAIN_INSTANCE_ID]


def _require_phone(lead: LeadRecord) -> None:
    if lead["phone"] is None:
        raise rule_violation("Lead sem telefone.")


def _send(request: ApiRequest, lead: LeadRecord, instance: Instance) -> dict[str, Any]:
    """Send a message. Raises `RequestRejected` (502) when the provider fails."""
    if instance.failing:
        raw = {"error": {"code": 131_000, "message": "Something went wrong"}}
        message = "Falha ao enviar: o provedor recusou a mensagem."
        raise error(502, {"success": False, "message": message, "raw": raw})
    message_id = request.store.new_id("message")
    conversation = request.store.conversation(lead)
    conversation.update(last_message_at=request.at, instance_id=instance.id)
    request.store.touch(lead, request.at, "message_sent", "Mensagem enviada")
    return {
        "success": True,
        "conversation_id": conversation["id"],
        "message_id": message_id,
        "provider_msg_id": f"wamid.sandbox{message_id}",
    }

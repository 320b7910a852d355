"""The calls that reach out to a lead: nurture sequences and WhatsApp messages."""

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


def enroll(asked: ApiRequest) -> Response:
    """`POST /leads/{id}/enroll-sequence`."""
    lead = asked.store.find(asked.parts[0])
    form = asked.form()
    form.require("sequence_id")
    sequence_id = form.validated(form.integer("sequence_id", among=_ACTIVE_SEQUENCES))
    enrollment = {
        "id": asked.store.new_id("enrollment"),
        "sequence_id": sequence_id,
        "current_step": 1,
        "status": "active",
        "next_step_at": moment(datetime.fromisoformat(asked.at) + _UNTIL_NEXT_STEP),
    }
    asked.store.enrollments[lead["id"]].append(enrollment)
    asked.store.touch(lead, asked.at, "sequence_enrolled", "Inscrito em sequência")
    return json_response(
        {
            "success": True,
            "lead_id": lead["id"],
            "sequence_id": sequence_id,
            "lead_sequence_id": enrollment["id"],
            "status": "active",
            "next_step_at": asked.wire.moment(str(enrollment["next_step_at"])),
        }
    )


def unenroll(asked: ApiRequest) -> Response:
    """`DELETE /leads/{id}/enroll-sequence/{sequence_id}`."""
    lead = asked.store.find(asked.parts[0])
    current = [
        one
        for one in asked.store.enrollments.get(lead["id"], ())
        if str(one["sequence_id"]) == asked.parts[1] and one["status"] == "active"
    ]
    if not current:
        raise not_found("Inscrição")
    for one in current:
        one.update(status="exited_manual", next_step_at=None)
    asked.store.touch(lead, asked.at, "sequence_exited", "Removido de sequência")
    return json_response(
        {
            "success": True,
            "lead_id": lead["id"],
            "sequence_id": current[0]["sequence_id"],
            "status": "exited_manual",
        }
    )


def send_whatsapp(asked: ApiRequest) -> Response:
    """`POST /leads/{id}/send-whatsapp`."""
    lead = asked.store.find(asked.parts[0])
    form = asked.form()
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
    _refuse_without_phone(lead)
    if instance.official and not asked.store.window_is_open(lead):
        message = "Janela de 24h fechada — use um template."
        raise rule_violation(message, skip_reason="window_closed")
    return json_response(_sent(asked, lead, instance))


def send_template(asked: ApiRequest) -> Response:
    """`POST /leads/{id}/send-whatsapp-template`: allowed outside the 24 h window too."""
    lead = asked.store.find(asked.parts[0])
    form = asked.form()
    form.require("template_id")
    template_id = form.integer("template_id", among=_APPROVED_TEMPLATES)
    if template_id is not None and TEMPLATES[template_id].needs_media:
        form.require("header_media_url")
    form.url("header_media_url")
    form.texts("variables")
    instance = _instance(form)
    template = TEMPLATES[form.validated(template_id)]
    _refuse_without_phone(lead)
    return json_response(_sent(asked, lead, instance) | {"template_name": template.name})


def _instance(form: Form) -> Instance:
    return INSTANCES[form.integer("instance_id", among=INSTANCES) or MAIN_INSTANCE_ID]


def _refuse_without_phone(lead: LeadRecord) -> None:
    if lead["phone"] is None:
        raise rule_violation("Lead sem telefone.")


def _sent(asked: ApiRequest, lead: LeadRecord, instance: Instance) -> dict[str, Any]:
    """Hand a message to the provider of the number. Raises `Refused` (502) when that fails."""
    if instance.failing:
        raw = {"error": {"code": 131_000, "message": "Something went wrong"}}
        message = "Falha ao enviar: o provedor recusou a mensagem."
        raise error(502, {"success": False, "message": message, "raw": raw})
    message_id = asked.store.new_id("message")
    conversation = asked.store.conversation(lead)
    conversation.update(last_message_at=asked.at, instance_id=instance.id)
    asked.store.touch(lead, asked.at, "message_sent", "Mensagem enviada")
    return {
        "success": True,
        "conversation_id": conversation["id"],
        "message_id": message_id,
        "provider_msg_id": f"wamid.sandbox{message_id}",
    }

"""Reaching a lead: sequences, WhatsApp messages and templates."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from syncro_async.sandbox import (
    ACTIVE_SEQUENCE_ID,
    CLOSED_WINDOW_LEAD_ID,
    FAILING_INSTANCE_ID,
    INACTIVE_SEQUENCE_ID,
    MAIN_INSTANCE_ID,
    MEDIA_TEMPLATE_ID,
    NO_PHONE_LEAD_ID,
    OFFICIAL_INSTANCE_ID,
    OTHER_SEQUENCE_ID,
    TEMPLATE_ID,
    UNAPPROVED_TEMPLATE_ID,
    Sandbox,
)

TEXT = {"type": "text", "body": "Olá! Tudo bem?"}
IMAGE = {"type": "image", "media_url": "https://example.com/a.png", "caption": "Veja"}
TEMPLATE: dict[str, Any] = {"template_id": TEMPLATE_ID, "variables": ["João", "Proposta"]}


async def test_enrolling_answers_with_the_next_step(api: httpx.AsyncClient) -> None:
    answer = await api.post("/leads/1/enroll-sequence", json={"sequence_id": ACTIVE_SEQUENCE_ID})
    assert answer.status_code == 200
    assert answer.json() == {
        "success": True,
        "lead_id": 1,
        "sequence_id": ACTIVE_SEQUENCE_ID,
        "lead_sequence_id": 2,
        "status": "active",
        "next_step_at": "2026-07-01T12:00:00Z",
    }


async def test_leaving_a_sequence_keeps_it_in_the_history(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    for sequence_id in (ACTIVE_SEQUENCE_ID, OTHER_SEQUENCE_ID):
        await api.post("/leads/1/enroll-sequence", json={"sequence_id": sequence_id})
    answer = await api.delete(f"/leads/1/enroll-sequence/{OTHER_SEQUENCE_ID}")
    assert answer.json() == {
        "success": True,
        "lead_id": 1,
        "sequence_id": OTHER_SEQUENCE_ID,
        "status": "exited_manual",
    }
    lead = (await api.get("/leads/1?include=sequences")).json()["lead"]
    assert lead["active_sequence"]["id"] == ACTIVE_SEQUENCE_ID
    assert [(one["sequence_id"], one["status"]) for one in lead["sequences"]] == [
        (ACTIVE_SEQUENCE_ID, "active"),
        (OTHER_SEQUENCE_ID, "exited_manual"),
    ]
    again = await api.delete(f"/leads/1/enroll-sequence/{OTHER_SEQUENCE_ID}")
    assert again.status_code == 404
    assert len(sandbox.writes) == 3


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({}, "The sequence id field is required."),
        ({"sequence_id": 77}, "The selected sequence id is invalid."),
        ({"sequence_id": INACTIVE_SEQUENCE_ID}, "The selected sequence id is invalid."),
    ],
)
async def test_only_an_active_sequence_takes_leads(
    api: httpx.AsyncClient, fields: dict[str, int], complaint: str
) -> None:
    answer = await api.post("/leads/1/enroll-sequence", json=fields)
    assert answer.status_code == 422
    assert answer.json()["message"] == complaint


@pytest.mark.parametrize("message", [TEXT, IMAGE, TEXT | {"instance_id": OFFICIAL_INSTANCE_ID}])
async def test_a_message_is_sent_and_numbered(
    api: httpx.AsyncClient, sandbox: Sandbox, message: dict[str, Any]
) -> None:
    sent = [(await api.post("/leads/1/send-whatsapp", json=message)).json() for _ in range(2)]
    assert [set(answer) for answer in sent] == [
        {"success", "conversation_id", "message_id", "provider_msg_id"}
    ] * 2
    assert sent[0]["conversation_id"] == sent[1]["conversation_id"]
    assert sent[0]["message_id"] != sent[1]["message_id"]
    assert sent[0]["provider_msg_id"].startswith("wamid.")
    assert sandbox.writes == [("POST", "/leads/1/send-whatsapp")] * 2


async def test_a_message_shows_in_the_conversation(api: httpx.AsyncClient) -> None:
    await api.post("/leads/1/send-whatsapp", json=TEXT | {"instance_id": OFFICIAL_INSTANCE_ID})
    lead = (await api.get("/leads/1?include=conversation")).json()["lead"]
    assert lead["conversation"]["instance_id"] == OFFICIAL_INSTANCE_ID
    assert lead["conversation"]["last_message_at"] == "2026-06-30T12:00:00Z"
    assert lead["conversation"]["phone"] == lead["phone"]


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"body": "x"}, {"type": ["The type field is required."]}),
        ({"type": "video", "body": "x"}, {"type": ["The selected type is invalid."]}),
        ({"type": "text"}, {"body": ["The body field is required when media url is not present."]}),
        (
            {"type": "image", "body": "x"},
            {"media_url": ["The media url field is required when type is image."]},
        ),
        (
            IMAGE | {"media_url": "a.png"},
            {"media_url": ["The media url field must be a valid URL."]},
        ),
        (
            IMAGE | {"media_url": "http://["},
            {"media_url": ["The media url field must be a valid URL."]},
        ),
        (IMAGE | {"caption": 1}, {"caption": ["The caption field must be a string."]}),
        (TEXT | {"instance_id": 8}, {"instance_id": ["The selected instance id is invalid."]}),
    ],
)
async def test_a_message_that_cannot_be_sent_is_422(
    api: httpx.AsyncClient, fields: dict[str, Any], errors: dict[str, list[str]]
) -> None:
    answer = await api.post("/leads/1/send-whatsapp", json=fields)
    assert answer.status_code == 422
    assert answer.json()["errors"] == errors


@pytest.mark.parametrize(
    ("call", "fields"), [("send-whatsapp", TEXT), ("send-whatsapp-template", TEMPLATE)]
)
async def test_a_lead_without_a_phone_cannot_be_written_to(
    api: httpx.AsyncClient, call: str, fields: dict[str, Any]
) -> None:
    answer = await api.post(f"/leads/{NO_PHONE_LEAD_ID}/{call}", json=fields)
    assert answer.status_code == 422
    assert answer.json() == {"success": False, "message": "Lead sem telefone."}


async def test_outside_the_24_hours_an_official_number_sends_templates_only(
    api: httpx.AsyncClient,
) -> None:
    path = f"/leads/{CLOSED_WINDOW_LEAD_ID}/send-whatsapp"
    official = {"instance_id": OFFICIAL_INSTANCE_ID}
    refused = await api.post(path, json=TEXT | official)
    assert refused.status_code == 422
    assert refused.json() == {
        "success": False,
        "message": "Janela de 24h fechada — use um template.",
        "skip_reason": "window_closed",
    }
    assert (await api.post(f"{path}-template", json=TEMPLATE | official)).status_code == 200
    assert (await api.post(path, json=TEXT | {"instance_id": MAIN_INSTANCE_ID})).status_code == 200


async def test_a_new_lead_has_never_written_so_its_window_is_closed(
    api: httpx.AsyncClient,
) -> None:
    new = {"name": "Nova", "pipeline_id": 1, "stage_id": 5, "phone": "+5511"}
    await api.post("/leads", json=new)
    path = "/leads/101/send-whatsapp"
    refused = await api.post(path, json=TEXT | {"instance_id": OFFICIAL_INSTANCE_ID})
    assert refused.json()["skip_reason"] == "window_closed"
    assert (await api.post(path, json=TEXT)).status_code == 200
    lead = (await api.get("/leads/101?include=conversation")).json()["lead"]
    assert lead["conversation"]["phone"] == "+5511"


@pytest.mark.parametrize(
    ("call", "fields"), [("send-whatsapp", TEXT), ("send-whatsapp-template", TEMPLATE)]
)
async def test_a_failing_provider_is_502_with_what_it_said(
    api: httpx.AsyncClient, sandbox: Sandbox, call: str, fields: dict[str, Any]
) -> None:
    answer = await api.post(f"/leads/1/{call}", json=fields | {"instance_id": FAILING_INSTANCE_ID})
    body = answer.json()
    assert answer.status_code == 502
    assert (body["success"], body["message"][:16]) == (False, "Falha ao enviar:")
    assert body["raw"]["error"]["code"] == 131_000
    assert sandbox.writes == []


async def test_a_template_answers_with_its_name(api: httpx.AsyncClient) -> None:
    answer = await api.post("/leads/1/send-whatsapp-template", json=TEMPLATE)
    assert answer.status_code == 200
    assert answer.json()["template_name"] == "lembrete_proposta"
    media = {"template_id": MEDIA_TEMPLATE_ID, "header_media_url": "https://example.com/a.png"}
    answer = await api.post("/leads/1/send-whatsapp-template", json=media)
    assert answer.json()["template_name"] == "catalogo"


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({}, "The template id field is required."),
        ({"template_id": UNAPPROVED_TEMPLATE_ID}, "The selected template id is invalid."),
        ({"template_id": MEDIA_TEMPLATE_ID}, "The header media url field is required."),
        ({"template_id": TEMPLATE_ID, "variables": "x"}, "The variables field must be an array."),
        (
            {"template_id": TEMPLATE_ID, "header_media_url": "ftp://x"},
            "The header media url field must be a valid URL.",
        ),
    ],
)
async def test_a_template_that_cannot_be_sent_is_422(
    api: httpx.AsyncClient, fields: dict[str, Any], complaint: str
) -> None:
    answer = await api.post("/leads/1/send-whatsapp-template", json=fields)
    assert answer.status_code == 422
    assert answer.json()["message"] == complaint

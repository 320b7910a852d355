"""Writing leads: creating, upserting, moving, winning, losing, tagging, deleting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from syncro_async.sandbox import (
    BLOCKED_LEAD_ID,
    LOST_LEAD_ID,
    LOST_REASON_ID,
    LOST_STAGE_ID,
    MANDATORY_TASKS_STAGE_ID,
    NEXT_STAGE_ID,
    OPEN_STAGE_ID,
    ORDINARY_LEAD_ID,
    OWNER_ID,
    PIPELINE_ID,
    SECOND_PIPELINE_ID,
    SECOND_PIPELINE_STAGE_ID,
    SIBLING_LEAD_IDS,
    WON_LEAD_ID,
    WON_STAGE_ID,
    Sandbox,
)
from syncro_async.testing.fake_clock import FakeClock

Connect = Callable[..., httpx.AsyncClient]

MINIMAL = {"name": "João Silva", "pipeline_id": PIPELINE_ID, "stage_id": OPEN_STAGE_ID}
FULL = MINIMAL | {
    "phone": "+5511999880000",
    "email": "joao@example.com",
    "value": 5000,
    "source": "site",
    "tags": ["vip", "vip", "novo"],
    "notes": "Anotações",
    "utm_source": "google",
    "utm_medium": "cpc",
    "utm_campaign": "verao_2026",
    "utm_term": "crm",
    "utm_content": "banner",
    "assigned_to": OWNER_ID,
    "custom_fields": {"tamanho_empresa": "100+", "unknown_name": 1},
}


async def get(api: httpx.AsyncClient, lead_id: int, include: str = "sales") -> dict[str, Any]:
    lead: dict[str, Any] = (await api.get(f"/leads/{lead_id}?include={include}")).json()["lead"]
    return lead


async def test_create_answers_201_with_the_documented_fields(api: httpx.AsyncClient) -> None:
    answer = await api.post("/leads", json=FULL)
    assert answer.status_code == 201
    assert answer.json() == {
        "success": True,
        "lead": {
            "id": 101,
            "name": "João Silva",
            "pipeline_id": PIPELINE_ID,
            "stage_id": OPEN_STAGE_ID,
            "stage": {"id": OPEN_STAGE_ID, "name": "Proposta"},
            "pipeline": {"id": PIPELINE_ID, "name": "Vendas"},
            "created_at": "2026-06-30T12:00:00Z",
            "custom_fields": {"tamanho_empresa": "100+"},
        },
    }


async def test_a_created_lead_keeps_every_sent_field(api: httpx.AsyncClient) -> None:
    await api.post("/leads", json=FULL)
    lead = await get(api, 101, "owner,conversation,products")
    for name in FULL.keys() - {"tags", "custom_fields"}:
        assert lead[name] == FULL[name], name
    assert lead["tags"] == ["vip", "novo"]
    assert lead["custom_fields"] == {"tamanho_empresa": "100+"}
    assert lead["company"] is None
    assert lead["conversation"] is None
    assert lead["products"] == []


async def test_created_leads_come_last_in_the_list_with_ids_never_used_before(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await api.post("/leads", json=MINIMAL)
    await api.delete("/leads/101")
    await api.post("/leads", json=MINIMAL)
    page = (await api.get("/leads?per_page=200")).json()
    assert [lead["id"] for lead in page["data"]] == [*range(1, 101), 102]
    assert sandbox.writes == [("POST", "/leads"), ("DELETE", "/leads/101"), ("POST", "/leads")]


async def test_missing_fields_are_all_named_and_the_first_is_the_message(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    answer = await api.post("/leads", json={"name": "  ", "stage_id": None})
    assert answer.status_code == 422
    assert answer.json() == {
        "message": "The name field is required. (and 2 more errors)",
        "errors": {
            "name": ["The name field is required."],
            "pipeline_id": ["The pipeline id field is required."],
            "stage_id": ["The stage id field is required."],
        },
    }
    assert sandbox.writes == []


async def test_one_missing_field_is_the_documented_complaint(api: httpx.AsyncClient) -> None:
    answer = await api.post("/leads", json={"pipeline_id": 1, "stage_id": 5})
    assert answer.json() == {
        "message": "The name field is required.",
        "errors": {"name": ["The name field is required."]},
    }


@pytest.mark.parametrize(
    ("fields", "field", "complaint"),
    [
        ({"name": 5}, "name", "The name field must be a string."),
        ({"stage_id": "cinco"}, "stage_id", "The stage id field must be an integer."),
        ({"stage_id": True}, "stage_id", "The stage id field must be an integer."),
        ({"stage_id": 999}, "stage_id", "The selected stage id is invalid."),
        ({"stage_id": SECOND_PIPELINE_STAGE_ID}, "stage_id", "The selected stage id is invalid."),
        ({"pipeline_id": 9}, "pipeline_id", "The selected pipeline id is invalid."),
        ({"value": "viel"}, "value", "The value field must be a number."),
        ({"value": [1]}, "value", "The value field must be a number."),
        ({"value": True}, "value", "The value field must be a number."),
        ({"value": "inf"}, "value", "The value field must be a number."),
        ({"tags": "vip"}, "tags", "The tags field must be an array."),
        ({"tags": ["vip", 7]}, "tags.1", "The tags.1 field must be a string."),
        ({"assigned_to": 1}, "assigned_to", "The selected assigned to is invalid."),
        ({"custom_fields": "x"}, "custom_fields", "The custom fields field must be an array."),
    ],
)
async def test_fields_of_the_wrong_kind_are_422(
    api: httpx.AsyncClient, fields: dict[str, Any], field: str, complaint: str
) -> None:
    answer = await api.post("/leads", json=MINIMAL | fields)
    assert answer.status_code == 422
    assert answer.json()["errors"][field] == [complaint]


async def test_numeric_text_null_and_an_empty_list_of_custom_fields_are_fine(
    api: httpx.AsyncClient,
) -> None:
    fields: dict[str, Any] = {"stage_id": "5", "value": "12.50", "phone": None}
    fields["custom_fields"] = []
    assert (await api.post("/leads", json=MINIMAL | fields)).status_code == 201
    lead = await get(api, 101)
    assert (lead["stage_id"], lead["value"], lead["phone"]) == (5, 12.5, None)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{", "application/json"),
        (b"[1]", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b'{"name": "x", "pipeline_id": 1, "stage_id": 5}', "text/plain"),
    ],
)
async def test_a_body_that_is_no_json_object_has_no_fields(
    api: httpx.AsyncClient, content: bytes, kind: str
) -> None:
    answer = await api.post("/leads", content=content, headers={"Content-Type": kind})
    assert set(answer.json()["errors"]) == {"name", "pipeline_id", "stage_id"}


async def test_the_plan_limit_stops_creating_until_there_is_room(
    connect: Connect, clock: FakeClock
) -> None:
    api = connect(Sandbox(10, clock=clock, max_leads=10))
    refusal = {
        "success": False,
        "message": "Limite de leads do plano atingido.",
        "limit_reached": True,
    }
    created = await api.post("/leads", json=MINIMAL)
    upserted = await api.post("/leads/upsert", json=MINIMAL | {"email": "new@example.com"})
    assert (created.status_code, created.json()) == (422, refusal)
    assert (upserted.status_code, upserted.json()) == (422, refusal)
    await api.delete("/leads/1")
    assert (await api.post("/leads", json=MINIMAL)).status_code == 201


async def test_creating_in_a_won_or_lost_stage_records_the_sale_or_the_loss(
    api: httpx.AsyncClient,
) -> None:
    await api.post("/leads", json=FULL | {"stage_id": WON_STAGE_ID})
    await api.post("/leads", json=MINIMAL | {"stage_id": LOST_STAGE_ID})
    won, lost = await get(api, 101), await get(api, 102)
    assert [(sale["value"], sale["closed_by"]) for sale in won["sales"]] == [(5000, OWNER_ID)]
    assert [(loss["pipeline_id"], loss["reason_id"]) for loss in lost["lost_sales"]] == [(1, None)]
    assert won["lost_sales"] == lost["sales"] == []


async def test_upsert_creates_what_it_does_not_find(api: httpx.AsyncClient) -> None:
    answer = await api.post("/leads/upsert", json=MINIMAL | {"email": "novo@example.com"})
    assert answer.status_code == 201
    lead = {"id": 101, "name": "João Silva", "stage_id": OPEN_STAGE_ID}
    assert answer.json() == {"success": True, "created": True, "lead": lead}


async def test_upsert_changes_only_what_was_sent_and_is_not_empty(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.leads[1]["custom_fields"] = {"segmento": "varejo"}
    before = await get(api, 1, "owner")
    sent = {
        "email": before["email"],
        "name": "",
        "tags": [],
        "notes": None,
        "value": 0,
        "source": "evento",
        "custom_fields": {"orcamento": 10},
    }
    answer = await api.post("/leads/upsert", json=sent)
    assert answer.status_code == 200
    assert answer.json()["created"] is False
    expected = {
        "value": 0,
        "source": "evento",
        "custom_fields": {"segmento": "varejo", "orcamento": 10},
    }
    assert await get(api, 1, "owner") == before | expected


@pytest.mark.parametrize(
    ("match_by", "keys", "found"),
    [
        ("email", ("email",), True),
        ("phone", ("phone",), True),
        (None, ("email",), True),
        (None, ("phone",), True),
        ("email_or_phone", ("email", "phone"), True),
        ("email", ("email of nobody", "phone"), False),
        (None, ("email of nobody", "phone"), True),
    ],
)
async def test_upsert_matches_by_the_key_it_is_told(
    api: httpx.AsyncClient, sandbox: Sandbox, *, match_by: str | None, keys: list[str], found: bool
) -> None:
    lead = sandbox.leads[33]
    values = {"email": lead["email"], "phone": lead["phone"], "email of nobody": "no@example.com"}
    sent = {key.split()[0]: values[key] for key in keys} | MINIMAL
    answer = await api.post("/leads/upsert", json=sent | {"match_by": match_by})
    assert answer.json()["created"] is not found
    assert answer.json()["lead"]["id"] == (33 if found else 101)


async def test_of_several_matches_upsert_takes_the_oldest(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    email = sandbox.leads[SIBLING_LEAD_IDS[1]]["email"]
    answer = await api.post("/leads/upsert", json={"email": email, "notes": "x"})
    assert answer.json()["lead"]["id"] == SIBLING_LEAD_IDS[0]


@pytest.mark.parametrize(
    ("match_by", "errors"),
    [
        ("email", {"email": ["The email field is required."]}),
        ("phone", {"phone": ["The phone field is required."]}),
        (
            "email_or_phone",
            {
                "email": ["The email field is required when phone is not present."],
                "phone": ["The phone field is required when email is not present."],
            },
        ),
    ],
)
async def test_upsert_needs_its_match_key(
    api: httpx.AsyncClient, match_by: str, errors: dict[str, list[str]]
) -> None:
    answer = await api.post("/leads/upsert", json=MINIMAL | {"match_by": match_by})
    assert answer.status_code == 422
    assert answer.json()["errors"] == errors


async def test_upsert_knows_three_ways_to_match(api: httpx.AsyncClient) -> None:
    answer = await api.post("/leads/upsert", json=MINIMAL | {"phone": "+55", "match_by": "name"})
    assert answer.json()["errors"] == {"match_by": ["The selected match by is invalid."]}


async def test_an_upsert_that_creates_needs_the_fields_of_create(api: httpx.AsyncClient) -> None:
    answer = await api.post("/leads/upsert", json={"phone": "+550", "value": 3})
    assert set(answer.json()["errors"]) == {"name", "pipeline_id", "stage_id"}


async def test_upserting_into_a_won_stage_records_one_sale(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sent = {"email": sandbox.leads[1]["email"], "stage_id": WON_STAGE_ID}
    for _ in range(2):
        await api.post("/leads/upsert", json=sent)
    assert len((await get(api, 1))["sales"]) == 1


async def test_upsert_refuses_a_stage_of_another_pipeline(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sent = {"email": sandbox.leads[1]["email"], "stage_id": SECOND_PIPELINE_STAGE_ID}
    assert (await api.post("/leads/upsert", json=sent)).status_code == 422
    moved = await api.post("/leads/upsert", json=sent | {"pipeline_id": SECOND_PIPELINE_ID})
    assert moved.status_code == 200
    assert sandbox.leads[1]["pipeline_id"] == SECOND_PIPELINE_ID


async def test_move_changes_stage_and_pipeline(api: httpx.AsyncClient) -> None:
    place = {"stage_id": SECOND_PIPELINE_STAGE_ID, "pipeline_id": SECOND_PIPELINE_ID}
    answer = await api.put("/leads/1/stage", json=place)
    assert (answer.status_code, answer.json()) == (200, {"success": True, "lead_id": 1})
    lead = await get(api, 1, "events")
    assert lead["stage"] == {"id": SECOND_PIPELINE_STAGE_ID, "name": "Implantação"}
    assert lead["pipeline"] == {"id": SECOND_PIPELINE_ID, "name": "Pós-venda"}
    assert [event["event_type"] for event in lead["events"]] == ["created", "stage_changed"]


async def test_move_needs_a_stage_and_its_own_pipeline(api: httpx.AsyncClient) -> None:
    empty = await api.put("/leads/1/stage", json={})
    assert set(empty.json()["errors"]) == {"stage_id", "pipeline_id"}
    strange = {"stage_id": NEXT_STAGE_ID, "pipeline_id": SECOND_PIPELINE_ID}
    answer = await api.put("/leads/1/stage", json=strange)
    assert answer.json()["errors"] == {"stage_id": ["The selected stage id is invalid."]}


@pytest.mark.parametrize(
    ("call", "fields"),
    [
        ("stage", {"stage_id": NEXT_STAGE_ID, "pipeline_id": PIPELINE_ID}),
        ("won", {"stage_id": WON_STAGE_ID}),
        ("lost", {"stage_id": LOST_STAGE_ID}),
    ],
)
async def test_mandatory_tasks_hold_a_lead_in_its_stage(
    api: httpx.AsyncClient, sandbox: Sandbox, call: str, fields: dict[str, int]
) -> None:
    answer = await api.put(f"/leads/{BLOCKED_LEAD_ID}/{call}", json=fields)
    assert answer.status_code == 422
    assert answer.json() == {
        "success": False,
        "blocked": True,
        "message": "Complete mandatory tasks before moving the lead.",
        "pending_tasks": [{"id": 45, "subject": "Ligar para o cliente", "type": "call"}],
    }
    assert sandbox.writes == []
    sandbox.complete_tasks(BLOCKED_LEAD_ID)
    assert (await api.put(f"/leads/{BLOCKED_LEAD_ID}/{call}", json=fields)).status_code == 200


async def test_entering_the_stage_with_mandatory_tasks_brings_one(api: httpx.AsyncClient) -> None:
    place = {"stage_id": MANDATORY_TASKS_STAGE_ID, "pipeline_id": PIPELINE_ID}
    assert (await api.put("/leads/1/stage", json=place)).status_code == 200
    tasks = (await get(api, 1, "tasks"))["tasks"]
    assert [(task["subject"], task["status"]) for task in tasks if task["status"] == "pending"] == [
        ("Ligar para o cliente", "pending")
    ]
    answer = await api.put("/leads/1/won", json={"stage_id": WON_STAGE_ID})
    assert answer.json()["blocked"] is True


@pytest.mark.parametrize(("sent", "value"), [({}, 700.0), ({"value": 7500}, 7500)])
async def test_won_records_one_sale_at_the_sent_value_or_the_leads(
    api: httpx.AsyncClient, sandbox: Sandbox, sent: dict[str, int], value: float
) -> None:
    sandbox.leads[1]["value"] = 700.0
    for _ in range(2):
        answer = await api.put("/leads/1/won", json={"stage_id": WON_STAGE_ID, **sent})
        assert (answer.status_code, answer.json()) == (200, {"success": True, "lead_id": 1})
    lead = await get(api, 1)
    assert lead["stage_id"] == WON_STAGE_ID
    assert [sale["value"] for sale in lead["sales"]] == [value]


async def test_lost_records_one_loss_with_its_reason(api: httpx.AsyncClient) -> None:
    for _ in range(2):
        answer = await api.put(
            "/leads/1/lost", json={"stage_id": LOST_STAGE_ID, "reason_id": LOST_REASON_ID}
        )
        assert (answer.status_code, answer.json()) == (200, {"success": True, "lead_id": 1})
    losses = (await get(api, 1))["lost_sales"]
    assert [loss["reason_id"] for loss in losses] == [LOST_REASON_ID]
    assert losses[0]["lost_at"] == "2026-06-30T12:00:00Z"


async def test_sample_leads_in_final_stages_already_have_their_sale_or_loss(
    api: httpx.AsyncClient,
) -> None:
    assert len((await get(api, WON_LEAD_ID))["sales"]) == 1
    assert len((await get(api, LOST_LEAD_ID))["lost_sales"]) == 1
    assert (await get(api, ORDINARY_LEAD_ID))["sales"] == []


async def test_a_lead_won_lost_and_won_again_has_every_deal(api: httpx.AsyncClient) -> None:
    for call, stage_id in (("won", WON_STAGE_ID), ("lost", LOST_STAGE_ID), ("won", WON_STAGE_ID)):
        await api.put(f"/leads/1/{call}", json={"stage_id": stage_id})
    lead = await get(api, 1)
    assert (len(lead["sales"]), len(lead["lost_sales"])) == (2, 1)


@pytest.mark.parametrize(
    ("call", "stage_id", "message"),
    [
        ("won", OPEN_STAGE_ID, "A etapa informada não é uma etapa de ganho."),
        ("won", LOST_STAGE_ID, "A etapa informada não é uma etapa de ganho."),
        ("lost", WON_STAGE_ID, "A etapa informada não é uma etapa de perda."),
    ],
)
async def test_won_and_lost_want_a_stage_of_their_kind(
    api: httpx.AsyncClient, call: str, stage_id: int, message: str
) -> None:
    answer = await api.put(f"/leads/1/{call}", json={"stage_id": stage_id})
    assert answer.status_code == 422
    assert answer.json() == {"success": False, "message": message}


async def test_an_unknown_reason_is_422(api: httpx.AsyncClient) -> None:
    answer = await api.put("/leads/1/lost", json={"stage_id": LOST_STAGE_ID, "reason_id": 9})
    assert answer.json()["errors"] == {"reason_id": ["The selected reason id is invalid."]}


async def test_a_deleted_lead_is_gone_and_cannot_be_deleted_again(api: httpx.AsyncClient) -> None:
    await api.get("/leads/1?include=conversation")
    answer = await api.delete("/leads/1")
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert (await api.get("/leads/1")).status_code == 404
    assert (await api.delete("/leads/1")).status_code == 404
    assert (await api.get("/leads")).json()["meta"]["total"] == 99


async def test_added_tags_join_the_old_ones_without_doubles(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.leads[1]["tags"] = ["vip"]
    for _ in range(2):
        answer = await api.post("/leads/1/tags", json={"tags": ["enterprise", "vip"]})
        expected = {"success": True, "lead_id": 1, "tags": ["vip", "enterprise"]}
        assert (answer.status_code, answer.json()) == (200, expected)


@pytest.mark.parametrize("fields", [{}, {"tags": []}])
async def test_adding_no_tag_is_422(api: httpx.AsyncClient, fields: dict[str, list[str]]) -> None:
    answer = await api.post("/leads/1/tags", json=fields)
    assert answer.json()["errors"] == {"tags": ["The tags field is required."]}


async def test_removing_a_tag_answers_those_that_stay(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.leads[1]["tags"] = ["vip", "não é só isso", "enterprise"]
    answer = await api.delete("/leads/1/tags/n%C3%A3o%20%C3%A9%20s%C3%B3%20isso")
    assert answer.json() == {"success": True, "lead_id": 1, "tags": ["vip", "enterprise"]}
    assert (await api.delete("/leads/1/tags/unknown")).json()["tags"] == ["vip", "enterprise"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/leads/999"),
        ("PUT", "/leads/999/stage"),
        ("PUT", "/leads/999/won"),
        ("PUT", "/leads/999/lost"),
        ("POST", "/leads/999/tags"),
        ("DELETE", "/leads/999/tags/vip"),
        ("POST", "/leads/999/enroll-sequence"),
        ("DELETE", "/leads/999/enroll-sequence/1"),
        ("POST", "/leads/999/send-whatsapp"),
        ("POST", "/leads/999/send-whatsapp-template"),
    ],
)
async def test_writing_to_a_missing_lead_is_404(
    api: httpx.AsyncClient, sandbox: Sandbox, method: str, path: str
) -> None:
    assert (await api.request(method, path)).status_code == 404
    assert sandbox.writes == []

"""What the account consists of, as the sandbox shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from syncro_async.sandbox import (
    LEADS_ONLY_KEY,
    LOST_REASON_ID,
    LOST_STAGE_ID,
    OWNER_ID,
    PIPELINE_ID,
    READ_ONLY_KEY,
    SECOND_PIPELINE_ID,
    UNAPPROVED_TEMPLATE_ID,
    WON_STAGE_ID,
    Sandbox,
)
from syncro_async.testing.fake_clock import FakeClock

Connect = Callable[..., httpx.AsyncClient]

SHOWN = {
    "/users": "id name email role",
    "/custom-fields": (
        "id name label field_type options is_required is_active show_on_card sort_order"
    ),
    "/whatsapp/instances": (
        "id provider display_name phone_number is_primary status supports_templates"
        " supports_buttons has_window_restriction"
    ),
    "/whatsapp/templates": "id name",
}
SCOPES = {
    "/account": "users:read",
    "/users": "users:read",
    "/pipelines": "pipelines:read",
    "/custom-fields": "custom_fields:read",
    "/whatsapp/instances": "whatsapp:read",
    "/whatsapp/templates": "whatsapp:read",
    "/tasks": "tasks:read",
    "/webhooks": "webhooks:read",
    "/webhooks/1": "webhooks:read",
}


async def data(api: httpx.AsyncClient, path: str, **params: Any) -> list[dict[str, Any]]:
    answer = await api.get(path, params=params)
    assert answer.status_code == 200, answer.text
    assert answer.json()["success"] is True
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


@pytest.mark.parametrize("path", SHOWN)
async def test_every_item_has_the_documented_fields(api: httpx.AsyncClient, path: str) -> None:
    items = await data(api, path)
    assert items
    assert all(set(item) == set(SHOWN[path].split()) for item in items)
    assert len({item["id"] for item in items}) == len(items)


async def test_the_account_has_a_name_and_a_plan(api: httpx.AsyncClient) -> None:
    answer = (await api.get("/account")).json()
    assert answer == {
        "success": True,
        "account": {"id": 1, "name": "ACME Imóveis", "plan": "pro"},
    }


async def test_users_have_each_of_the_roles(api: httpx.AsyncClient) -> None:
    users = {user["id"]: user["role"] for user in await data(api, "/users")}
    assert users[OWNER_ID] == "admin"
    assert set(users.values()) == {"admin", "manager", "viewer"}


async def test_pipelines_show_the_stages_that_leads_stand_in(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    answer = (await api.get("/pipelines")).json()
    stages = {
        stage["id"]: (pipeline["id"], stage)
        for pipeline in answer["pipelines"]
        for stage in pipeline["stages"]
    }
    assert [one["id"] for one in answer["pipelines"]] == [PIPELINE_ID, SECOND_PIPELINE_ID]
    for lead in sandbox.leads.values():
        assert stages[lead["stage_id"]][0] == lead["pipeline_id"]
    _, won = stages[WON_STAGE_ID]
    _, lost = stages[LOST_STAGE_ID]
    assert set(won) == {"id", "name", "color", "is_won", "is_lost"}
    assert (won["is_won"], won["is_lost"], lost["is_won"], lost["is_lost"]) == (
        *(True, False),
        *(False, True),
    )
    assert len({won["color"], lost["color"], stages[5][1]["color"]}) == 3
    reasons = {reason["id"]: reason["name"] for reason in answer["lost_reasons"]}
    assert reasons[LOST_REASON_ID] == "Concorrente"


@pytest.mark.parametrize(("query", "shown"), [("", True), ("0", True), ("1", False)])
async def test_fields_out_of_use_are_left_out_on_request(
    api: httpx.AsyncClient, *, query: str, shown: bool
) -> None:
    names = {field["name"] for field in await data(api, "/custom-fields", active_only=query)}
    assert ("fax" in names) is shown
    assert {"tamanho_empresa", "segmento", "orcamento", "interesses"} <= names


@pytest.mark.parametrize(
    ("params", "count"),
    [
        ({}, 3),
        ({"status": "APPROVED"}, 2),
        ({"status": "PENDING"}, 1),
        ({"language": "pt_BR"}, 3),
        ({"language": "en_US"}, 0),
        ({"instance_id": 2}, 3),
        ({"instance_id": 1}, 0),
        ({"instance_id": 2, "status": "PENDING", "language": "pt_BR"}, 1),
    ],
)
async def test_templates_are_filtered(
    api: httpx.AsyncClient, params: dict[str, Any], count: int
) -> None:
    assert len(await data(api, "/whatsapp/templates", **params)) == count


async def test_a_template_that_is_not_approved_is_one_that_cannot_be_sent(
    api: httpx.AsyncClient,
) -> None:
    (pending,) = await data(api, "/whatsapp/templates", status="PENDING")
    assert pending["id"] == UNAPPROVED_TEMPLATE_ID
    sent = await api.post(
        "/leads/1/send-whatsapp-template", json={"template_id": UNAPPROVED_TEMPLATE_ID}
    )
    assert sent.status_code == 422


async def test_an_instance_id_that_is_no_number_is_422(api: httpx.AsyncClient) -> None:
    answer = await api.get("/whatsapp/templates?instance_id=main")
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["instance_id"])


@pytest.mark.parametrize("path", SCOPES)
async def test_each_read_needs_its_scope_and_costs_budget_only_with_it(
    connect: Connect, sandbox: Sandbox, path: str
) -> None:
    refused = await connect(sandbox, LEADS_ONLY_KEY).get(path)
    assert refused.status_code == 403
    assert refused.json()["required_permission"] == SCOPES[path]
    assert (await connect(sandbox, READ_ONLY_KEY).get(path)).status_code == 200
    assert [arrival.counted for arrival in sandbox.arrivals] == [False, True]


async def test_a_key_for_leads_only_reads_and_writes_leads(
    connect: Connect, sandbox: Sandbox
) -> None:
    api = connect(sandbox, LEADS_ONLY_KEY)
    assert (await api.get("/leads/1")).status_code == 200
    assert (await api.delete("/leads/1")).status_code == 200
    assert (await api.post("/leads/2/enroll-sequence")).status_code == 403
    assert {arrival.key_name for arrival in sandbox.arrivals} == {"leads_only"}


async def test_every_endpoint_stands_behind_the_same_rate_limit(
    connect: Connect, clock: FakeClock
) -> None:
    sandbox = Sandbox(1, clock=clock, per_minute=len(SCOPES))
    api = connect(sandbox)
    statuses = [(await api.get(path)).status_code for path in SCOPES]
    assert statuses == [200] * len(SCOPES)
    assert [(await api.get(path)).status_code for path in SCOPES] == [429] * len(SCOPES)


async def test_quirks_add_fields_that_no_document_names(connect: Connect, clock: FakeClock) -> None:
    quirky = connect(Sandbox(1, clock=clock, php_quirks=True))
    assert "sandbox_extra" in (await quirky.get("/account")).json()["account"]
    assert "sandbox_extra" in (await quirky.get("/pipelines")).json()["pipelines"][0]
    for path in ("/users", "/whatsapp/instances", "/whatsapp/templates", "/webhooks"):
        assert "sandbox_extra" in (await data(quirky, path))[0], path

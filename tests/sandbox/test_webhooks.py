"""Webhook subscriptions in the sandbox: made, looked at, changed and ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from syncro_async.sandbox import FAILING_WEBHOOK_ID, READ_ONLY_KEY, WEBHOOK_ID, Sandbox
from syncro_async.testing.fake_clock import FakeClock

Connect = Callable[..., httpx.AsyncClient]

FIELDS = {
    *("id", "target_url", "events", "source", "is_active", "failure_count"),
    *("last_success_at", "last_failure_at", "last_failure_reason", "created_at"),
}
NEW: dict[str, Any] = {"target_url": "https://example.com/in", "events": ["lead.won"]}


async def get(api: httpx.AsyncClient, webhook_id: int) -> dict[str, Any]:
    answer = await api.get(f"/webhooks/{webhook_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found.pop("success") is True
    return found


async def test_the_list_tells_subscriptions_and_the_events_there_are(
    api: httpx.AsyncClient,
) -> None:
    answer = (await api.get("/webhooks")).json()
    assert set(answer) == {"success", "data", "supported_events"}
    assert [webhook["id"] for webhook in answer["data"]] == [WEBHOOK_ID, FAILING_WEBHOOK_ID]
    assert all(set(webhook) == FIELDS for webhook in answer["data"])
    assert "lead.stage_changed" in answer["supported_events"]
    assert await get(api, WEBHOOK_ID) == answer["data"][0]


async def test_a_new_one_is_answered_with_its_secret_which_is_not_told_again(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    answer = await api.post("/webhooks", json=NEW | {"secret": "kept", "source": "n8n"})
    assert answer.status_code == 201
    made = answer.json()
    assert made == {"success": True, "id": made["id"], "secret": "kept", "events": ["lead.won"]}
    assert await get(api, made["id"]) == {
        "id": made["id"],
        "target_url": "https://example.com/in",
        "events": ["lead.won"],
        "source": "n8n",
        "is_active": True,
        "failure_count": 0,
        "last_success_at": None,
        "last_failure_at": None,
        "last_failure_reason": None,
        "created_at": "2026-06-30T12:00:00Z",
    }
    assert "kept" not in (await api.get("/webhooks")).text
    assert sandbox.writes == [("POST", "/webhooks")]


async def test_a_secret_is_made_where_none_is_sent_and_the_source_is_api(
    api: httpx.AsyncClient,
) -> None:
    one, other = [(await api.post("/webhooks", json=NEW)).json() for _ in range(2)]
    assert one["secret"] != other["secret"]
    assert len(one["secret"]) >= 32
    assert (await get(api, one["id"]))["source"] == "api"


@pytest.mark.parametrize(
    ("fields", "field", "complaint"),
    [
        ({"target_url": None}, "target_url", "The target url field is required."),
        ({"target_url": "nowhere"}, "target_url", "The target url field must be a valid URL."),
        ({"events": []}, "events", "The events field is required."),
        ({"events": None}, "events", "The events field is required."),
        ({"events": "lead.won"}, "events", "The events field must be an array."),
        ({"events": ["lead.sung"]}, "events.0", "The selected events.0 is invalid."),
        ({"source": "zapier"}, "source", "The selected source is invalid."),
        ({"secret": 5}, "secret", "The secret field must be a string."),
    ],
)
async def test_one_that_cannot_be_is_422_by_its_field(
    api: httpx.AsyncClient, sandbox: Sandbox, fields: dict[str, Any], field: str, complaint: str
) -> None:
    answer = await api.post("/webhooks", json=NEW | fields)
    assert answer.status_code == 422
    assert answer.json() == {"message": complaint, "errors": {field: [complaint]}}
    assert sandbox.writes == []


@pytest.mark.parametrize(
    ("sent", "changed"),
    [
        ({"is_active": False}, {"is_active": False}),
        ({"is_active": "0"}, {"is_active": False}),
        ({"is_active": 1}, {"is_active": True}),
        ({"events": ["task.completed"]}, {"events": ["task.completed"]}),
        ({"target_url": "https://example.com/b"}, {"target_url": "https://example.com/b"}),
        ({}, {}),
    ],
)
async def test_an_update_changes_what_was_sent_and_nothing_else(
    api: httpx.AsyncClient, sent: dict[str, Any], changed: dict[str, Any]
) -> None:
    before = await get(api, WEBHOOK_ID)
    answer = await api.put(f"/webhooks/{WEBHOOK_ID}", json=sent)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert await get(api, WEBHOOK_ID) == before | changed


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"is_active": "perhaps"}, "is_active"),
        ({"is_active": 2}, "is_active"),
        ({"is_active": []}, "is_active"),
        ({"events": ["lead.won", "x"]}, "events.1"),
        ({"target_url": "x"}, "target_url"),
    ],
)
async def test_an_update_that_cannot_be_is_422_and_changes_nothing(
    api: httpx.AsyncClient, sent: dict[str, Any], field: str
) -> None:
    before = await get(api, WEBHOOK_ID)
    answer = await api.put(f"/webhooks/{WEBHOOK_ID}", json=sent)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, [field])
    assert await get(api, WEBHOOK_ID) == before


async def test_one_that_was_deleted_is_gone(api: httpx.AsyncClient) -> None:
    answer = await api.delete(f"/webhooks/{WEBHOOK_ID}")
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    for method in ("GET", "PUT", "DELETE"):
        gone = await api.request(method, f"/webhooks/{WEBHOOK_ID}", json={})
        assert (gone.status_code, gone.json()) == (404, {"message": "Webhook não encontrado."})
    made = await api.post("/webhooks", json=NEW)
    assert made.json()["id"] > FAILING_WEBHOOK_ID


@pytest.mark.parametrize("webhook_id", ["0", "abc", "-1", "²", "1.0"])
async def test_a_missing_one_is_404_with_a_message(api: httpx.AsyncClient, webhook_id: str) -> None:
    assert (await api.get(f"/webhooks/{webhook_id}")).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_read_only_key_changes_none(
    connect: Connect, sandbox: Sandbox, method: str
) -> None:
    path = "/webhooks" if method == "POST" else f"/webhooks/{WEBHOOK_ID}"
    answer = await connect(sandbox, READ_ONLY_KEY).request(method, path)
    assert answer.status_code == 403
    assert answer.json()["required_permission"] == "webhooks:write"


async def test_quirks_write_moments_in_microseconds(connect: Connect, clock: FakeClock) -> None:
    quirky = connect(Sandbox(1, clock=clock, php_quirks=True))
    failing = await get(quirky, FAILING_WEBHOOK_ID)
    assert failing["last_failure_at"] == "2026-06-15T04:10:00.000000Z"
    assert (failing["last_success_at"], failing["is_active"]) == (None, False)
    made = await quirky.post("/webhooks", json=NEW)
    assert "sandbox_extra" in made.json()

"""Tasks in the sandbox: the list and its filters, and new ones with what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from syncro_async.sandbox import BLOCKED_LEAD_ID, COMPLETE_LEAD_ID, OWNER_ID, Sandbox
from syncro_async.testing.fake_clock import FakeClock

Connect = Callable[..., httpx.AsyncClient]

FIELDS = {
    *("id", "subject", "description", "type", "status", "priority", "due_date", "due_time"),
    *("completed_at", "lead_id", "lead", "assigned_to", "assigned_user", "notes", "is_overdue"),
    *("created_at", "updated_at"),
}
NEW = {"subject": "Visitar", "type": "visit", "due_date": "2026-07-01"}


async def tasks(api: httpx.AsyncClient, **params: Any) -> list[dict[str, Any]]:
    answer = await api.get("/tasks", params={"per_page": 200, **params})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


async def create(api: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await api.post("/tasks", json=NEW | fields)
    assert answer.status_code == 201, answer.text
    assert answer.json()["success"] is True
    made: dict[str, Any] = answer.json()["task"]
    return made


async def test_a_list_shows_fifty_tasks_with_every_documented_field(
    api: httpx.AsyncClient,
) -> None:
    answer = (await api.get("/tasks")).json()
    assert answer["success"] is True
    assert len(answer["data"]) == 50
    assert all(set(task) == FIELDS for task in answer["data"])
    total = answer["meta"]["total"]
    assert answer["meta"] == {
        "total": total,
        "per_page": 50,
        "current_page": 1,
        "last_page": -(-total // 50),
        "has_more": True,
    }


async def test_pages_cut_the_list_without_gap_or_overlap(api: httpx.AsyncClient) -> None:
    ids = [task["id"] for task in await tasks(api)]
    assert len(set(ids)) == len(ids) > 90
    shown: list[int] = []
    for page in range(1, -(-len(ids) // 20) + 1):
        answer = (await api.get(f"/tasks?per_page=20&page={page}")).json()
        shown += [task["id"] for task in answer["data"]]
    assert (shown, answer["meta"]["has_more"]) == (ids, False)


async def test_a_lead_has_the_same_tasks_in_its_relation_and_in_the_list(
    api: httpx.AsyncClient,
) -> None:
    for lead_id in (1, BLOCKED_LEAD_ID, 3, COMPLETE_LEAD_ID):
        lead = (await api.get(f"/leads/{lead_id}?include=tasks")).json()["lead"]
        listed = await tasks(api, lead_id=lead_id)
        assert [{name: task[name] for name in lead["tasks"][0]} for task in listed] == lead["tasks"]


async def test_a_lead_without_any_has_none_in_either(api: httpx.AsyncClient) -> None:
    made = await api.post("/leads", json={"name": "A", "pipeline_id": 1, "stage_id": 5})
    lead_id = made.json()["lead"]["id"]
    assert await tasks(api, lead_id=lead_id) == []
    lead = (await api.get(f"/leads/{lead_id}?include=tasks")).json()["lead"]
    assert lead["tasks"] == []


async def test_a_new_task_is_pending_and_belongs_to_nobody_unless_said(
    api: httpx.AsyncClient,
) -> None:
    made = await create(api)
    assert made == {
        "id": made["id"],
        "subject": "Visitar",
        "description": None,
        "type": "visit",
        "status": "pending",
        "priority": "medium",
        "due_date": "2026-07-01",
        "due_time": None,
        "completed_at": None,
        "lead_id": None,
        "lead": None,
        "assigned_to": None,
        "assigned_user": None,
        "notes": None,
        "is_overdue": False,
        "created_at": "2026-06-30T12:00:00Z",
        "updated_at": "2026-06-30T12:00:00Z",
    }
    assert (await tasks(api))[-1] == made


async def test_a_task_of_a_lead_shows_in_both_at_once(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await api.get("/leads?include=tasks")
    made = await create(api, lead_id=3, assigned_to=OWNER_ID, due_time="09:30", priority="low")
    lead = sandbox.leads[3]
    assert made["lead"] == {name: lead[name] for name in ("id", "name", "phone", "email")}
    assert made["assigned_user"] == {"id": OWNER_ID, "name": "Ana"}
    data = (await api.get("/leads?include=tasks")).json()["data"]
    assert [task["id"] for task in data[2]["tasks"]] == [made["id"]]
    assert sandbox.writes == [("POST", "/tasks")]


async def test_ids_never_repeat_however_many_tasks_come(api: httpx.AsyncClient) -> None:
    before = {task["id"] for task in await tasks(api)}
    made = [(await create(api))["id"] for _ in range(60)]
    assert made == sorted(set(made))
    assert not before & set(made)
    assert min(made) > max(before)


@pytest.mark.parametrize(
    ("now", "due", "overdue"),
    [
        (0, {"due_date": "2026-06-29"}, True),
        (0, {"due_date": "2026-06-30"}, False),
        (0, {"due_date": "2026-06-30", "due_time": "11:59"}, True),
        (0, {"due_date": "2026-06-30", "due_time": "12:00"}, False),
        (12 * 3600, {"due_date": "2026-06-30"}, True),
    ],
)
async def test_a_pending_task_is_overdue_once_its_time_has_passed(
    api: httpx.AsyncClient, clock: FakeClock, *, now: float, due: dict[str, str], overdue: bool
) -> None:
    made = await create(api, **due)
    await clock.sleep(now)
    (listed,) = [task for task in await tasks(api) if task["id"] == made["id"]]
    assert listed["is_overdue"] is overdue


async def test_a_task_that_is_done_is_never_overdue(
    api: httpx.AsyncClient, sandbox: Sandbox, clock: FakeClock
) -> None:
    await api.get(f"/leads/{BLOCKED_LEAD_ID}?include=tasks")
    await clock.sleep(60)
    sandbox.complete_tasks(BLOCKED_LEAD_ID)
    sandbox.complete_tasks(999)  # a lead that holds nothing
    assert not any(task["is_overdue"] for task in await tasks(api))
    (task,) = await tasks(api, lead_id=BLOCKED_LEAD_ID, type="call")
    assert (task["status"], task["completed_at"]) == ("completed", "2026-06-30T12:01:00Z")
    data = (await api.get("/leads?include=tasks")).json()["data"]
    assert all(task["status"] == "completed" for lead in data for task in lead["tasks"])


@pytest.mark.parametrize(
    ("params", "count"),
    [
        ({"lead_id": 2}, 3),
        ({"lead_id": 2, "status": "pending"}, 1),
        ({"status": "pending"}, 2),
        ({"status": "never heard of"}, 0),
        ({"type": "visit"}, 1),
        ({"priority": "high"}, 1),
        ({"due_from": "2026-07-01"}, 1),
        ({"due_from": "2026-07-02"}, 0),
        ({"due_from": "2026-07-01", "due_to": "2026-07-01"}, 1),
        ({"due_to": "2025-08-31"}, 0),
        ({"lead_id": 999}, 0),
    ],
)
async def test_filters_hold_together(
    api: httpx.AsyncClient, params: dict[str, Any], count: int
) -> None:
    await create(api)
    assert len(await tasks(api, **params)) == count


async def test_the_tasks_of_a_lead_go_with_it(api: httpx.AsyncClient) -> None:
    assert await tasks(api, lead_id=BLOCKED_LEAD_ID)
    await api.delete(f"/leads/{BLOCKED_LEAD_ID}")
    assert await tasks(api, lead_id=BLOCKED_LEAD_ID) == []


@pytest.mark.parametrize(
    ("fields", "field", "complaint"),
    [
        ({"subject": None}, "subject", "The subject field is required."),
        ({"subject": 5}, "subject", "The subject field must be a string."),
        ({"type": ""}, "type", "The type field is required."),
        ({"type": "telepathy"}, "type", "The selected type is invalid."),
        ({"due_date": None}, "due_date", "The due date field is required."),
        ({"due_date": "2026-02-30"}, "due_date", "The due date field must be a valid date."),
        ({"due_date": "20260701"}, "due_date", "The due date field must be a valid date."),
        ({"due_date": 20260701}, "due_date", "The due date field must be a string."),
        ({"due_time": "25:00"}, "due_time", "The due time field must match the format H:i."),
        ({"due_time": "14:30:00"}, "due_time", "The due time field must match the format H:i."),
        ({"priority": "max"}, "priority", "The selected priority is invalid."),
        ({"lead_id": 999}, "lead_id", "The selected lead id is invalid."),
        ({"assigned_to": 1}, "assigned_to", "The selected assigned to is invalid."),
        ({"description": []}, "description", "The description field must be a string."),
        ({"notes": 5}, "notes", "The notes field must be a string."),
    ],
)
async def test_a_task_that_cannot_be_is_422_by_its_field(
    api: httpx.AsyncClient, sandbox: Sandbox, fields: dict[str, Any], field: str, complaint: str
) -> None:
    answer = await api.post("/tasks", json=NEW | fields)
    assert answer.status_code == 422
    assert answer.json() == {"message": complaint, "errors": {field: [complaint]}}
    assert sandbox.writes == []


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"per_page": "201"}, "per_page"),
        ({"page": "0"}, "page"),
        ({"lead_id": "first"}, "lead_id"),
        ({"due_from": "tomorrow"}, "due_from"),
        ({"due_to": "2026-13-01"}, "due_to"),
    ],
)
async def test_parameters_that_cannot_be_are_422(
    api: httpx.AsyncClient, params: dict[str, str], field: str
) -> None:
    answer = await api.get("/tasks", params=params)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, [field])


async def test_quirks_write_microseconds_and_fields_nobody_documented(
    connect: Connect, clock: FakeClock
) -> None:
    quirky = connect(Sandbox(3, clock=clock, php_quirks=True))
    task = (await tasks(quirky, status="completed"))[0]
    assert task["completed_at"].endswith(".000000Z")
    assert set(task) == FIELDS | {"sandbox_extra"}
    assert "sandbox_extra" in (await quirky.get("/tasks")).json()["meta"]
    assert "sandbox_extra" in await create(quirky)

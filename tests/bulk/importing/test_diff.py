from __future__ import annotations

from typing import Any

import pytest

from syncro_async import Lead, RowChange
from syncro_async.bulk.importing.plan import changes_of
from syncro_async.sandbox import Sandbox, Trouble
from syncro_async.testing import FakeClock, sandbox_client

HOME = {"pipeline_id": 1, "stage_id": 4}


def a_lead(**fields: Any) -> Lead:
    return Lead(id=1, **fields)


@pytest.mark.parametrize(
    ("lead", "fields"),
    [
        ({"name": " Ana "}, {"name": "Ana"}),
        ({"email": "Ana@Example.com"}, {"email": "ana@example.com"}),
        ({"phone": "+5511999990001"}, {"phone": "+55 (11) 99999-0001"}),
        ({"value": 5000.0}, {"value": 5000}),
        ({"tags": ["b", "a"]}, {"tags": ["a", "b"]}),
        ({"stage_id": 4}, {"stage_id": 4}),
        ({"custom_fields": {"orcamento": "5000.00"}}, {"custom_fields": {"orcamento": 5000}}),
        ({"custom_fields": {"x": ["b", "a"]}}, {"custom_fields": {"x": ["a", "b"]}}),
        ({"custom_fields": {"ok": True}}, {"custom_fields": {"ok": True}}),
    ],
)
def test_another_spelling_is_no_change(lead: dict[str, Any], fields: dict[str, Any]) -> None:
    assert changes_of(fields, a_lead(**lead)) == {}


def test_each_change_is_told_as_it_is_and_as_it_would_be() -> None:
    lead = a_lead(name="Ana", value=10.0, tags=["vip"], custom_fields={"n": "x", "b": True})
    fields = {
        "name": "Bia",
        "value": 12,
        "tags": ["vip", "new"],
        "phone": "+5511999990001",
        "assigned_to": 12,
        "custom_fields": {"n": 3, "b": False, "m": "new"},
    }
    assert changes_of(fields, lead) == {
        "name": ("Ana", "Bia"),
        "value": (10.0, 12),
        "tags": (["vip"], ["vip", "new"]),
        "phone": (None, "+5511999990001"),
        "assigned_to": (None, 12),
        "custom_fields.n": ("x", 3),
        "custom_fields.b": (True, False),
        "custom_fields.m": (None, "new"),
    }
    assert changes_of({"tags": ["a"], "custom_fields": {"a": 1}}, a_lead()) == {
        "tags": (None, ["a"]),
        "custom_fields.a": (None, 1),
    }


def as_rows(sandbox: Sandbox, **changed: Any) -> list[dict[str, Any]]:
    """A row for each lead of the sandbox that says what it says."""
    names = ("name", "email", "phone", "value", "stage_id", "tags", "assigned_to")
    return [
        {name: lead[name] for name in names} | changed
        for lead in sandbox.leads.values()
        if lead["email"] and lead["id"] not in (5, 6)
    ]


async def test_only_rows_that_change_something_are_sent() -> None:
    clock = FakeClock()
    sandbox = Sandbox(450, clock=clock)
    async with sandbox_client(sandbox=sandbox, clock=clock) as syncro:
        sent = as_rows(sandbox)
        sent[7]["value"] = 1.5
        sent[300]["assigned_to"] = 14 if sent[300]["assigned_to"] != 14 else 13
        sent.append({"name": "New", "email": "new@example.com", "pipeline_id": 1, "stage_id": 4})
        summary = await syncro.bulk.upsert_leads(sent, diff=True)
        assert (summary.created, summary.updated, summary.unchanged) == (1, 2, 445)
        assert summary.total == summary.created + summary.updated + summary.unchanged
        assert summary.requests == 2 * 3 + 3 + 1
        summary = await syncro.bulk.upsert_leads(sent, diff=True)
        assert (summary.unchanged, summary.requests) == (448, 2 * 3)


async def test_a_dry_run_says_what_would_be_and_sends_nothing_but_reads() -> None:
    async with sandbox_client(leads=30) as syncro:
        lead = await syncro.leads.get(12)
        assert lead.email is not None
        new = {"name": "New", "email": "new@example.com", "pipeline_id": 1, "stage_id": 4}
        sent = [
            {"email": lead.email, "name": lead.name},
            {"email": lead.email, "name": f"{lead.name} Other"},
            new,
            {**new, "value": 3},
        ]
        summary = await syncro.bulk.upsert_leads(sent, dry_run=True)
        assert summary.changes == (
            RowChange(2, "update", 12, {"name": (lead.name, f"{lead.name} Other")}),
            RowChange(3, "create", None, {name: (None, new[name]) for name in new}),
            RowChange(4, "update", None, {}),
        )
        assert (summary.created, summary.updated, summary.unchanged) == (1, 2, 1)
        assert (await syncro.leads.get(12)).name == lead.name
        assert summary.requests == 2
        created = await syncro.bulk.create_leads([new], dry_run=True)
        assert (created.created, created.requests) == (1, 1)
        assert [change.kind for change in created.changes] == ["create"]


async def test_a_dry_run_leaves_journal_and_failures_alone(tmp_path: Any) -> None:
    async with sandbox_client(leads=3) as syncro:
        rows = [{"name": "New", "email": "new@example.com", "pipeline_id": 1, "stage_id": 4}]
        await syncro.bulk.upsert_leads(
            rows, dry_run=True, journal=tmp_path / "j", failures=tmp_path / "f.csv"
        )
    assert list(tmp_path.iterdir()) == []


async def test_rows_of_one_lead_are_all_sent_once_an_earlier_one_is() -> None:
    clock = FakeClock()
    sandbox = Sandbox(20, clock=clock)
    async with sandbox_client(sandbox=sandbox, clock=clock) as syncro:
        lead = sandbox.leads[12]
        name, email = lead["name"], lead["email"]
        sent = [
            {"email": email, "name": name},  # as it is
            {"email": email, "name": f"{name} B"},
            {"email": email, "name": name},  # as it was, and is to be again
        ]
        summary = await syncro.bulk.upsert_leads(sent, diff=True)
        assert (summary.updated, summary.unchanged) == (2, 1)
        assert sandbox.leads[12]["name"] == name


async def test_a_lead_that_cannot_be_read_is_taken_for_unknown_and_its_row_sent() -> None:
    clock = FakeClock()
    sandbox = Sandbox(3, clock=clock)
    page = {
        "data": [{"id": "nonsense"}, {"id": 3, "email": sandbox.leads[3]["email"], "name": "C"}],
        "meta": {"total": 2, "per_page": 200, "current_page": 1, "last_page": 1},
    }
    sandbox.script(Trouble(body=page, method="GET"))
    async with sandbox_client(sandbox=sandbox, clock=clock) as syncro:
        sent = [
            {"email": sandbox.leads[1]["email"], "value": 4, "name": "A", **HOME},
            {"email": sandbox.leads[3]["email"], "name": "C"},
        ]
        summary = await syncro.bulk.upsert_leads(sent, diff=True)
    assert (summary.updated, summary.unchanged) == (1, 1)


async def test_a_comparison_that_was_finished_is_not_made_again(tmp_path: Any) -> None:
    clock = FakeClock()
    sandbox = Sandbox(300, clock=clock)
    journal = tmp_path / "rows.journal"
    async with sandbox_client(sandbox=sandbox, clock=clock) as syncro:
        sent = as_rows(sandbox)
        sent[0]["value"] = 1.25
        sandbox.script(Trouble(status=422, method="POST", body={"message": "no"}))
        first = await syncro.bulk.upsert_leads(sent, diff=True, journal=journal)
        # Two readings of two pages, the account, and the row.
        assert (first.failed, first.requests) == (1, 6)
        second = await syncro.bulk.upsert_leads(sent, diff=True, journal=journal)
        assert (second.updated, second.failed, second.requests) == (1, 0, 1)

"""The report of an import, and taking the import back by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from syncro_async import (
    ConfigurationError,
    ImportStoppedError,
    InvalidArgumentError,
    UndoneRow,
)
from syncro_async.sandbox import Sandbox, Trouble
from syncro_async.testing import FakeClock, sandbox_client

HOME = {"pipeline_id": 1, "stage_id": 4}


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def state(sandbox: Sandbox) -> dict[int, dict[str, Any]]:
    return {
        number: {name: value for name, value in lead.items() if name != "updated_at"}
        for number, lead in sandbox.leads.items()
    }


async def test_an_import_is_reported_row_by_row_and_taken_back(tmp_path: Path) -> None:
    clock = FakeClock()
    sandbox = Sandbox(20, clock=clock, per_minute=10_000)
    leads = sandbox.leads
    leads[11]["tags"], leads[12]["notes"] = ["vip"], None
    before = state(sandbox)
    report = tmp_path / "report.jsonl"
    rows = [
        {"name": "Eva", "email": "Eva@x.y", "phone": "+5511999990009", "tags": ["a"]},
        {"email": "eva@x.y", "value": 3},
        {"email": leads[11]["email"], "value": 1.5, "tags": ["novo"], "assigned_to": 14},
        {"email": leads[12]["email"], "name": "Other", "notes": "n"},
        {"email": leads[13]["email"], "name": leads[13]["name"]},
        {"email": leads[14]["email"], "stage_id": 99},
        {"email": leads[15]["email"], "name": "Fifteen", "source": "x"},
        {"name": "Gil", "email": "gil@x.y"},
        {"name": "Hana", "email": "hana@x.y"},
        {"id": 5, "tags": ["sibling"]},
    ]
    async with sandbox_client(sandbox=sandbox, clock=clock) as syncro:
        summary = await syncro.bulk.upsert_leads(rows, defaults=HOME, report=report)
        assert (summary.created, summary.updated, summary.failed) == (3, 5, 1)
        said = lines_of(report)
        assert [line["outcome"] for line in said] == [
            *("created", "updated", "updated", "updated", "unchanged", "failed"),
            *("updated", "created", "created", "updated"),
        ]
        assert said[2]["changes"]["value"] == [before[11]["value"], 1.5]
        assert said[2]["changes"]["tags"] == [["vip"], ["vip", "novo"]]
        assert "stage_id" in said[5]["error"]
        assert report.stat().st_mode & 0o777 == 0o600
        new = {lead["name"]: number for number, lead in leads.items() if number > 20}
        leads[15]["source"] = "changed since"
        leads[new["Gil"]]["name"] = "Gil Souza"
        del leads[new["Hana"]]
        now = state(sandbox)
        dry = await syncro.bulk.undo_import(report, dry_run=True)
        assert state(sandbox) == now
        done = await syncro.bulk.undo_import(report)
        assert dry.rows == done.rows
    what = {row.line: (row.what, row.reason) for row in done.rows}
    assert what == {
        1: ("deleted", None),
        3: ("restored", None),
        4: ("restored", "notes was empty, which no request can restore"),
        7: ("restored", "source has changed since"),
        8: ("kept", "its name, its keys or its stage have changed since"),
        9: ("gone", None),
        10: ("restored", None),
    }
    before[12]["notes"] = "n"
    before[15]["source"] = "changed since"
    after = state(sandbox)
    assert after.pop(new["Gil"])["name"] == "Gil Souza"
    assert after == before
    assert [done.count(each) for each in ("deleted", "restored", "kept", "gone")] == [1, 4, 1, 1]


async def test_a_lead_without_a_key_for_itself_is_kept(tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    line = {"line": 1, "outcome": "updated", "lead_id": 5, "changes": {"value": [1.0, 2.0]}}
    report.write_text(json.dumps(line), encoding="utf-8")
    clock = FakeClock()
    sandbox = Sandbox(20, clock=clock)
    sandbox.leads[5]["value"] = 2.0  # it shares both keys with another lead
    async with sandbox_client(sandbox=sandbox, clock=clock) as syncro:
        done = await syncro.bulk.undo_import(str(report))
    reason = "the lead has no key unchanged and for itself"
    assert done.rows == (UndoneRow(1, "kept", 5, {}, reason),)
    assert sandbox.writes == []


async def test_replaced_tags_come_back(tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    async with sandbox_client(leads=20) as syncro:
        lead = await syncro.leads.get(12)
        await syncro.leads.add_tags(12, ["old"])
        row = {"email": lead.email, "tags": ["new"]}
        await syncro.bulk.upsert_leads([row], tags_mode="replace", report=report)
        assert (await syncro.leads.get(12)).tags == ["new"]
        await syncro.bulk.undo_import(report)
        assert set((await syncro.leads.get(12)).tags or []) == {*(lead.tags or []), "old"}


async def test_a_lead_whose_tags_could_not_be_added_is_deleted(tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    row: dict[str, Any] = {"name": "Nova", "email": "nova@x.y", "tags": ["a"]}
    row["custom_fields"] = {"segmento": "Varejo"}
    sandbox = Sandbox(5, clock=(clock := FakeClock()))
    before = state(sandbox)
    async with sandbox_client(sandbox=sandbox, clock=clock) as syncro:
        sandbox.script(Trouble(status=422, method="POST", path="/leads/6/tags"))
        summary = await syncro.bulk.upsert_leads([row], defaults=HOME, report=report)
        assert (summary.created, summary.failed) == (0, 1)
        [line] = lines_of(report)
        assert (line["outcome"], line["made_lead"], line["lead_id"]) == ("failed", True, 6)
        done = await syncro.bulk.undo_import(report)
    assert done.rows == (UndoneRow(1, "deleted", 6),)
    assert state(sandbox) == before


async def test_a_report_without_old_values_is_read(tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    changes = {"tags": [None, ["b"]], "custom_fields": [None, {"cpf": "001"}]}
    line = {"line": 1, "outcome": "failed", "lead_id": 3, "changes": changes}
    report.write_text(json.dumps(line), encoding="utf-8")
    sandbox = Sandbox(5, clock=(clock := FakeClock()))
    sandbox.leads[3]["tags"] = ["a", "b"]
    async with sandbox_client(sandbox=sandbox, clock=clock) as syncro:
        done = await syncro.bulk.undo_import(report)
    assert done.rows == (UndoneRow(1, "restored", 3, {"tags": (["a", "b"], ["a"])}),)
    assert sandbox.leads[3]["tags"] == ["a"]


async def test_a_report_is_never_written_over_another_file(tmp_path: Path) -> None:
    report, journal = tmp_path / "report.jsonl", tmp_path / "j"
    rows = [{"name": f"N{n}", "email": f"{n}@x.y", **HOME, "stage_id": 99} for n in range(3)]
    async with sandbox_client(leads=3) as syncro:
        report.write_text("mine", encoding="utf-8")
        with pytest.raises(ConfigurationError, match="this import has not written it"):
            await syncro.bulk.upsert_leads(rows, report=report)
        assert report.read_text(encoding="utf-8") == "mine"
        report.unlink()
        with pytest.raises(ImportStoppedError):
            await syncro.bulk.upsert_leads(rows, canary=2, report=report, journal=journal)
        assert [line["outcome"] for line in lines_of(report)] == ["failed", "failed", "unsent"]
        await syncro.bulk.upsert_leads(rows, report=report, journal=journal)
        assert [line["outcome"] for line in lines_of(report)] == ["failed"] * 3
        report.write_text("mine", encoding="utf-8")
        with pytest.raises(ConfigurationError, match="has not written it: name another report"):
            await syncro.bulk.upsert_leads(rows, report=report, journal=journal)
        with pytest.raises(InvalidArgumentError, match="is not the report of an import: line 1"):
            await syncro.bulk.undo_import(report)
        with pytest.raises(InvalidArgumentError, match=r"must be a file that ends in \.jsonl"):
            await syncro.bulk.upsert_leads(rows, report="report.txt")

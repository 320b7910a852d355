"""An export, imported again: nothing edited, nothing sent; one cell edited, that cell sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from syncro_async import AsyncClient
from syncro_async.sandbox import Sandbox
from syncro_async.testing import FakeClock, sandbox_client
from tests.bulk.files.read_rows import file_rows

# What stands at a server, and what no import would accept or spell so.
ODD: dict[int, dict[str, Any]] = {
    1: {"phone": "(11) 99999-0001"},
    2: {"phone": "11999990002"},
    3: {"email": "sem email"},
    4: {"name": "'Ana"},
    5: {"name": '="x"'},
    6: {"notes": "=1+1\nx"},
    7: {"name": "Ana\u00a0Prado"},
    8: {"value": 1.125},
    9: {"name": "A\u200bB"},
    10: {"custom_fields": {"fax": "007", "data_retorno": "x"}},
    11: {"tags": ["a, b", "'c'", '"d"', "e;f"]},
    13: {"phone": "5,5E+12"},
    14: {"name": "  pad "},
    15: {"company": "ACME"},
    16: {"birthday": "1990-01-01"},
    17: {"phone": None, "email": None},
    18: {"source": "'quoted'"},
}


@pytest.fixture
async def sandbox() -> Sandbox:
    made = Sandbox(60, clock=FakeClock(), per_minute=10_000)
    for number, fields in ODD.items():
        made.leads[number].update(fields)
    return made


@pytest.fixture
async def syncro(sandbox: Sandbox) -> AsyncIterator[AsyncClient]:
    async with sandbox_client(sandbox=sandbox, clock=FakeClock()) as client:
        yield client


@pytest.mark.parametrize("locale", [None, "pt-BR"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet", "xlsx"])
async def test_an_unedited_export_sends_nothing(
    syncro: AsyncClient, sandbox: Sandbox, tmp_path: Path, suffix: str, locale: str | None
) -> None:
    file = tmp_path / f"leads.{suffix}"
    await syncro.bulk.export_leads(file)
    summary = await syncro.bulk.upsert_leads(file, locale=locale)
    assert (summary.total, summary.unchanged) == (60, 60)
    assert sandbox.writes == []


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet", "xlsx"])
async def test_an_edited_cell_is_the_only_change(
    syncro: AsyncClient, sandbox: Sandbox, tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"leads.{suffix}"
    await syncro.bulk.export_leads(file)
    rows = [dict(row.columns) for row in file_rows(file)]
    (edited,) = (row for row in rows if str(row["id"]) == "20")
    edited["notes"] = "Ligar amanhã"
    summary = await syncro.bulk.upsert_leads(rows)
    assert (summary.updated, summary.unchanged, len(sandbox.writes)) == (1, 59, 1)
    assert sandbox.leads[20]["notes"] == "Ligar amanhã"


async def test_a_value_that_cannot_be_sent_is_refused_once_it_is_edited(
    syncro: AsyncClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    failures = tmp_path / "failed.csv"
    rows = [{"id": 3, "email": "com email"}, {"id": 20, "notes": "x"}]
    summary = await syncro.bulk.upsert_leads(rows, on_bad_row="set-aside", failures=failures)
    assert (summary.updated, summary.set_aside) == (1, 1)
    (row,) = file_rows(failures)
    assert row.columns["syncro_error"] == "line 1: email 'com email' is no email address"
    with pytest.raises(ValueError, match=r"email is no email address \(line 1: 'com email'\)"):
        await syncro.bulk.upsert_leads(rows)

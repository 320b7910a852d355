"""An export that is edited by the usual programs and imported again sends exactly the edits."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from syncro_async import AsyncClient
from syncro_async.sandbox import Sandbox
from syncro_async.testing import sandbox_client
from syncro_async.testing.fake_clock import FakeClock

pandas, polars = import_module("pandas"), import_module("polars")
openpyxl = import_module("openpyxl")

FORMS = ("csv", "xlsx", "jsonl", "parquet")
EDITED = "Novo Nome"


def people() -> Sandbox:
    """Leads with texts that files and programs may change, each with an email of its own."""
    sandbox = Sandbox(25, clock=FakeClock())
    for lead_id, lead in sandbox.leads.items():
        lead["email"] = f"lead-{lead_id}@exemplo.com"
        lead["phone"] = f"+55119999900{lead_id:02}"
    texts = {
        1: "=1+1",
        2: "'=x",
        3: "007",
        4: "1.500",
        5: 'João, o "Bom"; Silva',
        6: "linha 1\nlinha 2",
        7: "2026-01-02",
        8: "TRUE",
        9: "nan",
        10: "-",
        11: "@ana",
        12: "1e5",
    }
    for lead_id, text in texts.items():
        sandbox.leads[lead_id]["notes"] = text
    sandbox.leads[13]["tags"] = ["a,b", "c;d", "é"]
    sandbox.leads[14]["value"] = 1234.56
    sandbox.leads[15]["value"] = 0
    return sandbox


def with_openpyxl(file: Path, edit: dict[str, Any]) -> None:
    book = openpyxl.load_workbook(file)
    header, *rows = book.active.iter_rows()
    for row in rows:
        for name, cell in zip(header, row, strict=True):
            if row[0].value == 3 and name.value in edit:
                cell.value = edit[name.value]
    book.save(file)


def with_pandas(file: Path, edit: dict[str, Any]) -> None:
    match file.suffix:
        case ".csv":
            frame = pandas.read_csv(file, dtype=str, keep_default_na=False)
        case ".xlsx":
            texts = dict.fromkeys(("phone", "notes"), str)  # else pandas makes numbers of them
            frame = pandas.read_excel(file, engine="openpyxl", dtype=texts, keep_default_na=False)
        case ".jsonl":
            frame = pandas.read_json(file, lines=True, dtype=False)
        case _:
            frame = pandas.read_parquet(file)
    for name, value in edit.items():
        frame.loc[frame["id"].astype(str) == "3", name] = value
    match file.suffix:
        case ".csv":
            frame.to_csv(file, index=False)
        case ".xlsx":
            # else the text `=1+1` becomes a formula, and nothing computes it
            options = {"options": {"strings_to_formulas": False}}
            frame.to_excel(file, index=False, engine="xlsxwriter", engine_kwargs=options)
        case ".jsonl":
            frame.to_json(file, lines=True, orient="records", force_ascii=False)
        case _:
            frame.to_parquet(file)


def with_polars(file: Path, edit: dict[str, Any]) -> None:
    match file.suffix:
        case ".csv":
            frame = polars.read_csv(file, infer_schema=False)
        case ".jsonl":
            frame = polars.read_ndjson(file, infer_schema_length=None)
        case _:
            frame = polars.read_parquet(file)
    third = polars.col("id").cast(polars.String) == "3"
    for name, value in edit.items():
        column = polars.when(third).then(polars.lit(value)).otherwise(polars.col(name)).alias(name)
        frame = frame.with_columns(column)
    match file.suffix:
        case ".csv":
            frame.write_csv(file)
        case ".jsonl":
            frame.write_ndjson(file)
        case _:
            frame.write_parquet(file)


def by_hand(file: Path, edit: dict[str, Any]) -> None:
    """No program has touched the file."""
    assert not edit
    assert file.exists()


PROGRAMS = [
    *((form, by_hand) for form in FORMS),
    ("xlsx", with_openpyxl),
    *((form, with_pandas) for form in FORMS),
    *((form, with_polars) for form in ("csv", "jsonl", "parquet")),
]
EDITORS = [pair for pair in PROGRAMS if pair[1] is not by_hand]


async def imported(
    folder: Path, form: str, program: Callable[[Path, dict[str, Any]], None], edit: dict[str, Any]
) -> tuple[Sandbox, list[str]]:
    """Export, edit lead 3 and import. Returns the sandbox and what the import has written."""
    sandbox = people()
    file = folder / f"leads.{form}"
    async with sandbox_client(sandbox=sandbox, clock=FakeClock()) as syncro:
        await syncro.bulk.export_leads(file)
        sandbox.arrivals.clear()
        program(file, edit)
        summary = await syncro.bulk.upsert_leads(file)
    writes = [arrival.path for arrival in sandbox.arrivals if arrival.method != "GET"]
    assert (summary.failed, summary.in_doubt, summary.created) == (0, 0, 0)
    assert summary.updated == len(writes)
    return sandbox, writes


async def sent_back(sandbox: Sandbox, file: Path) -> tuple[int, set[str]]:
    """Export, and import as it is: the number of unchanged rows, and the methods of the import."""
    async with sandbox_client(sandbox=sandbox, clock=FakeClock()) as syncro:
        await syncro.bulk.export_leads(file)
        sandbox.arrivals.clear()
        summary = await syncro.bulk.upsert_leads(file)
    return summary.unchanged, {arrival.method for arrival in sandbox.arrivals}


@pytest.mark.parametrize(("form", "program"), PROGRAMS)
async def test_a_file_in_which_nothing_was_edited_sends_nothing(
    tmp_path: Path, form: str, program: Any
) -> None:
    before = {lead_id: dict(lead) for lead_id, lead in people().leads.items()}
    sandbox, writes = await imported(tmp_path, form, program, {})
    assert writes == []
    assert {lead_id: dict(lead) for lead_id, lead in sandbox.leads.items()} == before


@pytest.mark.parametrize("form", FORMS)
async def test_what_a_cell_of_excel_cannot_hold_sends_nothing(tmp_path: Path, form: str) -> None:
    sandbox = people()
    for lead_id, text in enumerate(("\ufffe", "a\uffffb", "_xFFFE_", "\x00\x0b", "a\rb"), 1):
        lead = sandbox.leads[lead_id]
        lead["notes"], lead["tags"] = text, [text, "vip"]
        lead["custom_fields"] = {**lead["custom_fields"], "cargo": text}
    # Each of them has 17 digits.
    for lead_id, value in enumerate((100 / 3, 123456789012345.67, 1000 / 7), 16):
        sandbox.leads[lead_id]["value"] = value
    assert await sent_back(sandbox, tmp_path / f"leads.{form}") == (25, {"GET"})


@pytest.mark.parametrize(("form", "program"), EDITORS)
@pytest.mark.parametrize("edit", [{"name": EDITED}, {"notes": "0012"}])
async def test_one_edited_cell_sends_exactly_that_edit(
    tmp_path: Path, form: str, program: Any, edit: dict[str, Any]
) -> None:
    before = {lead_id: dict(lead) for lead_id, lead in people().leads.items()}
    sandbox, [path] = await imported(tmp_path, form, program, edit)
    assert path.endswith("/leads/upsert")
    changed = {
        (lead_id, name): value
        for lead_id, lead in sandbox.leads.items()
        for name, value in dict(lead).items()
        if value != before[lead_id][name] and name != "updated_at"
    }
    assert changed == {(3, name): value for name, value in edit.items()}


@pytest.mark.parametrize("form", FORMS)
async def test_leads_that_share_an_email_or_have_none_are_told_apart_by_their_id(
    tmp_path: Path, form: str
) -> None:
    sandbox = Sandbox(60, clock=FakeClock())
    assert await sent_back(sandbox, tmp_path / f"leads.{form}") == (60, {"GET"})


async def test_the_layout_for_excel_in_brazil_comes_back_with_its_locale(tmp_path: Path) -> None:
    sandbox = people()
    file = tmp_path / "leads.csv"
    async with sandbox_client(sandbox=sandbox, clock=FakeClock()) as syncro:
        await export_for_brazil(syncro, file)
        sandbox.arrivals.clear()
        summary = await syncro.bulk.upsert_leads(file, locale="pt-BR")
    assert (summary.unchanged, {arrival.method for arrival in sandbox.arrivals}) == (25, {"GET"})


async def export_for_brazil(syncro: AsyncClient, file: Path) -> None:
    await syncro.bulk.export_leads(file, delimiter=";", bom=True, decimal="comma")

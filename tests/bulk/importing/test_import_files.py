"""Imports from files, and what they leave beside them."""

from __future__ import annotations

import csv
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter

from syncro_async import (
    AsyncClient,
    BadRowsError,
    ColumnUse,
    ConfigurationError,
    ImportStoppedError,
    SourceReport,
)
from syncro_async.sandbox import Sandbox, Trouble
from syncro_async.testing import FakeClock, sandbox_client
from tests.bulk.files.read_rows import file_rows

HOME = {"pipeline_id": 1, "stage_id": 4}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sandbox(clock: FakeClock) -> Sandbox:
    return Sandbox(0, clock=clock)


@pytest.fixture
async def syncro(sandbox: Sandbox, clock: FakeClock) -> AsyncIterator[AsyncClient]:
    async with sandbox_client(sandbox=sandbox, clock=clock) as client:
        yield client


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


async def test_a_csv_of_a_spreadsheet_is_imported_as_it_is(
    syncro: AsyncClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    sheet = written(
        tmp_path / "rows.csv",
        "\ufeffNome;E-mail;Phone;Valor;tags;id\n"
        "Ana;ana@example.com;+55 11 99999-0001;1.234,56;vip, novo;1\n"
        "Bia;bia@example.com;;;;2\n",
    )
    columns = {"Nome": "name", "E-mail": "email", "Valor": "value", "id": None}
    summary = await syncro.bulk.upsert_leads(sheet, columns=columns, defaults=HOME)
    assert summary.created == 2
    ana, bia = sandbox.leads.values()
    assert (ana["value"], ana["tags"], ana["phone"]) == (
        1234.56,
        ["vip", "novo"],
        "+5511999990001",
    )
    assert (bia["value"], bia["tags"], bia["phone"]) == (None, [], None)


async def test_what_an_export_guards_from_spreadsheets_comes_back_as_it_was(
    syncro: AsyncClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    notes = ["=1+1", "@loja", "-", "  +x", "'quoted'", "+5511999990001", "'"]
    sent = [{"email": f"{n}@b.c", "name": "A", "notes": notes[n], **HOME} for n in range(7)]
    await syncro.bulk.upsert_leads(sent)
    await syncro.bulk.export_leads(tmp_path / "all.csv")
    with (tmp_path / "all.csv").open(encoding="utf-8", newline="") as file:
        exported = list(csv.DictReader(file))
    taken = {"email", "name", "notes"}
    columns = {name: None for name in exported[0] if name not in taken}
    again = await syncro.bulk.upsert_leads(tmp_path / "all.csv", columns=columns, diff=True)
    assert [row["notes"] for row in exported][:2] == ["'=1+1", "'@loja"]
    assert (again.unchanged, again.total) == (7, 7)


async def test_a_column_nobody_knows_is_told_once_and_not_in_every_row(
    syncro: AsyncClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    sheet = written(tmp_path / "rows.csv", "email,colour,size\n" + "a@b.c,red,x\n" * 100)
    with pytest.raises(BadRowsError, match="the columns cannot be imported") as caught:
        await syncro.bulk.upsert_leads(sheet)
    assert [(problem.line, problem.column) for problem in caught.value.problems] == [
        (1, "colour"),
        (1, "size"),
    ]
    assert sandbox.arrivals == []


async def test_a_mapping_of_a_column_that_is_not_there_is_refused(
    syncro: AsyncClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    sheet = written(tmp_path / "rows.csv", "email\na@b.c\n")
    with pytest.raises(ValueError, match="has no column Mail \\(it has email\\)"):
        await syncro.bulk.upsert_leads(sheet, columns={"Mail": "email"})


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
async def test_the_failures_of_any_form_can_be_imported_in_any_form(
    syncro: AsyncClient, sandbox: Sandbox, tmp_path: Path, suffix: str
) -> None:
    rows = [
        {"name": "Ana", "email": "a@example.com", "tags": ["x", "y"], "stage_id": 99, "value": 5},
        {
            "name": "Bia",
            "email": "b@example.com",
            "custom_fields": {"segmento": "x"},
            "stage_id": 4,
        },
        {
            "name": "Cid",
            "email": "c@example.com",
            "custom_fields": {"segmento": "y"},
            "stage_id": 99,
        },
    ]
    failed = tmp_path / f"failed{suffix}"
    summary = await syncro.bulk.create_leads(rows, defaults={"pipeline_id": 1}, failures=failed)
    assert (summary.created, summary.failed) == (1, 2)
    assert [row.line for row in file_rows(failed)] == ([2, 3] if suffix == ".csv" else [1, 2])
    summary = await syncro.bulk.create_leads(
        failed, columns={"stage_id": None}, defaults=HOME, failures=tmp_path / "again.jsonl"
    )
    assert (summary.created, summary.failed) == (2, 0)
    held = {lead["name"]: lead for lead in sandbox.leads.values()}
    assert (held["Ana"]["tags"], held["Ana"]["value"]) == (["x", "y"], 5)
    assert held["Cid"]["custom_fields"] == {"segmento": "y"}
    assert names_in(tmp_path) == [failed.name]


async def test_the_failures_of_a_csv_keep_its_columns_in_their_order(
    syncro: AsyncClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    header = "stage_id,note to self,email,name,syncro_error\n"
    sheet = written(tmp_path / "rows.csv", f"{header}99,=SUM(A1),a@example.com,Ana,old\n")
    failed = tmp_path / "failed.csv"
    summary = await syncro.bulk.upsert_leads(
        sheet, columns={"note to self": None}, failures=failed, defaults={"pipeline_id": 1}
    )
    assert summary.failed == 1
    with failed.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert list(row) == ["stage_id", "note to self", "email", "name", "syncro_error"]
    assert row["note to self"] == "'=SUM(A1)"
    assert row["syncro_error"] != "old"


async def test_parquet_rows_are_imported_with_their_types(
    syncro: AsyncClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    path = tmp_path / "rows.parquet"
    table = {
        "name": ["Ana", "Bia"],
        "phone": ["+55 11 99999-0001", None],
        "email": [None, "b@example.com"],
        "value": [1.5, None],
        "tags": [["x"], None],
    }
    pq.write_table(pa.table(table), path)
    assert (await syncro.bulk.upsert_leads(str(path), defaults=HOME)).created == 2
    assert [lead["phone"] for lead in sandbox.leads.values()] == ["+5511999990001", None]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            '{"name":"Ana","email":"a@b.c","value":9007199254740993.0}',
            (
                "value '9007199254740993.0' must be a number that can be kept exactly",
                '"value":"9007199254740993.0"',
            ),
        ),
        (
            '{"name":"Ana","email":"a@b.c","notes":"1","notes":"2"}',
            (
                "notes stands twice in one JSON object",
                '\\"notes\\":\\"1\\",\\"notes\\":\\"2\\"',
            ),
        ),
    ],
)
async def test_no_digit_and_no_value_of_a_line_of_jsonl_is_lost(
    syncro: AsyncClient, sandbox: Sandbox, tmp_path: Path, content: str, says: tuple[str, str]
) -> None:
    lines, failed = written(tmp_path / "rows.jsonl", content), tmp_path / "failed.jsonl"
    with pytest.raises(BadRowsError):
        await syncro.bulk.upsert_leads(lines, defaults=HOME, failures=failed)
    reason, raw = says
    assert f"line 1: {reason}" in failed.read_text("utf-8")
    assert raw in failed.read_text("utf-8")
    assert not sandbox.leads


async def test_a_map_of_custom_fields_with_a_name_twice_is_a_bad_row(
    syncro: AsyncClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    content = 'name,email,custom_fields\nAna,a@b.c,"{""x"":1,""x"":2}"\n'
    with pytest.raises(BadRowsError, match=r"'x' stands twice in one object.*leave one of the two"):
        await syncro.bulk.upsert_leads(written(tmp_path / "rows.csv", content), defaults=HOME)
    assert not sandbox.leads


async def test_parquet_has_the_digits_of_its_values_and_no_column_twice(
    syncro: AsyncClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    path = tmp_path / "rows.parquet"
    at = pa.array([1704164645123456789], pa.timestamp("ns"))
    columns = {"name": ["Ana"], "email": ["a@b.c"], "value": pa.array([19.9], pa.float32())}
    pq.write_table(pa.table({**columns, "notes": at}), path)
    assert (await syncro.bulk.upsert_leads(path, defaults=HOME)).created == 1
    (lead,) = sandbox.leads.values()
    assert (lead["value"], lead["notes"]) == (19.9, "2024-01-02T03:04:05.123456789")
    texts = [pa.array([text]) for text in ("Ana", "a@b.c", "1", "2")]
    pq.write_table(pa.table(texts, names=["name", "email", "notes", "notes"]), path)
    with pytest.raises(BadRowsError, match=r"notes \(2\) has the name of a column before it"):
        await syncro.bulk.upsert_leads(path, defaults=HOME)


async def test_failures_are_never_written_over_the_rows(
    syncro: AsyncClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    sheet = written(tmp_path / "rows.csv", "email\na@b.c\n")
    with pytest.raises(ValueError, match="failures must not be the file"):
        await syncro.bulk.upsert_leads(sheet, failures=tmp_path / "." / "rows.csv")


async def test_failures_are_never_written_over_the_journal(
    syncro: AsyncClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    both = tmp_path / "rows.csv"
    with pytest.raises(ValueError, match="failures must not be the file of the journal"):
        await syncro.bulk.upsert_leads([{"email": "a@b.c"}], journal=both, failures=both)


@pytest.mark.parametrize("name", ["nowhere/failed.csv", "folder.csv"])
async def test_failures_that_could_not_be_written_cost_no_request(
    syncro: AsyncClient, sandbox: Sandbox, tmp_path: Path, name: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(OSError, match=name) as caught:
        await syncro.bulk.upsert_leads([{"email": "a@b.c", **HOME}], failures=tmp_path / name)
    assert caught.value.filename == str(tmp_path / name)
    assert sandbox.arrivals == []
    assert names_in(tmp_path) == ["folder.csv"]


async def test_failures_behind_a_link_into_a_missing_folder_cost_no_request(
    syncro: AsyncClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    link = tmp_path / "failed.csv"
    link.symlink_to(tmp_path / "nowhere" / "failed.csv")
    with pytest.raises(FileNotFoundError) as caught:
        await syncro.bulk.upsert_leads([{"email": "a@b.c", **HOME}], failures=link)
    assert caught.value.filename == str(link)
    assert sandbox.arrivals == []


async def test_failures_in_parquet_need_its_library_before_the_first_row(
    syncro: AsyncClient, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match="parquet"):
        await syncro.bulk.upsert_leads(
            [{"email": "a@b.c", **HOME}], failures=tmp_path / "failed.parquet"
        )
    assert sandbox.arrivals == []


async def test_a_stopped_import_of_a_file_goes_on_where_it_stopped(
    syncro: AsyncClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    lines = [{"name": f"L{n}", "email": f"{n}@example.com", **HOME} for n in range(30)]
    path = tmp_path / "rows.jsonl"
    path.write_bytes(msgspec.json.Encoder().encode_lines(lines))
    journal = tmp_path / "rows.journal"
    sandbox.script(Trouble(times=5, method="POST"))
    sandbox.script(Trouble(status=401, method="POST", times=20))
    with pytest.raises(ImportStoppedError) as caught:
        await syncro.bulk.upsert_leads(path, journal=journal)
    assert (caught.value.summary.created, caught.value.summary.unsent) == (5, 25)
    before = await syncro.bulk.plan_import(path, journal=journal)
    assert before.requests == 25
    async with sandbox_client(leads=0) as another:
        assert (await another.bulk.upsert_leads(path, journal=journal)).requests == 25


async def test_a_plan_counts_the_rows_that_need_a_request_and_the_pages_to_compare_with(
    tmp_path: Path,
) -> None:
    async with sandbox_client(leads=450) as syncro:
        rows = [{"email": f"{number}@example.com", **HOME} for number in range(1000)]
        plan = await syncro.bulk.plan_import([*rows, rows[-1]], diff=False)
        assert plan.requests == 1000 + 2  # what is there before, and the stages
        assert plan.seconds == pytest.approx(16 * 60.25, abs=16)
        plan = await syncro.bulk.plan_import(rows)
        assert plan.requests == 1000 + 2 * 3 + 1
        with pytest.raises(BadRowsError):
            await syncro.bulk.plan_import(rows[:1], create=True)
        absent = tmp_path / "absent.journal"
        assert (await syncro.bulk.plan_import(rows, journal=absent)).requests == 1008
        assert not absent.exists()


async def test_a_data_frame_is_imported_with_its_scalars(
    syncro: AsyncClient, sandbox: Sandbox
) -> None:
    frame = pd.DataFrame(
        {"Nome": ["Ana", "Bia"], "Celular": [5511999990001, 5511999990002], "Valor": [1.5, None]}
    )
    summary = await syncro.bulk.upsert_leads(frame, defaults=HOME, locale="pt-BR")
    assert summary.created == 2
    assert [(lead["phone"], lead["value"]) for lead in sandbox.leads.values()] == [
        ("+5511999990001", 1.5),
        ("+5511999990002", None),
    ]
    with pytest.raises(BadRowsError, match="cor is no field of a lead") as caught:
        await syncro.bulk.upsert_leads(pl.DataFrame({"cor": ["azul"], "email": ["a@b.c"]}))
    assert [problem.column for problem in caught.value.problems] == ["cor"]
    with pytest.raises(ValueError, match=r"has no column x \(it has email\)"):
        await syncro.bulk.upsert_leads(pl.DataFrame({"email": ["a@b.c"]}), columns={"x": "name"})


async def test_how_the_rows_were_read_is_reported_before_the_first_is_sent(
    syncro: AsyncClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    reports: list[SourceReport] = []
    path = tmp_path / "rows.csv"
    path.write_bytes("Nome;e-mail;id\nJoão;<a@b.c>;\nx;x;\n".encode("cp1252"))
    with pytest.raises(BadRowsError, match=r"1 of 2 rows .* see .*failed\.csv") as caught:
        await syncro.bulk.upsert_leads(
            path, failures=tmp_path / "failed.csv", on_source=reports.append
        )
    assert caught.value.file == str(tmp_path / "failed.csv")
    assert reports == [
        SourceReport(
            name="rows.csv",
            format="csv",
            encoding="Windows-1252",
            sample="João",
            delimiter=";",
            sheet=None,
            header_line=1,
            columns=(
                ColumnUse("Nome", "name", "field"),
                ColumnUse("e-mail", "email", "field"),
                ColumnUse("id", None, "id"),
            ),
            rows=2,
            bad_rows=1,
            cleaned={"<…>": 1},
        )
    ]
    await syncro.bulk.upsert_leads(
        [{"email": "a@b.c", "name": "A", **HOME}, {"email": "b@b.c", "name": "B", **HOME}],
        on_source=reports.append,
    )
    assert (reports[1].header_line, len(reports[1].columns), reports[1].rows) == (None, 4, 2)


async def test_a_custom_field_that_does_not_fit_sets_its_row_aside(
    syncro: AsyncClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    rows = [
        {"email": f"{number}@b.c", "name": "A", "custom_fields.orcamento": value, **HOME}
        for number, value in enumerate(["1,5", "much", "2,5"])
    ]
    summary = await syncro.bulk.upsert_leads(
        rows, on_bad_row="set-aside", failures=tmp_path / "failed.jsonl"
    )
    assert (summary.total, summary.created, summary.set_aside, summary.unsent) == (3, 2, 1, 0)
    assert summary.failures_file == str(tmp_path / "failed.jsonl")
    assert [group.reason for group in summary.reasons] == [
        "custom_fields.orcamento must be a number"
    ]
    (row,) = file_rows(tmp_path / "failed.jsonl")
    assert row.columns["syncro_error"] == (
        "line 2: custom_fields.orcamento 'much' must be a number"
    )


async def test_rows_that_are_set_aside_stay_so_when_the_import_goes_on(
    syncro: AsyncClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    rows = [{"email": f"{number}@b.c", "name": "A", **HOME} for number in range(5)]
    rows.insert(2, {"email": "none", "name": "B", **HOME})
    settings: dict[str, Any] = {
        "on_bad_row": "set-aside",
        "failures": tmp_path / "failed.csv",
        "journal": tmp_path / "rows.journal",
    }
    sandbox.script(Trouble(status=422, body={"message": "no"}, method="POST"))
    first = await syncro.bulk.upsert_leads(rows, **settings)
    assert (first.created, first.failed, first.set_aside) == (4, 1, 1)
    assert len(file_rows(tmp_path / "failed.csv")) == 2
    plan = await syncro.bulk.plan_import(rows, journal=settings["journal"], on_bad_row="set-aside")
    assert plan.requests == 1
    second = await syncro.bulk.upsert_leads(rows, **settings)
    assert (second.created, second.failed, second.set_aside) == (5, 0, 1)
    assert len(file_rows(tmp_path / "failed.csv")) == 1


def workbook(path: Path, header: list[str], *rows: Sequence[tuple[Any, str | None]]) -> Path:
    """A workbook of values, each with its number format."""
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, header)
        for line, cells in enumerate(rows, 1):
            for place, (value, code) in enumerate(cells):
                style = book.add_format({"num_format": code}) if code else None
                if value == "=NA()":
                    sheet.write_formula(line, place, value, style, "#N/A")
                else:
                    sheet.write(line, place, value, style)
    return path


async def test_a_workbook_is_sent_as_it_is_shown(
    syncro: AsyncClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    path = workbook(
        tmp_path / "rows.xlsx",
        ["name", "email", "phone", "value", "notes", "source", "custom_fields.orcamento"],
        [
            ("Ana", None),
            ("ana@example.com", None),
            (5511999990001, '"+"00" "(00)" "00000-0000'),
            (1234.5, '"R$ "#,##0.00'),
            (1310100, "00000-000"),
            (0.15, "0%"),
            (1500, "0.0E+00"),
        ],
    )
    assert (await syncro.bulk.upsert_leads(path, defaults=HOME)).created == 1
    (ana,) = sandbox.leads.values()
    assert (ana["phone"], ana["value"], ana["notes"], ana["source"]) == (
        "+5511999990001",
        1234.5,
        "01310-100",
        "15%",
    )
    assert ana["custom_fields"] == {"orcamento": 1500}


@pytest.mark.parametrize(
    ("column", "value", "code", "reason", "shown"),
    [
        ("notes", "=NA()", None, "is an error of a formula", "#N/A"),
        ("value", "=NA()", None, "is an error of a formula", "#N/A"),
        ("tags", "=NA()", None, "is an error of a formula", "#N/A"),
        ("id", "=NA()", None, "is an error of a formula", "#N/A"),
        ("notes", 0.125, "0.00%", "has the number format 0.00%, which shows", "12.50%"),
        ("value", 0.125, "0.00%", "has the number format 0.00%, which shows", "12.50%"),
        ("value", 0.15, "0%", "must be a number", "15%"),
        ("email", 1500, "0.0E+00", "has the number format 0.0E+00, which shows", "1500"),
        ("notes", 1500, "0.0E+00", "has the number format 0.0E+00, which shows", "1500"),
        ("custom_fields", 5, "0.0E+00", "has the number format 0.0E+00, which shows", "5"),
        ("custom_fields.segmento", 5, "0.0E+00", "has the number format 0.0E+00, which", "5"),
    ],
)
async def test_a_cell_that_may_show_something_else_is_refused(
    syncro: AsyncClient,
    sandbox: Sandbox,
    tmp_path: Path,
    *,
    column: str,
    value: Any,
    code: str | None,
    reason: str,
    shown: str,
) -> None:
    cells = [("Ana", None), ("+5511999990001", None), (value, code)]
    path = workbook(tmp_path / "rows.xlsx", ["name", "phone", column], cells)
    with pytest.raises(BadRowsError) as caught:
        await syncro.bulk.upsert_leads(
            path, defaults=HOME, match_by="phone", failures=tmp_path / "rows.failed.xlsx"
        )
    problem = caught.value.problems[0]
    assert (problem.line, problem.column, str(problem.value)) == (2, column, shown)
    assert problem.reason.startswith(reason)
    assert not sandbox.leads
    (kept,) = file_rows(tmp_path / "rows.failed.xlsx")
    assert str(kept.columns[column]) == shown


@pytest.mark.parametrize("code", ["0.00%", "0.0E+00"])
async def test_a_column_that_is_no_field_may_show_anything(
    syncro: AsyncClient, sandbox: Sandbox, tmp_path: Path, code: str
) -> None:
    cells = [("Ana", None), ("ana@example.com", None), (0.125, code), ("=NA()", None)]
    path = workbook(tmp_path / "rows.xlsx", ["name", "email", "Desconto", "id"], cells)
    summary = await syncro.bulk.upsert_leads(path, defaults=HOME, ignore_others=True)
    assert summary.created == 1


async def test_a_part_of_a_joined_column_is_refused_as_a_whole_one(
    syncro: AsyncClient, tmp_path: Path
) -> None:
    header = ["Nome", "Sobrenome", "email"]
    columns = {"Nome+Sobrenome": "name"}
    cells = [("Ana", None), ("=NA()", None), ("ana@example.com", None)]
    book = workbook(tmp_path / "rows.xlsx", header, cells)
    text = written(tmp_path / "rows.csv", "Nome,Sobrenome,email\nAna,#N/A,ana@example.com\n")
    for path, reason in (
        (book, "is an error of a formula"),
        (text, "is an error of a spreadsheet"),
    ):
        with pytest.raises(BadRowsError) as caught:
            await syncro.bulk.upsert_leads(path, columns=columns, defaults=HOME)
        problem = caught.value.problems[0]
        assert problem[:4] == (2, "Nome+Sobrenome", reason, "#N/A")


async def test_an_error_of_a_spreadsheet_is_no_tag(syncro: AsyncClient, tmp_path: Path) -> None:
    path = written(tmp_path / "rows.csv", "name,email,tags\nAna,ana@example.com,#N/A\n")
    with pytest.raises(BadRowsError, match="is an error of a spreadsheet"):
        await syncro.bulk.upsert_leads(path, defaults=HOME)

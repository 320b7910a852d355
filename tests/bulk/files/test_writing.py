from __future__ import annotations

import csv
import io
import json
import re
import sys
from datetime import UTC, date, datetime
from importlib import import_module

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncro_async import Lead
from syncro_async.bulk.files.columns import COLUMNS
from syncro_async.bulk.files.formats import FORMS, CsvLayout, cell, form_of, text_of
from syncro_async.errors import ConfigurationError

parquet = import_module("pyarrow.parquet")  # it has no types

LEAD = msgspec.convert(
    {
        "id": 7,
        "name": 'João, o "Bom"\nSilva',
        "phone": "+5511999887766",
        "birthday": "1990-01-15",
        "value": -12.5,
        "tags": ["vip", "são paulo"],
        "stage": {"id": 5, "name": "Proposta"},
        "created_at": "2026-06-30T10:00:00Z",
        "custom_fields": {"tamanho": "100+"},
        "owner": None,
        "score": 9,
    },
    Lead,
)


def written(form: str, *leads: Lead) -> bytes:
    out = io.BytesIO()
    form_of(form)(out, [[msgspec.json.encode(lead)] for lead in leads])
    return out.getvalue()


def read_csv(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode(), newline="")))


def test_a_jsonl_line_is_the_lead_without_the_relations_nobody_asked_for() -> None:
    lines = written("jsonl", LEAD, Lead(id=8)).decode().splitlines()
    first, second = (json.loads(line) for line in lines)
    assert first["name"] == LEAD.name
    assert first["created_at"] == "2026-06-30T10:00:00Z"
    assert first["owner"] is None
    assert "products" not in first
    assert second["id"] == 8
    assert msgspec.json.decode(lines[0], type=Lead) == LEAD


def test_a_csv_row_has_one_column_for_every_field_of_a_lead() -> None:
    assert written("csv") == ",".join(Lead.__struct_fields__).encode() + b"\r\n"
    assert Lead.__struct_fields__ == tuple(column.name for column in COLUMNS)


def test_csv_survives_being_read_again() -> None:
    [row] = read_csv(written("csv", LEAD))
    assert row["id"] == "7"
    assert row["name"] == LEAD.name
    assert row["phone"] == "+5511999887766"
    assert row["birthday"] == "1990-01-15"
    assert row["value"] == "-12.5"
    assert json.loads(row["tags"]) == ["vip", "são paulo"]
    assert json.loads(row["stage"]) == {"id": 5, "name": "Proposta"}
    assert datetime.fromisoformat(row["created_at"]) == datetime(2026, 6, 30, 10, tzinfo=UTC)
    assert json.loads(row["custom_fields"]) == {"tamanho": "100+"}
    assert row["score"] == "9"


def test_what_is_absent_null_or_not_asked_for_is_an_empty_cell() -> None:
    [row] = read_csv(written("csv", Lead(id=8)))
    assert {name for name, value in row.items() if value} == {"id"}


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        '=HYPERLINK("http://evil","x")',
        "@SUM(A1)",
        "+cmd|' /C calc'!A0",
        "-2+3+cmd|' /C calc'!A0",
        "\t=1",
        "\r=1",
        "\n=1",
        "  =1",
        "\uff1d1",
        "+55 11 9999A1",
    ],
)
def test_text_a_spreadsheet_would_run_gets_an_apostrophe_in_front(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize(
    "text",
    ["+5511999887766", "+55 (11) 99988-7766", "-5", "-", "João", "a=b", "'a", "''", "'-5", ""],
)
def test_phones_numbers_and_harmless_text_stay_exact(text: str) -> None:
    assert cell(text) == text


# Texts at the border: apostrophes, blanks and signs in front.
risky = st.text(alphabet="'=+-@\t\r\n \uff1d1a()", max_size=8)


@settings(max_examples=500)
@given(st.one_of(st.text(), risky))
def test_no_text_leaves_as_a_formula_and_every_text_comes_back(text: str) -> None:
    made = cell(text)
    assert text_of(made) == text
    assert made in {text, f"'{text}"}
    assert not re.match(r"\s*[=@\uff1d\uff0b\uff0d\uff20]", made)
    assert not re.match(r"\s*[+-].*[^0-9 ().+-]", made, re.DOTALL)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (5000.0, "5000.0"),
        (True, "true"),
        (["ç"], '["ç"]'),
        (date(1990, 1, 15).isoformat(), "1990-01-15"),
    ],
)
def test_everything_that_is_not_text_is_json(value: object, text: str) -> None:
    assert cell(value) == text


def test_parquet_has_a_column_of_its_own_type_for_every_field() -> None:
    table = parquet.read_table(io.BytesIO(written("parquet", LEAD, Lead(id=8))))
    assert table.column_names == [column.name for column in COLUMNS]
    first, second = table.to_pylist()
    assert (first["id"], first["value"]) == (7, -12.5)
    assert first["birthday"] == date(1990, 1, 15)
    assert first["created_at"] == datetime(2026, 6, 30, 10, tzinfo=UTC)
    assert first["tags"] == ["vip", "são paulo"]
    assert json.loads(first["stage"]) == {"id": 5, "name": "Proposta"}
    assert json.loads(first["custom_fields"]) == {"tamanho": "100+"}
    assert {name for name, value in second.items() if value is not None} == {"id"}


@pytest.mark.parametrize("form", FORMS)
def test_no_leads_make_a_file_of_its_form_all_the_same(form: str) -> None:
    empty = written(form)
    if form == "parquet":
        assert parquet.read_table(io.BytesIO(empty)).num_rows == 0
    elif form == "xlsx":
        assert len(workbook(empty)) == 1
    else:
        assert empty.count(b"\n") == (form == "csv")


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(
        ConfigurationError, match="'xml' is no format; use one of jsonl, csv, xlsx, parquet"
    ):
        form_of("xml")


def test_without_its_library_parquet_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match=r"syncro-async\[parquet\]"):
        form_of("parquet")


def test_without_its_library_xlsx_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    with pytest.raises(ConfigurationError, match=r"syncro-async\[files\]"):
        form_of("xlsx")


# ----------------------------------------------------------------------------- the layout of a CSV


def csv_bytes(layout: CsvLayout, *leads: Lead) -> bytes:
    out = io.BytesIO()
    form_of("csv", layout)(out, [[msgspec.json.encode(lead)] for lead in leads])
    return out.getvalue()


def test_a_csv_for_excel_in_brazil() -> None:
    content = csv_bytes(CsvLayout(";", bom=True, decimal="comma"), LEAD)
    assert content.startswith(b"\xef\xbb\xbfid;name;phone;")
    [row] = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=";")
    assert row["value"] == "-12,5"
    assert row["score"] == "9"
    assert row["phone"] == "+5511999887766"
    assert json.loads(row["custom_fields"]) == {"tamanho": "100+"}


def test_a_decimal_comma_between_commas_is_quoted() -> None:
    [row] = read_csv(csv_bytes(CsvLayout(decimal="comma"), LEAD))
    assert row["value"] == "-12,5"
    assert {
        name
        for name, value in read_csv(csv_bytes(CsvLayout(decimal="comma"), Lead(id=8)))[0].items()
        if value
    } == {"id"}


# ------------------------------------------------------------------------------------------- Excel


def workbook(content: bytes) -> list[list[object]]:
    openpyxl = import_module("openpyxl")
    sheet = openpyxl.load_workbook(io.BytesIO(content)).active
    return [[item.value for item in row] for row in sheet.iter_rows()]


def test_a_workbook_has_cells_of_their_own_kinds() -> None:
    header, first, second = workbook(written("xlsx", LEAD, Lead(id=8)))
    assert header == [column.name for column in COLUMNS]
    row = dict(zip(map(str, header), first, strict=True))
    assert (row["id"], row["value"], row["score"]) == (7, -12.5, 9)
    assert (row["name"], row["phone"]) == (LEAD.name, "+5511999887766")
    assert row["birthday"] == datetime(1990, 1, 15)  # noqa: DTZ001  # as Excel has it
    assert row["created_at"] == datetime(2026, 6, 30, 10)  # noqa: DTZ001
    assert json.loads(str(row["tags"])) == ["vip", "são paulo"]
    assert json.loads(str(row["custom_fields"])) == {"tamanho": "100+"}
    assert [value for value in second if value is not None] == [8]


@pytest.mark.parametrize(
    "text", ["=1+1", '=HYPERLINK("http://evil")', "http://a.example", "007", "_x0041_", "a\nb", "'"]
)
def test_a_text_is_a_text_cell_whatever_it_says(text: str) -> None:
    calamine = import_module("python_calamine")
    book = calamine.CalamineWorkbook.from_filelike(
        io.BytesIO(written("xlsx", Lead(id=1, name=text)))
    )
    assert book.get_sheet_by_index(0).to_python()[1][1] == text


def test_what_excel_cannot_count_or_date_is_text() -> None:
    old = Lead(id=2**53 + 1, birthday=date(1900, 2, 28), created_at=datetime(1, 1, 1, tzinfo=UTC))
    _, row = workbook(written("xlsx", old))
    assert [value for value in row if value is not None] == [
        "9007199254740993",
        "1900-02-28",
        "0001-01-01T00:00:00Z",
    ]


def test_a_number_that_16_digits_do_not_keep_is_text() -> None:
    for value in (100 / 3, 123456789012345.67):
        assert repr(value) in workbook(written("xlsx", Lead(id=1, value=value)))[1]
    assert 0.1 in workbook(written("xlsx", Lead(id=1, value=0.1)))[1]


def test_a_text_that_no_cell_of_excel_takes_is_an_error_and_not_cut() -> None:
    written("xlsx", Lead(id=1, notes="x" * 32_767))
    with pytest.raises(ConfigurationError, match=r"lead 7 \(line 3\) .* here notes"):
        written("xlsx", Lead(id=1), Lead(id=7, notes="x" * 32_768))

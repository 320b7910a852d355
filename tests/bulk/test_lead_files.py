from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, date, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncro_async import Lead
from syncro_async.cli.formats import COLUMNS, FORMATS, cell, csv_page, jsonl_page

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


def read_csv(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode(), newline="")))


def test_a_jsonl_line_is_the_lead_without_the_relations_nobody_asked_for() -> None:
    lines = jsonl_page([LEAD, Lead(id=8)]).decode().splitlines()
    first, second = (json.loads(line) for line in lines)
    assert first["name"] == LEAD.name
    assert first["created_at"] == "2026-06-30T10:00:00Z"
    assert first["owner"] is None
    assert "products" not in first
    assert second["id"] == 8
    assert msgspec.json.decode(lines[0], type=Lead) == LEAD


def test_a_csv_row_has_one_column_for_every_field_of_a_lead() -> None:
    assert FORMATS["csv"].top == ",".join(COLUMNS).encode() + b"\r\n"
    assert Lead.__struct_fields__ == COLUMNS


def test_csv_survives_being_read_again() -> None:
    [row] = read_csv(FORMATS["csv"].top + csv_page([LEAD]))
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
    [row] = read_csv(FORMATS["csv"].top + csv_page([Lead(id=8)]))
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
    ["+5511999887766", "+55 (11) 99988-7766", "-5", "-", "João", "a=b", "'=1", ""],
)
def test_phones_numbers_and_harmless_text_stay_exact(text: str) -> None:
    assert cell(text) == text


@given(st.text())
def test_no_text_leaves_as_a_formula_and_every_text_comes_back(text: str) -> None:
    made = cell(text)
    assert made.removeprefix("'") == text.removeprefix("'")
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

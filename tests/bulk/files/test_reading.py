from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from syncro_async import BadRowsError, ConfigurationError, RowProblem
from syncro_async.bulk.files.formats import (
    Row,
    csv_header,
    file_rows,
    row_from_object,
    write_parquet_table,
)


def of(path: Path, content: str | bytes) -> list[Row | RowProblem]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(file_rows(path))


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return tmp_path / "rows.csv"


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    return tmp_path / "rows.JSONL"


def test_a_csv_row_stands_where_its_first_line_is(sheet: Path) -> None:
    content = '\ufeffname,notes\r\nAna,"one\ntwo"\r\n\r\nBia,"a ""b"", c"\r\n'
    assert of(sheet, content) == [
        Row(2, {"name": "Ana", "notes": "one\ntwo"}),
        Row(5, {"name": "Bia", "notes": 'a "b", c'}),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_header_shows_the_delimiter(sheet: Path, delimiter: str) -> None:
    content = f"name{delimiter}value\nAna{delimiter}1\n"
    assert of(sheet, content) == [Row(2, {"name": "Ana", "value": "1"})]
    assert csv_header(sheet) == ["name", "value"]


def test_a_row_with_other_cells_than_the_header_is_told_by_its_line(sheet: Path) -> None:
    assert of(sheet, "name,value\nAna\nBia,1\nCid,1,2\n") == [
        RowProblem(2, None, "has not the 2 cells that the header has", 1),
        Row(3, {"name": "Bia", "value": "1"}),
        RowProblem(4, None, "has not the 2 cells that the header has", 3),
    ]


def test_columns_without_a_name_are_left_out_unless_something_is_in_them(sheet: Path) -> None:
    assert of(sheet, "name,, \nAna,,\nBia,x,\n") == [
        Row(2, {"name": "Ana"}),
        Row(3, {"name": "Bia", "": "x"}),
    ]
    assert csv_header(sheet) == ["name"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "holds no column names"),
        (" , \nx,y\n", "holds no column names"),
        ("name,email,name\n", "names name twice"),
        (b"name\nJos\xe9\n", "is not UTF-8"),
        (b"nam\xe9\nJos\xe9\n", "is not UTF-8"),
        ('name\n"Ana" x\n', "is no CSV"),
    ],
)
def test_a_csv_that_cannot_be_read_says_why(sheet: Path, content: str | bytes, says: str) -> None:
    with pytest.raises(BadRowsError, match=says):
        of(sheet, content)


def test_the_header_alone_must_be_utf8_too(sheet: Path) -> None:
    sheet.write_bytes(b"nam\xe9\n")
    with pytest.raises(BadRowsError, match="is not UTF-8"):
        csv_header(sheet)


def test_jsonl_is_an_object_a_line(lines: Path) -> None:
    content = '\ufeff{"name": "Ana", "value": 1}\n\n[1]\n{"name": \n"x"\xff\n{}\n'
    read = of(lines, content.encode())
    assert [item.line for item in read] == [1, 3, 4, 5, 6]
    assert read[0] == Row(1, {"name": "Ana", "value": 1})
    assert read[-1] == Row(6, {})
    assert read[1] == RowProblem(3, None, "is no JSON object")
    assert all(isinstance(item, RowProblem) and "is no JSON" in item.reason for item in read[1:4])


def test_parquet_rows_are_numbered(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    table = {"name": ["Ana", None], "born": [date(2000, 1, 2), None], "n": [1.5, 2.0]}
    pq.write_table(pa.table(table), path)
    assert list(file_rows(path)) == [
        Row(1, {"name": "Ana", "born": "2000-01-02", "n": 1.5}),
        Row(2, {"name": None, "born": None, "n": 2.0}),
    ]


def test_a_parquet_column_of_several_types_is_written_as_text(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    write_parquet_table(path, ["a", "b"], [{"a": 1, "b": [1]}, {"a": "x"}, {}])
    assert [row.columns for row in file_rows(path) if isinstance(row, Row)] == [
        {"a": "1", "b": [1]},
        {"a": "x", "b": None},
        {"a": None, "b": None},
    ]


def test_without_the_library_a_parquet_file_says_which_extra_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match=r"syncro-async\[parquet\]"):
        list(file_rows(tmp_path / "rows.parquet"))


@pytest.mark.parametrize("name", ["rows", "rows.xlsx"])
def test_a_file_of_another_form_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"must end in one of \.csv, \.jsonl, \.parquet"):
        file_rows(tmp_path / name)


def test_what_is_no_row_says_so() -> None:
    assert row_from_object(3, {"a": date(2026, 1, 2)}) == Row(3, {"a": "2026-01-02"})
    problem = row_from_object(4, object())
    assert isinstance(problem, RowProblem)
    assert "cannot be written as JSON" in problem.reason


@pytest.mark.parametrize(
    ("content", "header"),
    [
        ('name;"Interest (CRM, site, shop)"\nAna;CRM\n', ["name", "Interest (CRM, site, shop)"]),
        ("name;Interest, a, b, c\nAna;CRM\nBia;site\n", ["name", "Interest, a, b, c"]),
        ('name,"a;b;c;d"\nAna,CRM\n', ["name", "a;b;c;d"]),
    ],
)
def test_the_rows_and_the_quotes_decide_about_the_delimiter(
    sheet: Path, content: str, header: list[str]
) -> None:
    rows = of(sheet, content)
    assert csv_header(sheet) == header
    assert rows[0] == Row(2, {"name": "Ana", header[1]: "CRM"})


@pytest.mark.parametrize("delimiter", [";", ",", "|"])
def test_a_line_that_names_the_delimiter_is_followed_and_counted(
    sheet: Path, delimiter: str
) -> None:
    content = f"\ufeffsep={delimiter}\r\nname{delimiter}email\r\nAna{delimiter}a@b.c\r\n"
    assert of(sheet, content) == [Row(3, {"name": "Ana", "email": "a@b.c"})]
    assert csv_header(sheet) == ["name", "email"]


def test_rows_of_empty_cells_are_skipped_and_a_footer_is_a_problem_with_its_line(
    sheet: Path,
) -> None:
    assert of(sheet, "name,email\n,\nAna,a@b.c\n , \n\nGenerated by: x\n") == [
        Row(3, {"name": "Ana", "email": "a@b.c"}),
        RowProblem(6, None, "has not the 2 cells that the header has", 1),
    ]


def test_a_cell_may_have_any_length(sheet: Path) -> None:
    notes = "x" * 140_000
    assert of(sheet, f"name,notes\nAna,{notes}\n") == [Row(2, {"name": "Ana", "notes": notes})]

from __future__ import annotations

import gzip
import io
import sys
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter

from syncro_async import BadRowsError, ConfigurationError, RowProblem
from syncro_async.bulk.files.reading import read_file
from syncro_async.bulk.files.rows import RAW_COLUMN, Row, names_of, repeated_name
from tests.bulk.files.read_rows import file_rows, header_of


def of(path: Path, content: str | bytes, **options: Any) -> list[Row]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return file_rows(path, **options)


def bad(line: int, columns: dict[str, Any], reason: str, value: Any) -> Row:
    return Row(line, columns, (RowProblem(line, None, reason, value),))


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return tmp_path / "rows.csv"


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    return tmp_path / "rows.JSONL"


def book(path: Path, *sheets: list[list[Any]]) -> Path:
    with xlsxwriter.Workbook(path, {"default_date_format": "dd/mm/yyyy"}) as made:
        for rows in sheets:
            added = made.add_worksheet()
            for number, row in enumerate(rows):
                added.write_row(number, 0, row)
    return path


# ------------------------------------------------------------------ text with delimiters


def test_a_csv_row_stands_where_its_first_line_is(sheet: Path) -> None:
    content = '\ufeffname,notes\r\nAna,"one\ntwo"\r\n\r\nBia,"a ""b"", c"\r\n'
    assert of(sheet, content) == [
        Row(2, {"name": "Ana", "notes": "one\ntwo"}),
        Row(5, {"name": "Bia", "notes": 'a "b", c'}),
    ]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ".csv.gz", ".TXT.GZ"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_rows_show_the_delimiter(tmp_path: Path, delimiter: str, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    content = f"name{delimiter}value\nAna{delimiter}1\n".encode()
    path.write_bytes(gzip.compress(content) if suffix.lower().endswith("gz") else content)
    assert file_rows(path) == [Row(2, {"name": "Ana", "value": "1"})]
    assert header_of(path) == ["name", "value"]


@pytest.mark.parametrize(
    ("content", "header"),
    [
        ('name;"Interest (CRM, site, shop)"\nAna;CRM\n', ["name", "Interest (CRM, site, shop)"]),
        ("name;Interest, a, b, c\nAna;CRM\nBia;site\n", ["name", "Interest, a, b, c"]),
        ('name,"a;b;c;d"\nAna,CRM\n', ["name", "a;b;c;d"]),
        ("name;value\nAna;CRM\nBia;1,5\nCid;2,5\n", ["name", "value"]),
    ],
)
def test_the_rows_and_the_quotes_decide_about_the_delimiter(
    sheet: Path, content: str, header: list[str]
) -> None:
    rows = of(sheet, content)
    assert header_of(sheet) == header
    assert rows[0] == Row(2, {"name": "Ana", header[1]: "CRM"})


@pytest.mark.parametrize("delimiter", [";", ",", "|"])
def test_a_line_that_names_the_delimiter_is_followed_and_counted(
    sheet: Path, delimiter: str
) -> None:
    content = f"\ufeffsep={delimiter}\r\nname{delimiter}email\r\nAna{delimiter}a@b.c\r\n"
    assert of(sheet, content) == [Row(3, {"name": "Ana", "email": "a@b.c"})]
    assert header_of(sheet) == ["name", "email"]


def test_rows_of_other_lengths_are_bad_and_keep_their_cells(sheet: Path) -> None:
    assert of(sheet, "name,email\n,\nAna,a@b.c\n , \n\nBia,b@b.c,\nCid,c@b.c,x\nFooter\n") == [
        Row(3, {"name": "Ana", "email": "a@b.c"}),
        Row(6, {"name": "Bia", "email": "b@b.c"}),
        bad(
            7,
            {"name": "Cid", "email": "c@b.c", "column 3": "x"},
            "has 3 cells, and the header has 2",
            "Cid",
        ),
        bad(8, {"name": "Footer"}, "has 1 cell, and the header has 2", "Footer"),
    ]


def test_columns_without_a_name_are_left_out_unless_something_is_in_them(sheet: Path) -> None:
    assert of(sheet, "name,, \nAna,,\nBia,x,\n") == [
        Row(2, {"name": "Ana"}),
        Row(3, {"name": "Bia", "column 2": "x"}),
    ]


def test_the_header_may_stand_on_a_later_line(sheet: Path) -> None:
    content = "sep=;\nTitle;;\n;;\nname;email;x\nAna;a@b.c;\n"
    assert of(sheet, content, header_row=4) == [Row(5, {"name": "Ana", "email": "a@b.c", "x": ""})]
    with pytest.raises(BadRowsError, match="line 3 holds no column names"):
        file_rows(sheet, header_row=3)
    with pytest.raises(BadRowsError, match="header_row="):
        file_rows(sheet, header_row=9)


def test_a_title_before_the_header_is_skipped_with_its_blank_lines(sheet: Path) -> None:
    assert of(sheet, "\n;;\nname;email\nAna;a@b.c\n") == [Row(4, {"name": "Ana", "email": "a@b.c"})]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "holds no column names"),
        (" , \n , \n", "holds no column names"),
        (b"nam\xe9\nJos\xc3\xa9\n", "holds the byte 0xE9, which is not UTF-8"),
        ('name\n"Ana\nBia\n', "is no CSV .*; the row ends on line 3"),
        ('name\n"Ana\nBia"x\n', "is no CSV .*; the row ends on line 3"),
    ],
)
def test_a_csv_that_cannot_be_read_says_why(sheet: Path, content: str | bytes, says: str) -> None:
    with pytest.raises(BadRowsError, match=says):
        of(sheet, content)


def test_a_quote_that_spoils_one_line_costs_that_row_only(sheet: Path) -> None:
    first, second, third = of(sheet, 'name,x\n"Ana" x,1\nBia,2\n"" y,3\n')
    assert (first.line, first.columns) == (2, {RAW_COLUMN: '"Ana" x,1'})
    assert "look for a quote that is not closed" in first.problems[0].reason
    assert second == Row(3, {"name": "Bia", "x": "2"})
    assert third.line == 4


def test_a_wrong_byte_is_reported_on_its_own_line(sheet: Path) -> None:
    content = b'name,notes\nJos\xc3\xa9,"a\nb\nc\xe9"\nAna,x\nZo\xc3\xab,y\n'
    first, second, third = of(sheet, content)
    (problem,) = first.problems
    assert (first.line, problem.line, problem.column) == (2, 4, "notes")
    assert problem.reason == "holds the byte 0xE9, which is not UTF-8"
    assert problem.value == "a\nb\nc�"
    assert (second.problems, third.columns["name"]) == ((), "Zoë")


def test_a_line_of_utf8_in_another_encoding_is_a_bad_row(sheet: Path) -> None:
    content = b"name\nJo\xe3o\nConcei\xe7\xe3o\nJos\xc3\xa9\nAna\n"
    rows = of(sheet, content)
    assert [row.problems != () for row in rows] == [False, False, True, False]
    assert "is 'José' in UTF-8" in rows[2].problems[0].reason
    assert all(not row.problems for row in file_rows(sheet, encoding="cp1252"))


def test_a_byte_without_meaning_is_reported_also_in_the_encoding_given(sheet: Path) -> None:
    (row,) = of(sheet, b"name\nAn\x81\n", encoding="cp1252")
    assert row.problems[0].reason == "holds the byte 0x81, which is not cp1252"


def test_a_cell_may_have_any_length(sheet: Path) -> None:
    notes = "x" * 140_000
    assert of(sheet, f"name,notes\nAna,{notes}\n") == [Row(2, {"name": "Ana", "notes": notes})]


def test_what_keeps_a_number_a_text_is_taken_off(sheet: Path) -> None:
    sheet.write_text('a,b,c\n"=""012""","=""a""&B1",\'=1+1\n', encoding="utf-8")
    with read_file(sheet) as table:
        assert list(table.rows) == [Row(2, {"a": "012", "b": '="a"&B1', "c": "=1+1"})]
        assert table.cleaned == {'="…"': 1, "'": 1}


def test_a_column_of_the_same_name_gets_a_number() -> None:
    names = names_of(["phone", "\ufeffphone ", None, 5, "", "phone"])
    assert names == ["phone", "phone (2)", "", "5", "", "phone (3)"]
    assert names_of(["x", "x (2)", "x"]) == ["x", "x (2)", "x (3)"]
    assert repeated_name("phone (2)", names) == "phone"
    assert repeated_name("x (2)", names) is repeated_name("phone", names) is None


# ------------------------------------------------------------------ other formats


def test_jsonl_is_an_object_a_line(lines: Path) -> None:
    content = '\ufeff{"name": "Ana", "value": 1}\n\n[1]\n{"name": \n{"x": "é\u2028"}\n{}\n'
    read = of(lines, content)
    assert [item.line for item in read] == [1, 3, 4, 5, 6]
    assert read[0] == Row(1, {"name": "Ana", "value": 1})
    assert read[1] == bad(3, {RAW_COLUMN: "[1]"}, "is no JSON object", "[1]")
    assert "is no JSON" in read[2].problems[0].reason
    assert read[3:] == [Row(5, {"x": "é\u2028"}), Row(6, {})]
    assert of(lines, content.encode("utf-16"))[3:] == read[3:]


def test_an_object_with_two_values_of_one_name_costs_its_row(lines: Path) -> None:
    first, second, third = of(
        lines, '{"a": 1, "a": 1}\n{"b": {"c": 1, "c": 2}}\n{"b": {"c": 1}, "c": 2}\n'
    )
    assert first.columns == {RAW_COLUMN: '{"a": 1, "a": 1}'}
    assert [(one.line, one.column) for one in first.problems] == [(1, "a")]
    assert first.problems[0].reason == "stands twice in one JSON object"
    assert second.problems[0].column == "c"
    assert third == Row(3, {"b": {"c": 1}, "c": 2})


def test_a_number_that_no_float_keeps_is_its_text(lines: Path) -> None:
    content = '{"a": 19.90, "b": 1234567890123456.78, "c": {"d": 9007199254740993.0}, "e": 1e9E}\n'
    (row,) = of(lines, content.replace("9E", "9" * 30))
    assert row.columns == {
        "e": "1e" + "9" * 30,
        "a": 19.9,
        "b": "1234567890123456.78",
        "c": {"d": "9007199254740993.0"},
    }


def test_a_wrong_byte_in_jsonl_costs_its_row(lines: Path) -> None:
    first, second = of(lines, b'{"a": "\xc3\xa9"}\n{"a": "\xe9"}\n')
    assert first == Row(1, {"a": "é"})
    assert second.problems[0].reason == "holds the byte 0xE9, which is not UTF-8"


def test_parquet_rows_are_numbered(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    table = {"name": ["Ana", None], "born": [date(2000, 1, 2), None], "n": [1.5, 2.0]}
    pq.write_table(pa.table(table), path)
    assert file_rows(path) == [
        Row(1, {"name": "Ana", "born": "2000-01-02", "n": 1.5}),
        Row(2, {"name": None, "born": None, "n": 2.0}),
    ]
    packed = tmp_path / "rows.parquet.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert file_rows(packed) == file_rows(path)


def test_a_workbook_is_read_from_its_first_sheet_that_is_not_empty(tmp_path: Path) -> None:
    path = book(
        tmp_path / "rows.xlsx",
        [],
        [
            ["Relatório"],
            ["Nome", "n", "x", "born", "ok", None, "name"],
            [],
            ["Ana", 5511999990001, 1.5, date(1990, 11, 30), True, None, "'a"],
            [None, None, None, datetime(2026, 1, 2, 3, 4, 5), False],  # noqa: DTZ001
        ],
        [["other"]],
    )
    with read_file(path, header_row=2) as table:
        assert (table.header, table.sheet) == (
            ["Nome", "n", "x", "born", "ok", "", "name"],
            "Sheet2",
        )
        assert [line.line for line in table.head][:2] == [1, 2]
        first, second = table.rows
    assert first == Row(
        4,
        {
            "Nome": "Ana",
            "n": 5511999990001,
            "x": 1.5,
            "born": "1990-11-30",
            "ok": True,
            "name": "'a",
        },
    )
    assert (second.line, second.columns["born"], second.columns["ok"]) == (
        5,
        "2026-01-02",
        False,
    )


def test_times_in_a_workbook_are_texts(tmp_path: Path) -> None:
    path = tmp_path / "rows.xlsx"
    with xlsxwriter.Workbook(path) as made:
        added = made.add_worksheet()
        added.write_row(0, 0, ["a", "b"])
        added.write_datetime(1, 0, time(12, 30), made.add_format({"num_format": "hh:mm"}))
        added.write_datetime(
            1, 1, timedelta(hours=30), made.add_format({"num_format": "[h]:mm:ss"})
        )
    (row,) = file_rows(path)
    assert row.columns == {"a": "12:30:00", "b": "30:00:00"}


@pytest.mark.parametrize("suffix", [".xlsx", ".parquet"])
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    path.write_text("name,email\n", encoding="utf-8")
    with pytest.raises(BadRowsError, match=rf"is no \{suffix} file"):
        file_rows(path)
    path.write_bytes(b"PK\x03\x04" if suffix == ".xlsx" else b"PAR1 no file")
    with pytest.raises(BadRowsError, match="is no "):
        file_rows(path)


def test_an_empty_workbook_holds_no_column_names(tmp_path: Path) -> None:
    with pytest.raises(BadRowsError, match="holds no column names"):
        file_rows(book(tmp_path / "rows.xlsx", []))


def test_the_content_decides_where_the_name_is_wrong(tmp_path: Path) -> None:
    path = book(tmp_path / "rows.csv", [["name"], ["Ana"]])
    assert file_rows(path) == [Row(2, {"name": "Ana"})]


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"\xd0\xcf\x11\xe0 old", "save it as .xlsx"), (b"%PDF-1.7", "export the table")],
)
def test_other_programs_files_are_refused_with_the_way_on(
    sheet: Path, content: bytes, says: str
) -> None:
    with pytest.raises(BadRowsError, match=says):
        of(sheet, content)


def test_a_damaged_gzip_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(b"name\n" + b"Ana\n" * 99)[:-12])
    with pytest.raises(BadRowsError, match="is damaged"):
        file_rows(path)


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"name;email\nAna;a@b.c\n", [Row(2, {"name": "Ana", "email": "a@b.c"})]),
        (b' {"name": "Ana"}\n', [Row(1, {"name": "Ana"})]),
        (gzip.compress(b"name\nAna\n", mtime=0), [Row(2, {"name": "Ana"})]),
    ],
)
def test_a_minus_is_the_standard_input(
    monkeypatch: pytest.MonkeyPatch, content: bytes, rows: list[Row]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert file_rows(Path("-")) == rows


@pytest.mark.parametrize(
    ("module", "suffix", "extra"),
    [("pyarrow", ".parquet", "parquet"), ("python_calamine", ".xlsx", "files")],
)
def test_without_the_library_a_file_says_which_extra_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, suffix: str, extra: str
) -> None:
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(b"PAR1" if suffix == ".parquet" else b"PK\x03\x04")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=rf"syncro-async\[{extra}\]"):
        file_rows(path)


@pytest.mark.parametrize("name", ["rows", "rows.ods", "rows.gz", "rows.csv.zip"])
def test_a_file_of_another_form_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("name\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"must end in one of \.csv, \.tsv, \.txt, \.xlsx"):
        file_rows(tmp_path / name)


def test_hidden_sheets_are_passed_over_and_the_others_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.xlsx"
    with xlsxwriter.Workbook(path) as made:
        for name, cell in (("Cfg", "lista"), ("Vazia", None), ("Clientes", "name"), ("Mais", "x")):
            added = made.add_worksheet(name)
            if cell is not None:
                added.write_column(0, 0, [cell, "1"])
            if name == "Cfg":
                added.hide()
            if name == "Clientes":
                added.activate()
        made.add_chartsheet("Grafico")
    with read_file(path) as table:
        assert (table.sheet, table.other_sheets, table.header) == ("Clientes", ("Mais",), ["name"])

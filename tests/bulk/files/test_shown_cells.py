"""What an import reads of the cells of a workbook is what they show, or is marked."""

from __future__ import annotations

import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from syncro_async import BadRowsError
from syncro_async.bulk.files.rows import Row
from tests.bulk.files.read_rows import file_rows

openpyxl = import_module("openpyxl")  # it brings no types

CPF = r"000\.000\.000\-00"
CNPJ = '00"."000"."000"/"0000"-"00'
MOBILE = r"[<=9999999999]\(00\)\ 0000\-0000;\(00\)\ 00000\-0000"
ACCOUNTING = r'_-"R$"\ * #,##0.00_-;\-"R$"\ * #,##0.00_-;_-"R$"\ * "-"??_-;_-@_-'
SURE, IN_TEXT, NEVER = "sure", "in text", "never"


def cell_of(path: Path, value: Any, code: str, *, from_1904: bool = False) -> tuple[Any, str]:
    """The value that is read of the only cell, and the fields that do not take it."""
    with xlsxwriter.Workbook(path, {"date_1904": from_1904}) as book:
        sheet = book.add_worksheet()
        sheet.write(0, 0, "x")
        sheet.write(1, 0, value, book.add_format({"num_format": code}))
    (row,) = file_rows(path)
    if not row.unclear:
        return row.columns["x"], SURE
    mark = row.unclear["x"]
    assert mark.reason.startswith(f"has the number format {code}, ")
    assert mark.advice.startswith("format the column as text")
    return row.columns["x"], IN_TEXT if mark.in_text else NEVER


@pytest.mark.parametrize(
    ("value", "code", "shown"),
    [
        (1234567890, CPF, "012.345.678-90"),
        (12345678000195, CNPJ, "12.345.678/0001-95"),
        (1310100, "00000-000", "01310-100"),
        (1310100, r"00000\-000;@", "01310-100"),
        (123456789, "00000-000", "123456-789"),  # digits beyond the places come first
        (12, "0000", "0012"),
        (0, "0000", "0000"),
        (12, '"P-"0000', "P-0012"),
        (1133334444, MOBILE, "(11) 3333-4444"),
        (11999990001, MOBILE, "(11) 99999-0001"),
        (11999990001, '"+55 "00000000000', "+55 11999990001"),
        (11999990001, "(##) #####-####", "(11) 99999-0001"),
        (0.15, "0%", "15%"),
        (1.5, "[h]:mm", "36:00"),
        (1.5, "[hh]:mm:ss", "36:00:00"),
        (1, '[=1]"Sim";[=0]"Não"', "Sim"),
        (5, "General", 5),
        (5, "@", 5),
        (-5, "0;-0", -5),
        (1234.5, "#,##0.00", 1234.5),
        (1234.5, '"R$ "#,##0.00', 1234.5),
        (1234.5, "[$R$-416] #,##0.00", 1234.5),
        (1234.5, ACCOUNTING, 1234.5),
        (-1234.5, "#,##0.00;[Red](#,##0.00)", -1234.5),
        (45000, "dd/mm/yyyy", "2023-03-15"),
        (45000, '[$-416]d" de "mmmm" de "yyyy;@', "2023-03-15"),
        (45000.9999999, "dd/mm/yyyy", "2023-03-15"),
        (45000.5, "dd/mm/yyyy hh:mm", "2023-03-15T12:00:00"),
        (45000.500011574, "dd/mm/yyyy hh:mm", "2023-03-15T12:00:00"),
        (45000.500011574, "dd/mm/yyyy hh:mm:ss", "2023-03-15T12:00:01"),
        (45000.50000287, "dd/mm/yyyy hh:mm:ss.000", "2023-03-15T12:00:00.248000"),
        (45000, "dd/mm/yyyy hh:mm", "2023-03-15T00:00:00"),
        (45000.50000287, "dd/mm/yyyy hh:mm:ss", "2023-03-15T12:00:00"),
        (45000 + 10739.7 / 86400, "dd/mm/yyyy hh:mm", "2023-03-15T02:58:00"),
        (45000 + 10739.7 / 86400, "dd/mm/yyyy hh:mm:ss", "2023-03-15T02:59:00"),
        (12.5 / 24, "hh:mm", "12:30:00"),
        (45000.75, "h:mm AM/PM", "18:00:00"),
        (45000, "hh:mm", "00:00:00"),
        (45000.5, "dd.mm.yyyy hh.mm", "2023-03-15T12:00:00"),
        ("Ana", ACCOUNTING, "Ana"),
        ("Ana", "0;-0", "Ana"),
        ("Ana", "@", "Ana"),
        ("Ana", "0.00", "Ana"),
    ],
)
def test_a_cell_is_read_as_it_is_shown(tmp_path: Path, value: Any, code: str, shown: Any) -> None:
    assert cell_of(tmp_path / "rows.xlsx", value, code) == (shown, SURE)


@pytest.mark.parametrize(
    ("value", "code", "read"),
    [
        (-12, "0000", -12),
        (12.5, "0000", 12.5),
        (1.6, "0", 1.6),
        (1.005, "#,##0.00", 1.005),
        (5, '0" kg"', 5),
        (5, 'General" kg"', 5),
        (5, '"x"@', 5),
        (5, "(##) #####-####", 5),
        (1500, "0.00E+00", 1500),
        (0.5, "# ?/?", 0.5),
        (5, "[DBNum1]0", 5),
        (0, '0;-0;"-"', 0),
        (-5, "#,##0.00;[Red]#,##0.00", -5),
        (45000.5, "dddd hh:mm", "2023-03-15T12:00:00"),
        (5, "[<1]0;0;[>3]00", 5),
        (0.5, "[>1]0;[<0]0", 0.5),
        (45000, "mmm/yy", "2023-03-15"),
        (45000, "d-mmm", "2023-03-15"),
        (45000, "dddd", "2023-03-15"),
        (45000.5, "mm:ss", "2023-03-15T12:00:00"),
    ],
)
def test_a_number_that_a_text_field_must_not_take(
    tmp_path: Path, value: Any, code: str, read: Any
) -> None:
    assert cell_of(tmp_path / "rows.xlsx", value, code) == (read, IN_TEXT)


@pytest.mark.parametrize(
    ("value", "code", "read"),
    [
        (0.125, "0.00%", "12.50%"),
        (0.155, "0%", "16%"),
        (1500, '0.0," mil"', 1500),
        (0, "#", 0),
        (5, ";;;", 5),
        (5, '"+55 "0.00', 5),
        (1.50001, "[h]:mm", "36:00"),
        (1.5, "[mm]", "1 day, 12:00:00"),
        (60, "dd/mm/yyyy", "1900-02-29"),
        (0, "dd/mm/yyyy", "1900-01-00"),
        (-1, "dd/mm/yyyy", -1),
        ("Ana", '"Sr. "@', "Ana"),
        ("Ana", ";;;", "Ana"),
    ],
)
def test_a_value_that_no_field_takes(tmp_path: Path, value: Any, code: str, read: Any) -> None:
    assert cell_of(tmp_path / "rows.xlsx", value, code) == (read, NEVER)


def test_the_calendar_of_1904_has_a_day_0(tmp_path: Path) -> None:
    path = tmp_path / "rows.xlsx"
    assert cell_of(path, 60, "dd/mm/yyyy", from_1904=True) == ("1904-03-01", SURE)


# ---------------------------------------------------------------------------- formulas


def test_errors_are_read_as_they_are_shown_and_marked(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "rows.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["a", "b", "c"])
        sheet.write_formula(1, 0, "=NA()", None, "#N/A")
        sheet.write_formula(1, 1, "=1/0", None, "#DIV/0!")
        sheet.write_formula(1, 2, '="x"&"y"', None, "xy")
        sheet.write_blank(1, 7, None, book.add_format({"num_format": "0000"}))
        sheet.write_blank(2, 0, None, book.add_format({"num_format": "0000"}))
    (row,) = file_rows(tmp_path / "rows.xlsx")
    assert row.columns == {"a": "#N/A", "b": "#DIV/0!", "c": "xy"}
    assert {name: mark.reason for name, mark in row.unclear.items()} == {
        "a": "is an error of a formula",
        "b": "is an error of a formula",
    }


def test_formulas_that_no_program_has_computed_are_marked(tmp_path: Path) -> None:
    path = tmp_path / "rows.xlsx"
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for cells in (["a", "b"], ["x", '="x"&"y"'], ["=1+1", "=2+2"]):
        sheet.append(cells)
    book.save(path)
    first, last = file_rows(path)
    assert (first.columns, list(first.unclear)) == ({"a": "x", "b": '="x"&"y"'}, ["b"])
    assert first.unclear["b"].reason == "is a formula without a stored value"
    assert first.unclear["b"].advice.startswith("open the file in Excel and save it")
    # The reader of values ends before the last row, which has none.
    assert (last.line, last.columns) == (3, {"a": "=1+1", "b": "=2+2"})
    assert set(last.unclear) == {"a", "b"}


def test_a_formula_that_was_stored_as_0_by_a_program_that_computes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rows.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["a", "b"])
        sheet.write_formula(1, 0, "=1+1")
        sheet.write_formula(1, 1, "=1+1", None, 2)
    (row,) = file_rows(path)
    assert (row.columns, list(row.unclear)) == ({"a": "=1+1", "b": 2}, ["a"])


# ---------------------------------------------------------------------------- merged cells


def merged(path: Path, *ranges: str, header_row: int | None = None) -> list[Row]:
    rows = [["Leads"], ["name", "notes", "tags"], ["Ana", "VIP"], ["Bia"], ["Caio", "x", "y"]]
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for cells in rows:
        sheet.append(cells)
    for one in ranges:
        sheet.merge_cells(one)
    book.save(path)
    return file_rows(path, header_row=header_row)


def test_each_row_of_merged_cells_has_their_value_and_a_mark(tmp_path: Path) -> None:
    ana, bia, caio = merged(tmp_path / "rows.xlsx", "A1:C1", "B3:B4", "F3:F9", header_row=2)
    assert (ana.columns["notes"], bia.columns["notes"]) == ("VIP", "VIP")
    assert [list(row.unclear) for row in (ana, bia, caio)] == [["notes"], ["notes"], []]
    assert bia.unclear["notes"].reason == "is in cells that are merged over several rows"
    assert bia.unclear["notes"].advice.startswith("unmerge the cells")


def test_cells_that_are_merged_with_another_column(tmp_path: Path) -> None:
    ana, bia, caio = merged(tmp_path / "rows.xlsx", "B3:C3", "B4:C4", "B5:C5", header_row=2)
    assert (list(ana.unclear), list(bia.unclear), list(caio.unclear)) == (["tags"], [], ["tags"])
    assert ana.unclear["tags"].reason == "is in a cell that is merged with another column"


def test_cells_that_are_merged_with_the_header(tmp_path: Path) -> None:
    ana, bia, _ = merged(tmp_path / "rows.xlsx", "A1:A2", "C2:C3", header_row=2)
    assert (ana.columns["tags"], list(ana.unclear), list(bia.unclear)) == ("", ["tags"], [])


# ------------------------------------------------------------------ packages of other programs

ROWS = (
    '<x:worksheet xmlns:x="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    '<x:sheetData><x:row><x:c t="str"><x:v>a</x:v></x:c><x:c t="str"><x:v>b</x:v></x:c></x:row>'
    '<x:row><x:c t="e"><x:v>#REF!</x:v></x:c><x:c><x:v>7</x:v></x:c></x:row>'
    "</x:sheetData></x:worksheet>"
)
SHEET, STYLES = "xl/worksheets/sheet1.xml", "xl/styles.xml"


def package(path: Path, **files: str | None) -> Path:
    """A workbook with other files in it, or without some: `sheet` and `styles`."""
    whole = path.with_suffix(".whole")
    with xlsxwriter.Workbook(whole) as book:
        book.add_worksheet("S")
    changed = {SHEET: files.get("sheet", ROWS), STYLES: files.get("styles")}
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            text = changed.get(name, old.read(name).decode())
            if text is not None:
                new.writestr(name, text)
    return path


def test_cells_without_references_and_styles(tmp_path: Path) -> None:
    (row,) = file_rows(package(tmp_path / "rows.xlsx"))
    assert (row.line, row.columns, list(row.unclear)) == (2, {"a": "#REF!", "b": 7}, ["a"])


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (ROWS.replace("<x:row>", '<x:row r="2">'), "row 2 follows row 2"),
        (f"<!DOCTYPE x>{ROWS}", "has a document type"),
    ],
)
def test_a_package_that_cannot_be_followed_is_refused(tmp_path: Path, rows: str, says: str) -> None:
    path = package(tmp_path / "rows.xlsx", sheet=rows)
    with pytest.raises(BadRowsError) as caught:
        file_rows(path)
    (problem,) = caught.value.problems
    assert says in problem.reason
    assert problem.advice == "open it in a spreadsheet program, and save it as .xlsx"


def test_a_package_whose_styles_are_broken_is_refused(tmp_path: Path) -> None:
    styles = '<styleSheet><cellXfs><xf numFmtId="x"/></cellXfs></styleSheet>'
    path = package(tmp_path / "rows.xlsx", styles=styles)
    with pytest.raises(BadRowsError, match="is no workbook that can be read"):
        file_rows(path)


def test_of_a_workbook_of_another_kind_only_the_values_are_read(tmp_path: Path) -> None:
    cells = (
        '<table:table table:name="S"><table:table-row>'
        '<table:table-cell office:value-type="string"><text:p>a</text:p></table:table-cell>'
        "</table:table-row><table:table-row>"
        '<table:table-cell office:value-type="float" office:value="7"/>'
        "</table:table-row></table:table>"
    )
    spaces = " ".join(
        f'xmlns:{one}="urn:oasis:names:tc:opendocument:xmlns:{one}:1.0"'
        for one in ("office", "table", "text")
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    with zipfile.ZipFile(tmp_path / "rows.xlsx", "w") as archive:
        archive.writestr("mimetype", kind)
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr(
            "content.xml",
            f"<office:document-content {spaces}><office:body><office:spreadsheet>{cells}"
            "</office:spreadsheet></office:body></office:document-content>",
        )
    assert file_rows(tmp_path / "rows.xlsx") == [Row(2, {"a": 7})]

"""The file of the rows that were not imported: like its source, and never over another file."""

from __future__ import annotations

import csv
import gzip
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from stat import S_IMODE

import pytest

from syncro_async import ConfigurationError
from syncro_async.bulk.files.tables import Layout
from syncro_async.bulk.importing.failures_file import FailedRow, check_writable, write_failures
from tests.bulk.files.read_rows import file_rows

ROWS = [
    FailedRow('{"name":"João","n":7,"x":null,"tags":["a"],"ok":true}'.encode(), "line 2: bad"),
    FailedRow(b'{"name":"=1+1","n":12345678901234567890}', "line 3: bad"),
]


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as made:
        made.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT)")
        yield made


@pytest.mark.parametrize(
    "suffix", [".csv", ".tsv", ".txt", ".xlsx", ".jsonl", ".parquet", ".csv.gz"]
)
def test_the_rows_come_back_in_every_format(
    db: sqlite3.Connection, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"rows{suffix}"
    check_writable(path)
    assert write_failures(db, path, ROWS, Layout()) == path
    first, second = file_rows(path)
    assert (first.columns["name"], second.columns["name"]) == ("João", "=1+1")
    assert first.columns["syncro_error"] == "line 2: bad"
    assert [str(row.columns["n"]) for row in (first, second)] == ["7", "12345678901234567890"]
    assert S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_text_file_has_the_delimiter_encoding_and_columns_of_its_source(
    db: sqlite3.Connection, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv.gz"
    header = ("id", "name", "name (2)", "syncro_error")
    row = FailedRow('{"name":"João","name (2)":"=2","column 4":"Ж"}'.encode(), "no")
    write_failures(db, path, [row], Layout("cp1252", ";", header))
    text = gzip.decompress(path.read_bytes()).decode("cp1252")
    assert list(csv.reader(text.splitlines(), delimiter=";")) == [
        ["id", "name", "name", "column 4", "syncro_error"],
        ["", "João", "'=2", "?", "no"],
    ]
    write_failures(db, tmp_path / "rows.jsonl", [row], Layout("utf-16"))
    assert "João" in (tmp_path / "rows.jsonl").read_text(encoding="utf-16")


def test_a_file_of_somebody_else_is_left_as_it_is(db: sqlite3.Connection, tmp_path: Path) -> None:
    path = tmp_path / "clientes.csv"
    path.write_text("mine", encoding="utf-8")
    (tmp_path / "clientes-2.csv").write_text("mine too", encoding="utf-8")
    assert write_failures(db, path, ROWS, Layout()) == tmp_path / "clientes-3.csv"
    assert path.read_text(encoding="utf-8") == "mine"
    assert (tmp_path / "clientes-2.csv").read_text(encoding="utf-8") == "mine too"


def test_an_import_replaces_its_own_file_until_somebody_changes_it(
    db: sqlite3.Connection, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    write_failures(db, path, ROWS, Layout())
    assert write_failures(db, path, ROWS[:1], Layout()) == path
    assert len(file_rows(path)) == 1
    other = tmp_path / "other.csv"
    assert write_failures(db, other, ROWS, Layout()) == other
    assert write_failures(db, other, [], Layout()) is None
    assert sorted(tmp_path.iterdir()) == [path]
    write_failures(db, other, ROWS, Layout())
    other.write_text("corrected", encoding="utf-8")
    assert write_failures(db, other, [], Layout()) is None
    assert write_failures(db, other, ROWS, Layout()) == tmp_path / "other-2.csv"
    assert other.read_text(encoding="utf-8") == "corrected"


def test_no_rows_make_no_file(db: sqlite3.Connection, tmp_path: Path) -> None:
    assert write_failures(db, tmp_path / "rows.csv", [], Layout()) is None
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_finished_leaves_no_other_beside(
    db: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    with pytest.raises(ConfigurationError, match=r"syncro-async\[files\]"):
        check_writable(tmp_path / "rows.xlsx")
    with pytest.raises(ConfigurationError, match=r"syncro-async\[files\]"):
        write_failures(db, tmp_path / "rows.xlsx", ROWS, Layout())
    assert list(tmp_path.iterdir()) == []

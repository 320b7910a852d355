"""Rows out of programs: mappings with scalars of numpy, and whole data frames."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from syncro_async import ConfigurationError
from syncro_async.bulk.files.frames import frame_rows, row_from_object
from syncro_async.bulk.files.rows import Row


def read(source: Any) -> tuple[list[str], list[Row]]:
    found = frame_rows(source)
    assert found is not None
    header, items = found
    return header, [row_from_object(number, item) for number, item in enumerate(items, 1)]


def test_a_frame_of_pandas_is_read_with_its_scalars() -> None:
    frame = pd.DataFrame(
        {
            "name": ["Ana", None],
            "phone": [5511999990001, np.nan],
            "born": [pd.Timestamp("1990-11-30"), pd.NaT],
            "ok": pd.array([True, None], dtype="boolean"),
            "kind": pd.Categorical(["a", "b"]),
            "tags": [["x"], np.array(["y", "z"])],
            "money": [Decimal("1.50"), np.float32(2.5)],
            7: [np.int8(1), np.bool_(1)],
        }
    )
    header, (first, second) = read(frame)
    assert header == ["name", "phone", "born", "ok", "kind", "tags", "money", "7"]
    assert first.columns == {
        "name": "Ana",
        "phone": 5511999990001.0,
        "born": "1990-11-30T00:00:00",
        "ok": True,
        "kind": "a",
        "tags": ["x"],
        "money": 1.5,
        "7": 1,
    }
    assert (second.columns["born"], second.columns["ok"]) == (None, None)
    assert (second.columns["tags"], second.columns["7"]) == (["y", "z"], True)


def test_columns_of_pandas_may_have_one_name_or_none() -> None:
    frame = pd.DataFrame([[1, 2, 3]], columns=["a", "a", ""])
    assert read(frame) == (
        ["a", "a (2)", "column 3"],
        [Row(1, {"a": 1, "a (2)": 2, "column 3": 3})],
    )


def test_a_frame_of_polars_and_a_table_of_arrow_are_read() -> None:
    content = {"name": ["Ana", None], "born": [date(1990, 11, 30), None], "tags": [["x"], None]}
    expected = [
        Row(1, {"name": "Ana", "born": "1990-11-30", "tags": ["x"]}),
        Row(2, {"name": None, "born": None, "tags": None}),
    ]
    assert read(pl.DataFrame(content)) == (list(content), expected)
    assert read(pa.table(content)) == (list(content), expected)
    with pytest.raises(ConfigurationError, match=r"give rows.collect\(\)"):
        frame_rows(pl.DataFrame(content).lazy())


@pytest.mark.parametrize("source", [[{"a": 1}], "rows.csv", pl.Series([1]), pd.Series([1])])
def test_other_sources_are_no_frames(source: Any) -> None:
    assert frame_rows(source) is None


def test_a_mapping_may_hold_scalars_of_numpy_and_pandas() -> None:
    item = {"a": np.int64(5), "b": pd.NA, "c": pd.NaT, "d": pd.Timestamp("2026-01-02"), "e": None}
    assert row_from_object(1, {"t": pl.Series(["x"])}) == Row(1, {"t": ["x"]})
    assert row_from_object(3, item) == Row(
        3, {"a": 5, "b": None, "c": None, "d": "2026-01-02T00:00:00", "e": None}
    )


def test_what_is_no_row_says_so() -> None:
    assert row_from_object(3, {"a": date(2026, 1, 2)}) == Row(3, {"a": "2026-01-02"})
    for item, says in (
        (object(), "cannot be written as JSON"),
        ({"a": object()}, "cannot be written as JSON"),
        ("x", "is no mapping"),
        ({1: 2}, "is no mapping"),
    ):
        (problem,) = row_from_object(4, item).problems
        assert (problem.line, says in problem.reason) == (4, True)


@pytest.mark.parametrize(
    ("value", "read_as"),
    [
        (Decimal("1.500"), 1.5),  # as a text it would be 1500 in Brazil
        (Decimal(1500), 1500),
        (Decimal(123456789012345678), 123456789012345678),
        (Decimal("NaN"), None),
        ("Ação".encode(), "Ação"),
        (bytearray(b"x"), "x"),
        ({"cpf": b"012", "n": [Decimal("0.5")]}, {"cpf": "012", "n": [0.5]}),
    ],
)
def test_decimals_are_numbers_and_bytes_are_texts(value: Any, read_as: Any) -> None:
    columns = row_from_object(1, {"x": value}).columns
    assert msgspec.json.decode(msgspec.json.encode(columns)) == {"x": read_as}


def test_bytes_that_are_no_text_are_refused() -> None:
    (problem,) = row_from_object(1, {"x": b"\xff"}).problems
    assert "0xff" in problem.reason

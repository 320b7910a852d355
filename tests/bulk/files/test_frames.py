"""Rows out of programs: mappings with scalars of numpy, and whole data frames."""

from __future__ import annotations

import struct
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


def test_decimals_that_no_float_keeps_are_texts_with_all_digits() -> None:
    item = {"x": Decimal("1234567890123456.78"), "y": Decimal("1E-30") / 3}
    assert row_from_object(1, item).columns == {
        "x": "1234567890123456.78",
        "y": "0.0000000000000000000000000000003333333333333333333333333333",
    }


def test_values_that_are_none_of_json_are_named_with_their_column() -> None:
    item = {"name": "Ana", "x": b"a\xff", "y": bytearray(b"\xfe"), "z": {"a": object}}
    row = row_from_object(7, item)
    assert row.columns == {
        "name": "Ana",
        "x": "a\ufffd",
        "y": "\ufffd",
        "z": "{'a': <class 'object'>}",
    }
    assert [(one.line, one.column, one.value) for one in row.problems] == [
        (7, "x", "a\ufffd"),
        (7, "y", "\ufffd"),
        (7, "z", "{'a': <class 'object'>}"),
    ]
    half = row_from_object(1, {"a\ud800": "\ud800"})
    assert (half.columns, half.problems[0].column) == ({"a?": r"'\ud800'"}, "a?")
    assert row.problems[0].reason == "holds the byte 0xFF, which is not UTF-8"
    assert "leave the column out" in str(row.problems[0].advice)


NANOSECONDS = 1704164645123456789


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(
            {
                "v": np.array([19.9, np.nan], "float32"),
                "at": pd.Series([NANOSECONDS, None], dtype="datetime64[ns]"),
            }
        ),
        pd.DataFrame(
            {
                "v": pd.array([19.9, None], "Float32"),
                "at": pd.Series([NANOSECONDS, None], dtype="datetime64[ns]"),
            }
        ),
        pl.DataFrame(
            {
                "v": pl.Series([19.9, None], dtype=pl.Float32),
                "at": pl.Series([NANOSECONDS, None]).cast(pl.Datetime("ns")),
            }
        ),
        pa.table(
            {
                "v": pa.array([19.9, None], pa.float32()),
                "at": pa.array([NANOSECONDS, None], pa.timestamp("ns")),
            }
        ),
    ],
)
def test_no_frame_changes_the_digits_of_short_floats_and_of_times(frame: Any) -> None:
    _, (first, second) = read(frame)
    assert first.columns == {"v": 19.9, "at": "2024-01-02T03:04:05.123456789"}
    assert second.columns["at"] is None


def test_a_table_of_arrow_keeps_its_values_at_every_depth() -> None:
    short = pa.float32()
    table = pa.table(
        {
            "struct": pa.array([{"v": 0.1}, None], pa.struct([("v", short)])),
            "list": pa.array([[0.1, None], None], pa.list_(short)),
            "word": pa.array(["a", None]).dictionary_encode(),
            "old": pa.array([-1, None], pa.timestamp("ns", "UTC")),
            "new": pa.array([1000, None], pa.timestamp("ns", "UTC")),
            "there": pa.array([NANOSECONDS, None], pa.timestamp("ns", "-03:00")),
            "time": pa.array([1, None], pa.time64("ns")),
        }
    )
    _, (first, second) = read(table)
    assert first.columns == {
        "struct": {"v": 0.1},
        "list": [0.1, None],
        "word": "a",
        "old": "1969-12-31T23:59:59.999999999Z",
        "new": "1970-01-01T00:00:00.000001Z",
        "there": "2024-01-02T00:04:05.123456789-03:00",
        "time": "00:00:00.000000001",
    }
    assert set(second.columns.values()) == {None}


def test_columns_of_arrow_may_have_one_name_too() -> None:
    inner = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    table = pa.table([pa.array(["1"]), pa.array(["2"]), inner], names=["notes", "notes", ""])
    assert read(table) == (
        ["notes", "notes (2)", "column 3"],
        [Row(1, {"notes": "1", "notes (2)": "2", "column 3": {"a": 1, "a (2)": 2}})],
    )


@pytest.mark.parametrize(
    "value", [0.1, 3.4028234663852886e38, 1e-45, -0.0, 16777217.0, float("inf")]
)
def test_a_short_float_is_the_shortest_decimal_that_is_this_float(value: float) -> None:
    short = struct.unpack("f", struct.pack("f", value))[0]
    (row,) = read(pa.table({"v": pa.array([short], pa.float32())}))[1]
    assert row.columns["v"] == float(str(np.float32(short)))

"""One table decides what the value of an argument becomes in a path, a query or a body."""

from __future__ import annotations

import enum
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from http import HTTPMethod
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pytest

from syncro_async._internal.plain_text import shown
from syncro_async.errors import InvalidArgumentError
from syncro_async.transport.json_codec import decoder_for, encode_body
from syncro_async.transport.urls import path_segment, query_string, relative_path
from syncro_async.transport.values import scalar
from tests.stable_ids import stable_id


class Tag(str, enum.Enum):  # noqa: UP042  # its str() is not its value
    VIP = "vip"


class Word(enum.StrEnum):
    OPEN = "open"


class Stage(enum.IntEnum):
    NEW = 5


class Plain(enum.Enum):
    NUMBER = 7
    TEXT = "x"
    DAY = date(2026, 6, 30)
    NESTED = Tag.VIP
    LIST = ("a", "b")
    OTHER = object()


class Flags(enum.IntFlag):
    A = 1
    B = 2


class Shout(str):
    """A text that shows itself otherwise than it is."""

    __slots__ = ()

    def __str__(self) -> str:
        return self.upper()


ID = UUID("6f1d2a4e-0000-4000-8000-000000000001")
NOON = datetime(2026, 6, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        (True, True),
        (7, 7),
        (2.5, 2.5),
        ("olá 👋", "olá 👋"),
        (Tag.VIP, "vip"),
        (Word.OPEN, "open"),
        (HTTPMethod.GET, "GET"),
        (Stage.NEW, 5),
        (Flags.A | Flags.B, 3),
        (Plain.NUMBER, 7),
        (Plain.DAY, date(2026, 6, 30)),
        (Plain.NESTED, "vip"),
        (Shout("vip"), "vip"),
        (Decimal("19.90"), Decimal("19.90")),
        (ID, str(ID)),
        (NOON, NOON),
        (time(14, 30), time(14, 30)),
        (np.int64(5), 5),
        (np.uint8(5), 5),
        (np.float64(3.5), 3.5),
        (np.float32(3.1), 3.1),
        (np.float16(0.1), 0.1),
        (np.longdouble(2.5), 2.5),
        (np.bool_(True), True),  # noqa: FBT003
        (np.str_("vip"), "vip"),
        (np.array(5), 5),
        (np.array(["a"], dtype=object)[0], "a"),
        (np.datetime64("2026-06-30"), date(2026, 6, 30)),
        (np.datetime64("2026-06-30T12:00:00.5", "ns"), datetime(2026, 6, 30, 12, 0, 0, 500_000)),  # noqa: DTZ001
        (pd.Timestamp("2026-06-30T12:00:00Z"), NOON),
        (pd.Series([5])[0], 5),
        (pd.Series([5], dtype="Int64")[0], 5),
        (pd.Series(["a"], dtype="string")[0], "a"),
        (pl.Series([5])[0], 5),
    ],
    ids=stable_id,
)
def test_it_becomes_a_value_of_python(given: object, becomes: object) -> None:
    found = scalar("x", given)
    assert found == becomes
    assert type(found) is type(becomes)


def test_a_fold_of_the_clock_is_kept() -> None:
    assert scalar("x", NOON.replace(fold=1)) == NOON.replace(fold=1)
    found = scalar("x", NOON.replace(fold=1))
    assert isinstance(found, datetime)
    assert found.fold == 1


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    "given",
    [
        None,
        b"vip",
        bytearray(b"x"),
        1j,
        timedelta(days=1),
        object(),
        Unshowable(),
        Plain.OTHER,
        Plain.LIST,
        float("nan"),
        float("inf"),
        -float("inf"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("-Infinity"),
        Decimal("1E+400"),
        Decimal("1E-400"),
        Decimal("0." + "1" * 400),
        2**63,
        -(2**63),
        10**5000,
        "\ud83d",
        "a\udcffb",
        Shout("\ud800"),
        np.float64("nan"),
        np.float32("inf"),
        np.bytes_(b"x"),
        np.complex128(1),
        np.datetime64("NaT", "s"),
        np.timedelta64(1, "D"),
        np.array([1, 2]),
        pd.NA,
        pd.NaT,
        pd.Timedelta(days=1),
        pd.Period("2026-06"),
        pd.Interval(1, 2),
        msgspec.UNSET,
    ],
    ids=lambda value: stable_id(value, shown),
)
def test_what_would_not_arrive_as_meant_is_refused_by_name(given: object) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^size[= ]") as caught:
        scalar("size", given)
    assert caught.value.argument == "size"
    assert len(str(caught.value)) < 350


def test_the_largest_integers_are_sent() -> None:
    assert scalar("x", 2**63 - 1) == 2**63 - 1
    assert scalar("x", 1 - 2**63) == 1 - 2**63


class TestInAPath:
    @pytest.mark.parametrize(
        ("given", "sent"),
        [
            (np.int64(5), "5"),
            (Stage.NEW, "5"),
            (Tag.VIP, "vip"),
            (Shout("vip"), "vip"),
            (ID, str(ID)),
            ("a/b c", "a%2Fb%20c"),
        ],
        ids=stable_id,
    )
    def test_it_is_text(self, given: object, sent: str) -> None:
        assert path_segment("id", given) == sent

    @pytest.mark.parametrize(
        "given",
        [True, np.bool_(True), 5.0, np.float64(5), Decimal(5), NOON, None, "..", "\ud800", 10**30],  # noqa: FBT003
        ids=stable_id,
    )
    def test_what_is_no_id_is_refused(self, given: object) -> None:
        with pytest.raises(InvalidArgumentError, match=r"^id"):
            path_segment("id", given)


class TestInAQuery:
    @pytest.mark.parametrize(
        ("given", "sent"),
        [
            ({"x": Tag.VIP}, "x=vip"),
            ({"x": [Tag.VIP, Word.OPEN]}, "x%5B%5D=vip&x%5B%5D=open"),
            ({"x": Plain.LIST}, "x%5B%5D=a&x%5B%5D=b"),
            ({"x": np.array([1, 2])}, "x%5B%5D=1&x%5B%5D=2"),
            ({"x": pd.Series(["a", "b"])}, "x%5B%5D=a&x%5B%5D=b"),
            ({"x": (n for n in (1, 2))}, "x%5B%5D=1&x%5B%5D=2"),
            ({"x[]": [1]}, "x%5B%5D=1"),
            ({"x": np.bool_(True)}, "x=1"),  # noqa: FBT003
            ({"x": Decimal("1E+3")}, "x=1000"),
            ({"x": Decimal("-0.10")}, "x=-0.10"),
            ({"x": time(14, 30)}, "x=14%3A30%3A00"),
            ({"x": pd.Timestamp("2026-06-30T12:00:00Z")}, "x=2026-06-30T12%3A00%3A00Z"),
            ({Tag.VIP: None, "x": 0}, "x=0"),
            ([("tags[]", "a"), ("tags[]", "b"), ("q", None)], "tags%5B%5D=a&tags%5B%5D=b"),
            ((pair for pair in [("a", 1), ("b", ["x"])]), "a=1&b%5B%5D=x"),
            (None, ""),
        ],
        ids=stable_id,
    )
    def test_it_is_text(self, given: Any, sent: str) -> None:
        assert query_string(given) == sent

    @pytest.mark.parametrize(
        "given",
        [
            "a=1",
            b"a=1",
            5,
            [("a",)],
            ["ab"],
            [("a", 1, 2)],
            {5: "x"},
            {"": "x"},
            {"\ud800": "x"},
            {"x": "\ud800"},
            {"x": {"y": 1}},
            {"x": [None]},
            {"x": [[1]]},
        ],
        ids=stable_id,
    )
    def test_what_cannot_be_a_parameter_is_refused(self, given: Any) -> None:
        with pytest.raises(InvalidArgumentError):
            query_string(given)


@dataclass
class Point:
    x: object
    y: object = None


class Row(msgspec.Struct, rename="camel"):
    lead_id: object
    more_text: object = msgspec.UNSET


class TestInABody:
    @pytest.mark.parametrize(
        ("given", "sent"),
        [
            ({"value": Decimal("19.90")}, b'{"value":19.90}'),
            ({"value": np.float64(3.5)}, b'{"value":3.5}'),
            ({"a": {"b": [Tag.VIP, Stage.NEW, None]}}, b'{"a":{"b":["vip",5,null]}}'),
            ({"a": ("x", 1)}, b'{"a":["x",1]}'),
            ({"a": {"x"}}, b'{"a":["x"]}'),
            ({"a": Plain.LIST}, b'{"a":["a","b"]}'),
            ({"a": np.array([[1, 2], [3, 4]])}, b'{"a":[[1,2],[3,4]]}'),
            ({"a": pd.Series([1.5])}, b'{"a":[1.5]}'),
            ({"a": pl.Series(["x"])}, b'{"a":["x"]}'),
            ({"a": ID, "b": NOON, "c": NOON.date(), "d": time(9)}, None),
            ({1: "a", np.int64(2): "b", Tag.VIP: "c"}, b'{"1":"a","2":"b","vip":"c"}'),
            (Point(np.int64(1), Decimal("2.0")), b'{"x":1,"y":2.0}'),
            (Row(Tag.VIP), b'{"leadId":"vip"}'),
            (
                Row(1, [Point(NOON)]),
                b'{"leadId":1,"moreText":[{"x":"2026-06-30T12:00:00Z","y":null}]}',
            ),
            ([1, "a"], b'[1,"a"]'),
            (np.int64(3), b"3"),
            (None, b"null"),
        ],
        ids=stable_id,
    )
    def test_it_is_json(self, given: Any, sent: bytes | None) -> None:
        if sent is None:
            sent = (
                b'{"a":"6f1d2a4e-0000-4000-8000-000000000001","b":"2026-06-30T12:00:00Z",'
                b'"c":"2026-06-30","d":"09:00:00"}'
            )
        assert encode_body(given) == sent

    @pytest.mark.parametrize(
        ("given", "place"),
        [
            ({"a": {"b": [1, np.float64("nan")]}}, "a['b'][1]"),
            ({"a": {"b": "\ud800"}}, "a['b']"),
            ({"a": {"\ud800": 1}}, "a key of a"),
            ({"a": {None: 1}}, "a key of a"),
            ({"a": {True: 1}}, "a key of a"),
            ({(1, 2): 1}, "a key of json"),
            ({"a": iter([1])}, "a"),
            ({"a": b"x"}, "a"),
            ({"a": 2**64}, "a"),
            ({"a": pd.NaT}, "a"),
            ({"a": datetime(2026, 6, 30)}, "a"),  # noqa: DTZ001
            ({"a": datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))}, "a"),
            ({"a": Point(object())}, "a"),
            (Row(float("inf")), "leadId"),
            (Point(b"x"), "x"),
            ([b"x"], "json[0]"),
            (object(), "json"),
            (Point, "json"),
        ],
        ids=stable_id,
    )
    def test_what_json_cannot_carry_is_refused_with_its_place(self, given: Any, place: str) -> None:
        with pytest.raises(InvalidArgumentError) as caught:
            encode_body(given)
        assert caught.value.argument == place
        assert str(caught.value).startswith(place)

    def test_a_structure_that_contains_itself_is_refused(self) -> None:
        endless: list[Any] = []
        endless.append(endless)
        with pytest.raises(InvalidArgumentError, match="contains itself"):
            encode_body({"a": endless})
        with pytest.raises(InvalidArgumentError, match="contains itself"):
            encode_body(Point(endless))


def test_without_numpy_the_table_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "numpy")
    assert scalar("x", Tag.VIP) == "vip"


def test_parameters_without_dimensions_are_no_parameters() -> None:
    parameters: Any = np.array(5)
    with pytest.raises(InvalidArgumentError, match="params must be a mapping, or pairs"):
        query_string(parameters)


@pytest.mark.parametrize("kind", ["x" * 100_000, Unshowable()])
def test_what_nothing_can_be_decoded_to_is_refused_in_short(kind: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="cannot be decoded to") as caught:
        decoder_for(kind)
    assert caught.value.argument == "type"
    assert len(str(caught.value)) < 1_000


def test_a_long_value_is_cut_in_the_message() -> None:
    assert shown("x" * 500) == f"'{'x' * 119}…"


@pytest.mark.parametrize("path", [5, 1.5, True])
def test_a_path_is_text(path: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="path must be a str"):
        relative_path(path, "https://crm.invalid")

"""Lists as data frames of polars and pandas."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime
from typing import Any, Literal, cast

import msgspec
import pandas as pd
import polars as pl
import pytest

from syncro_async import Lead, Page, PageMeta, Paginator
from syncro_async.errors import InvalidArgumentError
from syncro_async.paging.dataframe import Library, column_kinds
from syncro_async.testing import sandbox_client
from tests.transport.scripted_app import Answer, App, client_of, page_of

LIBRARIES: tuple[Library, ...] = ("polars", "pandas")
RELATIONS = ["owner", "products", "notes"]


class Deal(msgspec.Struct):
    id: int
    won: bool | None = None
    kind: Literal["a", "b"] | None = None
    code: Literal[1, "one"] | None = None
    either: int | str | None = None


def paginator_of(items: list[Any], item: type[Any] | None = None) -> Paginator[Any]:
    async def fetch(number: int, size: int | None = None, /) -> Page[Any]:
        return Page(items, PageMeta(len(items), 200, 1, 1))

    return Paginator(fetch, item=item)


class TestPolars:
    async def test_has_every_field_with_its_type(self) -> None:
        async with sandbox_client(leads=250) as syncro:
            frame = await syncro.leads.list(include=RELATIONS).to_dataframe("polars")
            leads = await syncro.leads.list(include=RELATIONS).collect()
        assert frame.shape == (250, len(Lead.__struct_fields__))
        types = {
            "id": pl.Int64,
            "name": pl.String,
            "birthday": pl.Date,
            "value": pl.Float64,
            "tags": pl.List(pl.String),
            "created_at": pl.Datetime("us", "UTC"),
            "custom_fields": pl.String,
            "owner": pl.String,
            "score": pl.Int64,
        }
        assert {name: frame.schema[name] for name in types} == types
        for name in ("id", "name", "birthday", "value", "tags", "created_at"):
            assert frame[name].to_list() == [getattr(lead, name) for lead in leads]
        owners = [lead.owner for lead in leads]
        owned = next(at for at, owner in enumerate(owners) if isinstance(owner, msgspec.Struct))
        owner = msgspec.json.decode(cast("str", frame["owner"][owned]))
        assert owner == msgspec.to_builtins(owners[owned])
        assert frame["siblings"].null_count() == 250

    async def test_is_what_comes_where_both_are_installed(self) -> None:
        async with sandbox_client(leads=3) as syncro:
            assert isinstance(await syncro.leads.list().to_dataframe(), pl.DataFrame)

    async def test_has_a_column_for_each_key_of_maps(self) -> None:
        frame = await paginator_of([{"id": 1}, {"id": 2, "name": "b"}]).to_dataframe("polars")
        assert frame.to_dicts() == [{"id": 1, "name": None}, {"id": 2, "name": "b"}]

    async def test_has_json_texts_where_no_one_type_holds_the_values_of_maps(self) -> None:
        items = [{"is": [1], "id": 1}, {"is": "new"}, {"is": {"a": 1}}, {"is": None}, {"id": 2}]
        frame = await paginator_of(items).to_dataframe("polars")
        assert frame["is"].to_list() == ["[1]", '"new"', '{"a":1}', None, None]
        assert frame["id"].to_list() == [1, None, None, None, 2]


class TestPandas:
    async def test_has_every_field_with_its_type(self) -> None:
        async with sandbox_client(leads=250) as syncro:
            frame = await syncro.leads.list().to_dataframe("pandas")
            leads = await syncro.leads.list().collect()
        assert frame.shape == (250, len(Lead.__struct_fields__))
        types = {
            "id": "Int64",
            "name": "string",
            "value": "Float64",
            "tags": "object",
            "created_at": "datetime64[us, UTC]",
            "birthday": "datetime64[s]",
            "owner": "string",
        }
        assert {name: str(frame.dtypes[name]) for name in types} == types
        assert [int(each) for each in frame["id"]] == [lead.id for lead in leads]
        assert list(frame["tags"]) == [lead.tags for lead in leads]
        assert [each.to_pydatetime() for each in frame["created_at"]] == [
            lead.created_at for lead in leads
        ]
        assert int(frame["owner"].isna().sum()) == 250

    async def test_has_a_column_for_plain_values(self) -> None:
        frame = await paginator_of(["a", "b"]).to_dataframe("pandas")
        assert list(frame["value"]) == ["a", "b"]


@pytest.mark.parametrize("library", LIBRARIES)
async def test_an_empty_list_has_the_same_columns(library: Library) -> None:
    async with sandbox_client(leads=3) as syncro:
        full = await syncro.leads.list().to_dataframe(cast("Any", library))
        empty = await syncro.leads.list(q="nobody at all").to_dataframe(cast("Any", library))
    assert empty.shape == (0, full.shape[1])
    assert list(empty.columns) == list(full.columns)
    assert list(empty.dtypes) == list(full.dtypes)


@pytest.mark.parametrize("library", LIBRARIES)
async def test_what_the_server_leaves_out_or_sends_elsewhere_is_kept(library: Library) -> None:
    moment = "2026-06-30T09:00:00-03:00"
    items = [{"id": 1, "created_at": moment, "birthday": "0999-12-31", "tags": []}, {"id": 2}]
    async with client_of(App(Answer(body=page_of(items)))) as client:
        frame = await client.leads.list().to_dataframe(cast("Any", library))
    assert list(frame["id"]) == [1, 2]
    assert frame["created_at"][0].isoformat() == datetime(2026, 6, 30, 12, tzinfo=UTC).isoformat()
    assert frame["birthday"][0].year == date(999, 12, 31).year
    assert list(frame["tags"][0]) == []


async def test_a_model_that_was_not_named_is_found_in_the_items() -> None:
    frame = await paginator_of([Deal(1, won=True, kind="b", code="one")]).to_dataframe("polars")
    assert frame.to_dicts() == [
        {"id": 1, "won": True, "kind": "b", "code": '"one"', "either": None}
    ]


def test_what_can_be_of_several_kinds_is_a_json_text() -> None:
    assert column_kinds(Deal) == {
        "id": "int",
        "won": "bool",
        "kind": "text",
        "code": "json",
        "either": "json",
    }


async def test_another_library_is_refused_before_anything_is_sent() -> None:
    app = App()
    async with client_of(app) as client:
        with pytest.raises(ValueError, match="library='dask' must be 'polars' or 'pandas'"):
            await client.leads.list().to_dataframe(cast("Any", "dask"))
    assert app.asked == []


@pytest.mark.parametrize(
    ("missing", "library", "said"),
    [
        (("polars", "pandas"), None, 'pip install "syncro-async[dataframe]"'),
        (("polars",), "polars", "pip install polars"),
        (("polars",), None, "DataFrame of pandas"),
    ],
)
def test_what_is_not_installed_is_said_with_the_extra_that_brings_it(
    missing: tuple[str, ...], library: str | None, said: str
) -> None:
    program = f"""
import asyncio, sys
sys.modules.update(dict.fromkeys({missing!r}))
from syncro_async.testing import sandbox_client
async def main():
    async with sandbox_client(leads=3) as syncro:
        frame = await syncro.leads.list().to_dataframe({library!r})
        print(type(frame).__name__, "of", type(frame).__module__)
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert said in done.stdout + done.stderr


@pytest.mark.parametrize("kind", [pl.DataFrame, pd.DataFrame])
async def test_the_class_of_the_frames_names_its_library(kind: type) -> None:
    async with client_of(App(Answer(body=page_of([{"id": 1}])))) as client:
        assert type(await client.leads.list().to_dataframe(kind)) is kind


async def test_another_class_is_refused() -> None:
    async with client_of(App()) as client:
        with pytest.raises(InvalidArgumentError, match="library=<class 'dict'> must be 'polars'"):
            await client.leads.list().to_dataframe(dict)

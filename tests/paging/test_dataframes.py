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

from syncro_async import Page, PageMeta, Paginator
from syncro_async.errors import InvalidArgumentError
from syncro_async.paging.columns import fields_of
from syncro_async.paging.dataframe import Library
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
        assert frame.height == 250
        types = {
            "id": pl.Int64,
            "name": pl.String,
            "birthday": pl.Date,
            "value": pl.Float64,
            "tags": pl.List(pl.String),
            "created_at": pl.Datetime("us", "UTC"),
            "stage.id": pl.Int64,
            "stage.name": pl.String,
            "pipeline.name": pl.String,
            "owner.id": pl.Int64,
            "owner.email": pl.String,
            "active_sequence.current_step": pl.Int64,
            "conversation.last_message_at": pl.Datetime("us", "UTC"),
            "products": pl.String,
            "score": pl.Int64,
        }
        assert {name: frame.schema[name] for name in types} == types
        for name in ("id", "name", "birthday", "value", "tags", "created_at"):
            assert frame[name].to_list() == [getattr(lead, name) for lead in leads]
        assert frame["stage.name"].to_list() == [lead.stage and lead.stage.name for lead in leads]
        assert frame["owner.name"].to_list() == [lead.owner and lead.owner.name for lead in leads]
        noted = next(at for at, lead in enumerate(leads) if lead.notes_list)
        notes = msgspec.json.decode(cast("str", frame["notes_list"][noted]))
        assert notes == msgspec.to_builtins(leads[noted].notes_list)
        assert frame["siblings"].null_count() == 250
        assert {"owner", "stage", "custom_fields"}.isdisjoint(frame.columns)

    async def test_has_a_column_for_each_custom_field(self) -> None:
        async with sandbox_client(leads=250) as syncro:
            frame = await syncro.leads.list().to_dataframe("polars")
            leads = await syncro.leads.list().collect()
        fields = [lead.custom_fields or {} for lead in leads]
        names = dict.fromkeys(name for each in fields for name in each)
        found = [name for name in frame.columns if name.startswith("custom_fields.")]
        assert found == [f"custom_fields.{name}" for name in names] != []
        for name in names:
            assert frame[f"custom_fields.{name}"].to_list() == [each.get(name) for each in fields]

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
        assert len(frame) == 250
        types = {
            "id": "Int64",
            "name": "string",
            "value": "Float64",
            "tags": "object",
            "created_at": "datetime64[us, UTC]",
            "birthday": "datetime64[s]",
            "stage.id": "Int64",
            "stage.name": "string",
            "owner.name": "string",
        }
        assert {name: str(frame.dtypes[name]) for name in types} == types
        assert [int(each) for each in frame["id"]] == [lead.id for lead in leads]
        assert list(frame["tags"]) == [lead.tags for lead in leads]
        assert [each.to_pydatetime() for each in frame["created_at"]] == [
            lead.created_at for lead in leads
        ]
        assert int(frame["owner.id"].isna().sum()) == 250

    async def test_has_a_column_for_plain_values(self) -> None:
        frame = await paginator_of(["a", "b"]).to_dataframe("pandas")
        assert list(frame["value"]) == ["a", "b"]


@pytest.mark.parametrize("library", LIBRARIES)
async def test_an_empty_list_has_the_same_columns(library: Library) -> None:
    async with sandbox_client(leads=3) as syncro:
        full = await syncro.leads.list().to_dataframe(cast("Any", library))
        empty = await syncro.leads.list(q="nobody at all").to_dataframe(cast("Any", library))
    # Only the leads tell which custom fields there are.
    kept = [name for name in full.columns if not name.startswith("custom_fields.")]
    assert empty.shape == (0, len(kept))
    assert list(empty.columns) == kept
    assert list(empty.dtypes) == list(full[kept].dtypes)


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
    assert {field.name: field.kind for field in fields_of(Deal)} == {
        "id": "int",
        "won": "bool",
        "kind": "text",
        "code": "json",
        "either": "json",
    }


@pytest.mark.parametrize(
    ("values", "kind", "shown"),
    [
        ([1, 2, None], pl.Int64, [1, 2, None]),
        ([1, 2.5, None], pl.Float64, [1.0, 2.5, None]),
        ([True, None, False], pl.Boolean, [True, None, False]),
        (["a", None, "b"], pl.String, ["a", None, "b"]),
        ([["a"], [], None], pl.List(pl.String), [["a"], [], None]),
        ([["a", 1], None, "x"], pl.String, ['["a",1]', None, '"x"']),
        ([[{"id": 1}], None, None], pl.String, ['[{"id":1}]', None, None]),
        ([{"id": 1}, 2, True], pl.String, ['{"id":1}', "2", "true"]),
        ([2**63, 1, None], pl.String, ["9223372036854775808", "1", None]),
        ([None, None, None], pl.String, [None, None, None]),
    ],
)
async def test_a_custom_field_has_the_type_of_its_values(
    values: list[Any], kind: Any, shown: list[Any]
) -> None:
    items = [{"id": at, "custom_fields": {"x": value}} for at, value in enumerate(values)]
    items += [{"id": 8}, {"id": 9, "custom_fields": []}]
    async with client_of(App(Answer(body=page_of(items)))) as client:
        frame = await client.leads.list().to_dataframe("polars")
    assert frame.schema["custom_fields.x"] == kind
    assert frame["custom_fields.x"].to_list() == [*shown, None, None]


async def test_nested_models_of_other_lists_have_columns_too() -> None:
    async with sandbox_client(leads=3) as syncro:
        await syncro.tasks.create(
            subject="Ligar", type="call", due_date=date(2026, 7, 1), lead_id=2
        )
        frame = await syncro.tasks.list(lead_id=2).to_dataframe("polars")
    assert 2 in frame["lead.id"].to_list()
    assert {"lead.name", "assigned_user.name"} <= set(frame.columns)


async def test_another_library_is_refused_before_anything_is_sent() -> None:
    app = App()
    async with client_of(app) as client:
        with pytest.raises(ValueError, match="library='dask' must be 'polars' or 'pandas'"):
            await client.leads.list().to_dataframe(cast("Any", "dask"))
        with pytest.raises(InvalidArgumentError, match="must be 'polars' or 'pandas'"):
            await client.leads.list().to_dataframe(cast("Any", [pd.NA]))
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

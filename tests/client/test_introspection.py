"""A client can be looked at, mocked and copied like any object."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Iterator
from typing import Any, get_type_hints
from unittest.mock import create_autospec

import pytest

import syncro_async
from syncro_async import AsyncClient, Bulk, MissingResourceError, Paginator
from syncro_async.dialects import SYNCRO, WOLFEO, Dialect
from syncro_async.errors import ConfigurationError
from tests.transport.scripted_app import ONE, Answer, App, client_of, page_of

RESOURCES = sorted(SYNCRO.resources)
LEAD = Answer(body={"lead": {"id": 5}})


def make(dialect: Dialect = SYNCRO) -> AsyncClient:
    return AsyncClient("key", dialect=dialect)


class TestAServiceWithoutAResource:
    @pytest.mark.parametrize("name", RESOURCES)
    @pytest.mark.parametrize("raw", [False, True])
    def test_does_not_have_the_property(self, name: str, *, raw: bool) -> None:
        client: Any = make(WOLFEO)
        owner = client.with_raw_response if raw else client
        assert not hasattr(owner, name)
        assert getattr(owner, name, None) is None
        with pytest.raises(MissingResourceError, match=f"Wolfeo has no {name}; its client") as one:
            getattr(owner, name)
        assert isinstance(one.value, ConfigurationError)
        assert isinstance(one.value, AttributeError)

    def test_has_it_where_the_dialect_says_so(self) -> None:
        assert all(hasattr(make(), name) for name in RESOURCES)
        assert {"leads", "bulk"} <= {*dir(make(WOLFEO))}


def things() -> Iterator[Any]:
    client = make()
    yield client
    yield client.bulk
    yield client.leads.list()
    yield client.with_raw_response
    for name in RESOURCES:
        yield getattr(client, name)
        yield getattr(client, name).with_raw_response


@pytest.mark.parametrize("thing", list(things()), ids=lambda thing: type(thing).__name__)
def test_every_member_can_be_read_and_mocked(thing: object) -> None:
    names = [name for name, _ in inspect.getmembers(thing)]
    assert [name for name in dir(type(thing)) if name not in names] == []
    mock = create_autospec(thing)
    assert isinstance(mock, type(thing))


@pytest.mark.parametrize("dialect", [SYNCRO, WOLFEO], ids=lambda dialect: dialect.name)
def test_the_client_can_be_mocked_for_every_service(dialect: Dialect) -> None:
    client = make(dialect)
    assert len(inspect.getmembers(client)) > 40
    mock = create_autospec(client)
    with pytest.raises(TypeError):
        mock.request("GET")  # the path is missing, and the mock knows it


def functions_of(kind: type) -> Iterator[tuple[str, Any]]:
    for name, static in inspect.getmembers_static(kind):
        call = static.fget if isinstance(static, property) else static
        if inspect.isfunction(call) and not name.startswith("_"):
            yield f"{kind.__name__}.{name}", call


FUNCTIONS = {
    name: call
    for kind in {type(thing) for thing in things()} | {Bulk, Paginator}
    for name, call in functions_of(kind)
}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_the_hints_of_every_call_can_be_read(name: str) -> None:
    assert "return" in get_type_hints(FUNCTIONS[name])


def test_a_property_says_what_it_returns_and_what_for() -> None:
    assert get_type_hints(AsyncClient.leads.fget) == {"return": type(make().leads)}
    assert get_type_hints(vars(AsyncClient)["bulk"].fget) == {"return": Any}  # loaded on first use
    assert str(AsyncClient.leads.__doc__).startswith("The calls about leads, ")


class TestACopy:
    @pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
    async def test_shares_connections_and_budget_and_closes_nothing(self, copied: Any) -> None:
        async with client_of(App(LEAD), rate_limit=ONE, lane="bulk") as client:
            other = copied(client.with_options(max_wait=5.0))
            await other.leads.get(5)
            await other.aclose()
            assert client.budget().available == 0
            assert repr(other) == repr(client)
            await client.leads.get(5)

    @pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
    @pytest.mark.parametrize("name", RESOURCES)
    async def test_of_a_resource_makes_the_same_calls(self, copied: Any, name: str) -> None:
        async with client_of(App(LEAD)) as client:
            resource = copied(getattr(client, name))
            assert type(resource) is type(getattr(client, name))
            if name == "leads":
                assert (await resource.get(5)).id == 5
                assert (await resource.with_raw_response.get(5)).status == 200

    @pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
    async def test_of_a_list_reads_it_anew(self, copied: Any) -> None:
        async with client_of(App(Answer(body=page_of([{"id": 1}])))) as client:
            assert len(await copied(client.leads.list()).collect()) == 1

    @pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
    def test_in_another_process_is_not_possible_and_says_why(self, protocol: int) -> None:
        for thing in (make(), make().leads, [make().with_options(lane="bulk")]):
            with pytest.raises(TypeError, match="create a client in the other process"):
                pickle.dumps(thing, protocol)


def test_public_names_can_be_looked_up() -> None:
    assert all(name in dir(syncro_async) for name in ("RawResult", "Headers"))

"""The choice between httpx and httpx2, and who makes it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import pytest

from syncro_async import AsyncClient
from syncro_async.errors import ConfigurationError
from syncro_async.testing import sandbox_client
from syncro_async.transport.http_engine import load_library
from tests.transport.programs import outcome_of
from tests.transport.scripted_app import KEY


@pytest.fixture(autouse=True)
def _chosen_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYNCRO_ENGINE", raising=False)


def engine_of(client: AsyncClient) -> str:
    return client._settings.config.wire.library.name


def test_it_is_httpx_unless_it_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine_of(AsyncClient(KEY)) == "httpx"
    assert engine_of(AsyncClient(KEY, engine="httpx2")) == "httpx2"
    monkeypatch.setenv("SYNCRO_ENGINE", "httpx2")
    assert engine_of(AsyncClient(KEY)) == "httpx2"
    assert engine_of(AsyncClient(KEY, engine="httpx")) == "httpx"
    monkeypatch.setenv("SYNCRO_ENGINE", "")
    assert engine_of(AsyncClient(KEY)) == "httpx"


def test_a_transport_decides_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SYNCRO_ENGINE", "httpx2")
    assert engine_of(AsyncClient(KEY, transport=httpx.AsyncHTTPTransport())) == "httpx"
    monkeypatch.setenv("SYNCRO_ENGINE", "no such thing")
    assert engine_of(AsyncClient(KEY, transport=httpx2.AsyncHTTPTransport())) == "httpx2"
    fitting = httpx2.AsyncHTTPTransport()
    assert engine_of(AsyncClient(KEY, transport=fitting, engine="httpx2")) == "httpx2"


@pytest.mark.parametrize(
    ("transport", "engine"),
    [(httpx.AsyncHTTPTransport(), "httpx2"), (httpx2.AsyncHTTPTransport(), "httpx")],
)
def test_one_that_contradicts_the_engine_given_is_refused(transport: Any, engine: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"engine='{engine}' does not fit"):
        AsyncClient(KEY, transport=transport, engine=engine)


@pytest.mark.parametrize("given", ["", "aiohttp", "HTTPX", 2])
def test_what_is_no_engine_is_refused(given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="engine"):
        AsyncClient(KEY, engine=given)
    if isinstance(given, str) and given:
        monkeypatch.setenv("SYNCRO_ENGINE", given)
        with pytest.raises(ConfigurationError, match=f"SYNCRO_ENGINE: engine='{given}' must be"):
            AsyncClient(KEY)


@pytest.fixture
def without_httpx2(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    load_library.cache_clear()
    monkeypatch.setitem(sys.modules, "httpx2", None)
    yield
    load_library.cache_clear()


@pytest.mark.usefixtures("without_httpx2")
def test_one_that_is_not_installed_is_refused_with_the_way_to_it() -> None:
    with pytest.raises(ConfigurationError, match=r'pip install "syncro-async\[httpx2\]"'):
        AsyncClient(KEY, engine="httpx2")
    assert engine_of(AsyncClient(KEY)) == "httpx"


async def test_the_testing_kit_takes_it() -> None:
    async with sandbox_client(engine="httpx2", leads=3) as syncro:
        assert engine_of(syncro) == "httpx2"
        assert await syncro.leads.list().count() == 3


EACH = """
async def main():
    async with client_of(engine={engine!r}) as client:
        say((await client.leads.get(7)).id, "httpx2" in sys.modules)

asyncio.run(main())
"""
ALIASED = """
import httpx2

for name in list(sys.modules):
    if name.partition(".")[0] in {"httpx", "httpcore"}:
        del sys.modules[name]
httpx2.alias_httpx()
import httpx

async def main():
    for engine in (None, "httpx", "httpx2"):
        async with client_of(engine=engine, transport=httpx.AsyncHTTPTransport()) as client:
            say((await client.leads.get(7)).id)

asyncio.run(main())
"""


@pytest.mark.parametrize("engine", ["httpx", "httpx2"])
async def test_each_reaches_a_server_and_httpx2_is_imported_only_for_itself(engine: str) -> None:
    ended = await outcome_of(EACH.replace("{engine!r}", repr(engine)))
    assert ended == (0, f"7 {engine == 'httpx2'}\n", "")


async def test_an_alias_of_the_one_for_the_other_is_understood() -> None:
    assert await outcome_of(ALIASED) == (0, "7\n7\n7\n", "")

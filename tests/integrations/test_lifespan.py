"""One client per process: there while the application runs, for handlers, tests and two names."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from traceback import TracebackException
from typing import Annotated, Any, TypedDict

import pytest
from fastapi import Depends, FastAPI, Request
from starlette.applications import Starlette
from typing_extensions import TypeAliasType

from syncro_async import AsyncClient, ConfigurationError, lane
from syncro_async.integrations.fastapi import (
    StructResponse,
    SyncroDep,
    client_named,
    get_syncro,
    syncro_lifespan,
)
from syncro_async.sandbox import Sandbox
from syncro_async.testing import sandbox_client
from syncro_async.testing.fake_clock import FakeClock
from tests.integrations.serving_app import bound_to, caller_of, running

Syncro = Annotated[AsyncClient, SyncroDep]
# What `type Named = …` makes, from Python 3.12 on.
Named = TypeAliasType("Named", Annotated[AsyncClient, SyncroDep])
Other = Annotated[AsyncClient, Depends(client_named("other"))]


class Pool(TypedDict):
    pool: str


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sandbox(clock: FakeClock) -> Sandbox:
    return Sandbox(20, clock=clock)


@pytest.fixture
def options(sandbox: Sandbox, clock: FakeClock) -> dict[str, Any]:
    return bound_to(sandbox, clock)


def with_routes(app: FastAPI) -> FastAPI:
    @app.get("/count")
    async def count(syncro: Syncro) -> int:
        return await syncro.leads.list().count()

    @app.get("/lane")
    async def lanes(syncro: Syncro) -> list[str]:
        with lane("bulk"):
            await syncro.leads.get(1)
        return [repr(syncro)]

    return app


async def test_the_handlers_share_one_client_which_the_end_closes(options: dict[str, Any]) -> None:
    app = with_routes(FastAPI(lifespan=syncro_lifespan(**options)))
    async with running(app) as web:
        assert (await web.get("/count")).json() == 20
        client = app.state.syncro
    with pytest.raises(ConfigurationError, match="closed"):
        await client.leads.get(1)
    assert not hasattr(app.state, "syncro")


async def test_the_alias_may_be_one_that_the_type_statement_makes(options: dict[str, Any]) -> None:
    app = FastAPI(lifespan=syncro_lifespan(**options))

    @app.get("/same")
    async def same(syncro: Syncro, named: Named) -> bool:
        return syncro is named

    async with running(app) as web:
        assert (await web.get("/same")).json() is True


async def test_calls_of_handlers_go_before_bulk_work_unless_told_otherwise(
    options: dict[str, Any],
) -> None:
    app = with_routes(FastAPI(lifespan=syncro_lifespan(**options)))
    async with running(app) as web:
        assert "lane=interactive" in (await web.get("/lane")).text


async def test_nothing_is_made_before_the_application_starts(options: dict[str, Any]) -> None:
    made: list[AsyncClient] = []

    def make() -> AsyncClient:
        made.append(AsyncClient(**options))
        return made[-1]

    app = with_routes(FastAPI(lifespan=syncro_lifespan(make)))
    assert made == []
    for starts in (1, 2):  # each start has a client of its own, as each worker has
        async with running(app) as web:
            assert (await web.get("/count")).json() == 20
        assert len(made) == starts
    assert made[0] is not made[1]


async def test_the_applications_own_lifespan_runs_inside_and_its_state_is_passed_on(
    options: dict[str, Any],
) -> None:
    told: list[str] = []

    @asynccontextmanager
    async def own(app: Starlette) -> AsyncIterator[Pool]:
        told.append(f"begins with {(await app.state.syncro.leads.get(1)).id}")
        yield {"pool": "of connections"}
        told.append(f"ends with {(await app.state.syncro.leads.get(2)).id}")

    async with syncro_lifespan(inner=own, **options)(FastAPI()) as state:
        assert state["pool"] == "of connections"
        assert (await state["syncro"].leads.get(3)).id == 3
        assert told == ["begins with 1"]
    assert told == ["begins with 1", "ends with 2"]


async def test_a_server_gives_the_state_to_mounted_applications_too(
    options: dict[str, Any],
) -> None:
    @asynccontextmanager
    async def own(_: Starlette) -> AsyncIterator[Pool]:
        yield {"pool": "of connections"}

    app = FastAPI(lifespan=syncro_lifespan(inner=own, **options))
    inner = with_routes(FastAPI())

    @inner.get("/pool")
    async def pool(request: Request) -> str:
        found: str = request.state.pool
        return found

    app.mount("/inner", inner)
    async with running(app) as web:
        assert (await web.get("/inner/count")).json() == 20
        assert (await web.get("/inner/pool")).json() == "of connections"


async def test_an_inner_lifespan_that_yields_nothing_is_as_good(options: dict[str, Any]) -> None:
    @asynccontextmanager
    async def own(_: Starlette) -> AsyncIterator[None]:
        yield

    async with syncro_lifespan(inner=own, **options)(FastAPI()) as state:
        assert [*state] == ["syncro"]


async def test_two_clients_have_two_names(clock: FakeClock, options: dict[str, Any]) -> None:
    others = bound_to(Sandbox(7, clock=clock), clock, base_url="http://localhost:81/api/v1")
    second = syncro_lifespan(name="other", **others)
    app = with_routes(FastAPI(lifespan=syncro_lifespan(inner=second, **options)))

    @app.get("/counts")
    async def counts(syncro: Syncro, other: Other) -> list[int]:
        return [await client.leads.list().count() for client in (syncro, other)]

    async with running(app) as web:
        assert (await web.get("/counts")).json() == [20, 7]


async def test_two_clients_of_one_name_are_refused(options: dict[str, Any]) -> None:
    twice = syncro_lifespan(inner=syncro_lifespan(**options), **options)
    with pytest.raises(ConfigurationError, match=r"app\.state\.syncro exists already"):
        async with running(FastAPI(lifespan=twice)):
            pass


@pytest.mark.parametrize(
    ("name", "dependency", "advice"),
    [
        ("syncro", SyncroDep, "lifespan=syncro_lifespan()"),
        ("other", Depends(client_named("other")), "lifespan=syncro_lifespan(name='other')"),
    ],
)
async def test_without_the_lifespan_the_error_says_what_to_write(
    name: str, dependency: Any, advice: str
) -> None:
    app = FastAPI()

    @app.get("/", dependencies=[dependency])
    async def read() -> None: ...

    with pytest.raises(ConfigurationError) as caught:
        async with caller_of(app, raising=True) as web:
            await web.get("/")
    assert f"no client {name!r}" in str(caught.value)
    assert advice in str(caught.value)


async def test_a_test_hands_the_handlers_a_client_of_the_sandbox() -> None:
    app = with_routes(FastAPI(lifespan=syncro_lifespan()))
    async with sandbox_client(leads=3) as syncro:
        app.dependency_overrides[get_syncro] = lambda: syncro
        async with caller_of(app) as web:  # the lifespan, which would want a key, does not run
            assert (await web.get("/count")).json() == 3


def test_the_dependency_of_a_name_can_be_named_again_to_be_overridden() -> None:
    assert client_named("other") is client_named("other")
    assert client_named("syncro") is get_syncro


def test_an_option_that_no_client_has_is_refused_where_it_stands() -> None:
    with pytest.raises(TypeError, match="max_weight"):
        syncro_lifespan(max_weight=5)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="max_wait"):
        syncro_lifespan(AsyncClient, max_wait=5)  # type: ignore[call-overload]


async def test_where_a_server_hands_on_no_state_the_application_has_it(
    options: dict[str, Any],
) -> None:
    app = with_routes(FastAPI(lifespan=syncro_lifespan(**options)))
    async with app.router.lifespan_context(app), caller_of(app) as web:
        assert (await web.get("/count")).json() == 20


async def test_a_setting_that_cannot_work_stops_the_start_and_shows_no_key() -> None:
    app = FastAPI(lifespan=syncro_lifespan(api_key="crm_kept_inside", max_wait=-1))
    with pytest.raises(ConfigurationError, match="max_wait") as caught:
        async with running(app):
            pass
    frames = TracebackException.from_exception(caught.value, capture_locals=True)
    assert "crm_kept_inside" not in "".join(frames.format())


async def test_what_the_package_returns_can_be_answered(options: dict[str, Any]) -> None:
    app = FastAPI(lifespan=syncro_lifespan(**options))

    @app.get("/lead")
    async def read(syncro: Syncro) -> StructResponse:
        return StructResponse(await syncro.leads.get(1, include=["owner"]), status_code=203)

    async with running(app) as web:
        answer = await web.get("/lead")
    assert (answer.status_code, answer.headers["content-type"]) == (203, "application/json")
    lead = answer.json()
    assert (lead["id"], "tasks" in lead) == (1, False)
    assert lead["owner"]["name"]


def test_without_the_extra_it_says_what_to_install() -> None:
    program = "import sys; sys.modules['fastapi'] = None; import syncro_async.integrations.fastapi"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert 'pip install "syncro-async[fastapi]"' in done.stderr

"""Pipelines, custom fields and users are asked for once in a while, and not by every look-up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from syncro_async import AsyncClient
from syncro_async.dialects import ROUTEMCP
from syncro_async.errors import ServerError
from syncro_async.testing.fake_clock import FakeClock
from tests.transport.scripted_app import Answer, App, at_once, client_of


def pipelines(*stages: str) -> Answer:
    named = [{"id": n, "name": name} for n, name in enumerate(stages, 1)]
    return Answer(body={"pipelines": [{"id": 1, "name": "Vendas", "stages": named}]})


LISTED = Answer(body={"data": [{"id": 1, "name": "A"}]})
CALLS: dict[str, tuple[Callable[..., Any], Answer]] = {
    "pipelines.list": (lambda c, **o: c.pipelines.list(**o), pipelines("Novo")),
    "pipelines.find": (lambda c, **o: c.pipelines.find("Vendas", **o), pipelines("Novo")),
    "pipelines.stage": (lambda c, **o: c.pipelines.stage("Vendas", "Novo", **o), pipelines("Novo")),
    "custom_fields.list": (lambda c, **o: c.custom_fields.list(**o), LISTED),
    "users.list": (lambda c, **o: c.users.list(**o), LISTED),
}


@pytest.mark.parametrize("name", CALLS)
class TestEveryLookUp:
    async def test_of_a_hundred_at_once_sends_one_request(self, name: str) -> None:
        call, answer = CALLS[name]
        app = App(answer)
        async with client_of(app) as client:
            found = await asyncio.gather(*(call(client) for _ in range(100)))
            assert await call(client.with_options(lane="bulk")) == found[0]
        assert found == [found[0]] * 100
        assert len(app.asked) == 1

    async def test_asks_again_after_a_minute_and_when_told_to(self, name: str) -> None:
        call, answer = CALLS[name]
        app = App(answer)
        async with client_of(app) as client:
            await call(client)
            await app.clock.sleep(59.9)
            await call(client)
            assert len(app.asked) == 1
            await app.clock.sleep(0.1)
            await call(client)
            assert len(app.asked) == 2
            await asyncio.gather(*(call(client, refresh=True) for _ in range(9)))
            assert len(app.asked) == 3
            await call(client)
        assert len(app.asked) == 3

    async def test_with_a_raw_response_has_an_answer_of_its_own(self, name: str) -> None:
        call, answer = CALLS[name]
        app = App(answer)
        async with client_of(app) as client:
            kept = await call(client)
            raw = await call(client.with_raw_response)
        assert (raw.parsed, raw.content) == (kept, answer.content)
        assert len(app.asked) == 2

    async def test_after_a_failure_asks_again(self, name: str) -> None:
        call, answer = CALLS[name]
        app = App(Answer(500), answer)
        async with client_of(app, retry=at_once(1)) as client:
            with pytest.raises(ServerError):
                await call(client)
            await call(client)
        assert len(app.asked) == 2

    async def test_survives_the_cancellation_of_the_one_that_asks(self, name: str) -> None:
        call, answer = CALLS[name]
        gate = asyncio.Event()

        async def slow(_: Any) -> Answer:
            await gate.wait()
            return answer

        app = App(slow)
        async with client_of(app) as client:
            tasks = [asyncio.ensure_future(call(client)) for _ in range(3)]
            await app.arrived()
            tasks[0].cancel()
            gate.set()
            first, *others = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(first, asyncio.CancelledError)
        assert others[0] == others[1]
        assert len(app.asked) == 2


async def test_a_name_that_is_new_is_found() -> None:
    app = App(pipelines("Novo"), pipelines("Novo", "Proposta"))
    async with client_of(app) as client:
        await client.pipelines.stage("Vendas", "Novo")
        assert (await client.pipelines.stage("Vendas", "Proposta")).id == 2
        assert len(app.asked) == 2
        with pytest.raises(LookupError, match="Nada"):
            await client.pipelines.stage("Vendas", "Nada")
    assert len(app.asked) == 3


async def test_what_a_program_does_to_a_list_changes_no_other() -> None:
    async with client_of(App(LISTED)) as client:
        (await client.users.list()).clear()
        assert len(await client.users.list()) == 1
    async with client_of(App(pipelines("Novo"))) as client:
        (await client.pipelines.list()).pipelines.clear()
        assert (await client.pipelines.find("Vendas")).id == 1


async def test_fields_in_use_are_another_list() -> None:
    app = App(LISTED)
    async with client_of(app) as client:
        await client.custom_fields.list()
        await client.custom_fields.list(active_only=True)
        await client.custom_fields.list(active_only=True)
    assert [asked.query for asked in app.asked] == [{}, {"active_only": "1"}]


def test_another_end_user_has_other_names() -> None:
    client = AsyncClient("key", dialect=ROUTEMCP, clock=FakeClock())
    view = client.with_options(dialect=ROUTEMCP.with_options(end_user_id="ana"))
    assert view._names is not client._names
    assert client.with_options(lane="bulk")._names is client._names


def test_it_works_in_two_event_loops() -> None:
    app = App(LISTED)

    async def use(client: AsyncClient) -> None:
        await client.users.list(refresh=True)

    async def both() -> None:
        async with client_of(app) as client:
            await use(client)
            await asyncio.to_thread(asyncio.run, use(client))

    asyncio.run(both())
    assert len(app.asked) == 2

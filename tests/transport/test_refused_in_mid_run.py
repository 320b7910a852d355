"""A key that is refused in the middle of a list: it stops at once, and what was read stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from syncro_async import AsyncClient
from syncro_async.dialects import SYNCRO
from syncro_async.errors import APIError, AuthenticationError, PermissionDeniedError
from syncro_async.models.lead import Lead
from tests.transport.scripted_app import KEY, Answer, App, client_of, page_of

REFUSALS: dict[str, tuple[Answer, type[APIError], str]] = {
    "401": (
        Answer(401, {"message": f"API Key inválida. ({KEY})"}),
        AuthenticationError,
        r"GET /leads → 401: API Key inválida\. \(\*\*\*\)",
    ),
    "403": (
        Answer(403, {"message": "Sem permissão.", "required_permission": "leads:read"}),
        PermissionDeniedError,
        r"GET /leads → 403: Sem permissão\.",
    ),
}


def page(number: int) -> Answer:
    leads = [{"id": 10 * number + place} for place in range(2)]
    return Answer(body=page_of(leads, number=number, last=9, total=18))


async def keep(leads: AsyncIterable[Lead], read: list[int]) -> None:
    async for lead in leads:
        read += [lead.id]


async def one_by_one(client: AsyncClient, read: list[int]) -> None:
    await keep(client.leads.list(page_size=2), read)


async def page_by_page(client: AsyncClient, read: list[int]) -> None:
    async for one in client.leads.list(page_size=2).pages():
        read += [lead.id for lead in one.items]


async def ahead(client: AsyncClient, read: list[int]) -> None:
    async with client.leads.list(page_size=2).prefetch(pages=1) as leads:
        await keep(leads, read)


WAYS = (one_by_one, page_by_page, ahead)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_nothing_more_is_sent_and_what_was_read_is_there(
    way: Callable[[AsyncClient, list[int]], Awaitable[None]], refusal: str
) -> None:
    answer, kind, words = REFUSALS[refusal]
    app, read = App(page(1), page(2), answer), list[int]()
    async with client_of(app) as client:
        with pytest.raises(kind, match=words) as caught:
            await way(client, read)
        await asyncio.sleep(0)
        assert read == [10, 11, 20, 21]
        assert [asked.query["page"] for asked in app.asked] == ["1", "2", "3"]
        assert caught.value.attempts == 1
        # The server does not count what it refuses for the key.
        assert client.budget().available == 58
        assert client.budget().in_flight == 0


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_service_that_counts_it_has_it_counted(refusal: str) -> None:
    answer, kind, _ = REFUSALS[refusal]
    dialect = replace(SYNCRO, uncounted_statuses=frozenset())
    app, read = App(page(1), answer), list[int]()
    async with client_of(app, dialect=dialect) as client:
        with pytest.raises(kind):
            await one_by_one(client, read)
        assert client.budget().available == 58
    assert read == [10, 11]


async def test_once_the_key_is_mended_the_list_can_go_on_from_its_page() -> None:
    last: dict[str, Any] = {"number": 3, "last": 3, "total": 5}
    app = App(page(1), page(2), REFUSALS["401"][0], Answer(body=page_of([{"id": 30}], **last)))
    async with client_of(app) as client:
        read: list[int] = []
        with pytest.raises(AuthenticationError):
            await one_by_one(client, read)
        await keep(client.leads.list(page_size=2, start_page=3), read)
    assert read == [10, 11, 20, 21, 30]

"""Rows of different people that have one email or one phone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from syncro_async import AsyncClient, BadRowsError
from syncro_async.testing import sandbox_client

HOME = {"pipeline_id": 1, "stage_id": 4}


@pytest.fixture
async def syncro() -> AsyncIterator[AsyncClient]:
    async with sandbox_client(leads=0) as client:
        yield client


def row(name: str | None, phone: str | None = None, email: str | None = None) -> dict[str, Any]:
    return {"name": name, "phone": phone, "email": email}


PHONE, EMAIL = "+551133334444", "contato@exemplo.com"


@pytest.mark.parametrize(
    ("rows", "lines", "says"),
    [
        (
            [row("Ana Souza", PHONE), row("Bruno Lima", "+55 (11) 3333-4444")],
            [1, 2],
            "has the phone of line 2, and another name",
        ),
        (
            [row("Ana", None, EMAIL), row("Bia", None, EMAIL), row("Caio", None, EMAIL)],
            [1, 2, 3],
            "has the email of line 2, and another name",
        ),
        (
            [row(None, PHONE, "a@b.c"), row(None, PHONE, "b@b.c"), row("Ana", PHONE, "c@b.c")],
            [1, 2, 3],
            "has the phone of line 2, and another email",
        ),
        (
            [row("Ana", PHONE, EMAIL), row("Bia", PHONE, EMAIL), row("Ana", PHONE, EMAIL)],
            [1, 1, 2, 2],
            "has the email of line 2, and another name",
        ),
    ],
)
async def test_all_of_them_are_refused_with_their_lines(
    syncro: AsyncClient, rows: list[Any], lines: list[int], says: str
) -> None:
    with pytest.raises(BadRowsError) as caught:
        await syncro.bulk.upsert_leads(rows, defaults=HOME)
    problems = caught.value.problems
    assert ([problem.line for problem in problems], problems[0].reason) == (lines, says)
    assert "match_by=" in str(caught.value)


@pytest.mark.parametrize(
    "rows",
    [
        [row("Ana", PHONE), row("ANA Prado", PHONE), row(None, PHONE)],
        [row("Conceição", None, EMAIL), row("conceicao  prado", None, EMAIL)],
        [row("Ana Prado", None, EMAIL), row("Prado, Ana", None, EMAIL)],
    ],
)
async def test_one_person_may_have_several_rows(syncro: AsyncClient, rows: list[Any]) -> None:
    assert (await syncro.bulk.upsert_leads(rows, defaults=HOME)).created == 1


async def test_where_the_phone_is_no_key_it_may_be_shared(syncro: AsyncClient) -> None:
    rows = [row("Ana", PHONE, "a@b.c"), row("Bia", PHONE, "b@b.c")]
    summary = await syncro.bulk.upsert_leads(rows, defaults=HOME, match_by="email")
    assert summary.created == 2

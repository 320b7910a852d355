"""The workers of an application on one machine share the budget of its key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from syncro_async import AsyncClient
from syncro_async.integrations.fastapi import syncro_lifespan
from syncro_async.sandbox import FULL_KEY, Sandbox, serving


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(Sandbox(3)) as url:
        yield url


async def files_after_a_call(state_folder: Path, lifespan: Any) -> int:
    app = FastAPI(lifespan=lifespan)
    async with lifespan(app):
        await app.state.syncro.leads.get(1)
    return files_in(state_folder)


def files_in(folder: Path) -> int:
    return len(list(folder.rglob("*.db")))


async def test_the_client_of_a_lifespan_uses_the_budget_of_the_machine(
    url: str, state_folder: Path
) -> None:
    lifespan = syncro_lifespan(api_key=FULL_KEY, base_url=url)
    assert await files_after_a_call(state_folder, lifespan) == 1
    async with AsyncClient(FULL_KEY, base_url=url, limiter="host") as beside:
        assert (await beside.refresh_budget()).used == 1


@pytest.mark.parametrize("by_option", [True, False])
async def test_another_limiter_can_be_chosen(
    url: str, state_folder: Path, monkeypatch: pytest.MonkeyPatch, *, by_option: bool
) -> None:
    options: dict[str, Any] = {"limiter": "memory://"} if by_option else {}
    if not by_option:
        monkeypatch.setenv("SYNCRO_LIMITER", "memory://")
    lifespan = syncro_lifespan(api_key=FULL_KEY, base_url=url, **options)
    assert await files_after_a_call(state_folder, lifespan) == 0


async def test_a_client_that_is_made_by_a_function_keeps_its_own_default(
    url: str, state_folder: Path
) -> None:
    lifespan = syncro_lifespan(lambda: AsyncClient(FULL_KEY, base_url=url))
    assert await files_after_a_call(state_folder, lifespan) == 0

"""All commands of a user on one machine share the budget of a key."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from syncro_async import AsyncClient
from syncro_async.sandbox import Sandbox
from tests.cli.run_cli import Run, Serve


def used_on_this_machine() -> int:
    async def ask() -> int:
        async with AsyncClient(limiter="host") as syncro:
            return (await syncro.refresh_budget()).used

    return asyncio.run(ask())


def test_a_command_counts_its_calls_for_the_next_one(
    run: Run, serve: Serve, state_folder: Path
) -> None:
    serve(Sandbox(leads=1))
    assert run("leads", "export", "-").code == 0
    assert used_on_this_machine() == 1
    assert run("leads", "export", "-").code == 0
    assert used_on_this_machine() == 2
    assert len(list((state_folder / "syncro_async").glob("*.db"))) == 1


@pytest.mark.parametrize("by_option", [True, False])
def test_another_limiter_can_be_chosen(
    run: Run, serve: Serve, state_folder: Path, monkeypatch: pytest.MonkeyPatch, *, by_option: bool
) -> None:
    serve(Sandbox(leads=1))
    words = ("--limiter", "memory://") if by_option else ()
    if not by_option:
        monkeypatch.setenv("SYNCRO_LIMITER", "memory://")
    assert run("leads", "export", "-", *words).code == 0
    assert not state_folder.exists()


def test_the_doctor_warns_of_a_budget_that_is_not_shared(run: Run, serve: Serve) -> None:
    serve(Sandbox(leads=1))
    out = run("doctor", "--limiter", "memory://").out
    assert "memory:// is given: each program counts alone" in out
    assert "give all of them the same SYNCRO_LIMITER" in out

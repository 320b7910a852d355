"""Every fault, with every kind of call: what the caller sees, what the server, what the budget."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from syncro_async import AsyncClient, Budget
from syncro_async.errors import SyncroError
from syncro_async.events import Event, RequestSent
from tests.transport.faults import ATTEMPTS, KINDS, MATRIX, Again, Fault, Fine, Kind, Once, page
from tests.transport.scripted_app import AFTER_ITS_ANSWER, AFTER_ITS_LOSS, ONE, at_once

ANA: dict[str, Any] = {"name": "Ana", "email": "ana@example.com", "pipeline_id": 1, "stage_id": 4}
CALLS: dict[Kind, Callable[[AsyncClient], Awaitable[object]]] = {
    "read": lambda client: client.leads.get(7),
    "repeatable write": lambda client: client.leads.upsert(**ANA),
    "other write": lambda client: client.leads.create(**ANA),
}
STAYING = [
    name
    for name, fault in MATRIX.items()
    if any(isinstance(verdict, Again) for verdict in fault.verdicts.values())
]
HOW = "print it anew: python -m tests.transport.faults > docs/faults.md"
PAGE = Path(__file__).parents[2] / "docs" / "faults.md"


@dataclass
class Ran:
    """What became of one call."""

    error: SyncroError | None
    sends: int
    asked: int
    created: int
    budget: Budget
    took: float


async def run(fault: Fault, kind: Kind, *, persists: bool, **options: Any) -> Ran:
    """Make the call where the fault is, and close the client."""
    events: list[Event] = []
    async with fault.stage(persists) as place:
        began = place.clock.monotonic()
        async with AsyncClient(
            place.key,
            base_url=place.base_url,
            observers=[events.append],
            **{"clock": place.clock, "retry": at_once(ATTEMPTS), **place.options, **options},
        ) as client:
            error = None
            try:
                await CALLS[kind](client)
            except SyncroError as raised:
                error = raised
            budget = client.budget()
        await place.left()
        took = place.clock.monotonic() - began
        asked, created = place.asked(), place.created()
    sends = sum(isinstance(event, RequestSent) for event in events)
    return Ran(error, sends, asked, created, budget, took)


def open_sockets() -> set[int]:
    """The descriptors of this process that are sockets."""
    found = set()
    for descriptor in range(256):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                found.add(descriptor)
        except OSError:
            continue
    return found


def threads() -> set[threading.Thread]:
    """All that run but those in which the event loop itself looks names up."""
    return {each for each in threading.enumerate() if not each.name.startswith("asyncio_")}


@pytest.fixture(autouse=True)
async def _nothing_is_left_behind() -> Any:
    sockets, running, tasks = open_sockets(), threads(), asyncio.all_tasks()
    yield
    for _ in range(3):  # transports close their sockets in the next turn
        await asyncio.sleep(0)
    me = asyncio.current_task()
    assert {task for task in asyncio.all_tasks() - tasks if task is not me} == set()
    assert threads() <= running
    assert open_sockets() <= sockets


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MATRIX)
async def test_a_fault_that_passes(name: str, kind: Kind) -> None:
    fault = MATRIX[name]
    verdict = fault.verdicts[kind]
    ran = await run(fault, kind, persists=not fault.recovers)
    assert ran.created <= 1
    match verdict:
        case Once(error):
            assert type(ran.error) is error
            assert (ran.sends, ran.asked) == (1, int(fault.asks))
        case Fine():
            assert ran.error is None
            assert (ran.sends, ran.asked) == (1, 1)
        case Again(wait=wait) if fault.recovers:
            assert ran.error is None
            assert (ran.sends, ran.asked) == (2, 1 + fault.asks)
            assert not wait or ran.took == wait
        case Again(error):
            assert type(ran.error) is error


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", [n for n in MATRIX if Again in map(type, MATRIX[n].verdicts.values())]
)
async def test_a_fault_that_stays(name: str, kind: Kind) -> None:
    fault = MATRIX[name]
    ran = await run(fault, kind, persists=True)
    assert ran.created <= 1
    assert ran.asked == ran.sends * fault.asks
    assert ran.error is not None
    assert ran.error.attempts == ran.sends
    match fault.verdicts[kind]:
        case Again(error, wait, None):
            assert type(ran.error) is error
            # As often as the pauses fit into the five minutes there are.
            assert ran.took <= 300.0 < ran.took + wait
        case Again(error, attempts=sends):
            assert (type(ran.error), ran.sends) == (error, sends)
        case Once(error):
            assert (type(ran.error), ran.sends) == (error, 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MATRIX)
async def test_the_slot_it_took(name: str, kind: Kind) -> None:
    fault = MATRIX[name]
    once = {"rate_limit": ONE, "retry": at_once(1), "max_wait": 0.0}
    ran = await run(fault, kind, persists=True, **once)
    budget = ran.budget
    assert (ran.sends, budget.in_flight, budget.waiting) == (1, 0, 0)
    if fault.slot == "back":
        assert budget.next_free_in == budget.gate_closed_for
    elif fault.slot == "answer":
        assert budget.next_free_in == AFTER_ITS_ANSWER
    else:
        assert budget.next_free_in == AFTER_ITS_LOSS


def test_the_page_of_the_documentation_is_this_matrix() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "python -m tests.transport.faults > docs/faults.md"
    )

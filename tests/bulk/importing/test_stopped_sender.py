"""A row whose call would be tried again when the import has stopped meanwhile."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from syncro_async.bulk.importing.failures import action_for
from syncro_async.bulk.importing.sender import Sender
from syncro_async.errors import BudgetWaitError, SyncroError


async def test_it_stays_pending_and_is_not_sent_again() -> None:
    error = BudgetWaitError("the call's turn is 90.0 s away", wait_needed=90.0)
    assert action_for(error) == "retry"
    calls = 0

    async def call() -> None:
        nonlocal calls
        calls += 1
        raise cast("SyncroError", error)

    stopped: Any = SimpleNamespace(_queue=SimpleNamespace(stopped=True), _outage=None)
    row: Any = SimpleNamespace(idx=3)
    ended: Any = await Sender._try(stopped, row, call)
    assert (ended.outcome.idx, ended.outcome.state, calls) == (3, "pending", 1)

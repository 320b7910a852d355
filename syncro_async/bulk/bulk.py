"""The bulk jobs as programs meet them: `client.bulk`."""

from __future__ import annotations

from typing import TypeVar

from syncro_async.bulk.ground import Ground, Job
from syncro_async.bulk.plan import (
    USUAL_LATENCY,
    Plan,
    ahead_of,
    checked_requests,
    plan_of,
    seconds_for,
)
from syncro_async.bulk.progress import OnProgress
from syncro_async.bulk.runner import Function, Items, Mapping

T = TypeVar("T")
R = TypeVar("R")


class Bulk:
    """Jobs of many calls, `client.bulk`.

    Their calls stand in the bulk lane, where interactive calls on the same key go first, and wait
    there as long as it takes: `max_wait` does not apply to them. `client.with_options(lane=…).bulk`
    is the way to another lane.
    """

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def map(
        self,
        function: Function[T, R],
        items: Items[T],
        *,
        concurrency: int = 20,
        ordered: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Mapping[T, R]:
        """Await `function(item)` for every item, `concurrency` of them at once.

            async with syncro.bulk.map(syncro.leads.get, ids) as outcomes:
                async for outcome in outcomes:
                    match outcome:
                        case Succeeded(item=id, value=lead): print(id, lead.name)
                        case Failed(item=id, error=error): print(id, error)

        `items` may be any iterable, sync or async, of any length: at most 2 × `concurrency` of
        them are taken and not yet read as outcomes. Outcomes come as they finish, or in the items'
        order with `ordered`. An exception of one item is that item's `Failed`; one of the items
        themselves is raised once what was begun has been handed out. Leaving the block cancels
        what runs and waits for it.

        Calls that the function makes with this client stand in the job's lane, unless they go
        through a view whose lane was chosen with `with_options(lane=…)`.

        Raises `ValueError` for a `concurrency` below 1.
        """
        return Mapping(
            Job.on(self._ground),
            function,
            items,
            concurrency=concurrency,
            ordered=ordered,
            on_progress=on_progress,
        )

    def plan(self, requests: int) -> Plan:
        """Say how long that many requests would take from now, and when they would be done.

        Nothing is sent. It counts with the budget as it is now, everything that already waits in
        the queue, and the latency measured so far. Raises `ValueError` for a negative number.
        """
        ground = self._ground
        budget = ground.budget()
        seconds = seconds_for(
            checked_requests(requests),
            ground.rates,
            ground.tally.mean_latency or USUAL_LATENCY,
            budget,
            ahead=ahead_of(ground.lane, budget),
        )
        return plan_of(requests, seconds, ground.clock.wall())

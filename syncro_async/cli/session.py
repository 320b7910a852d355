"""How a job of the command goes to the server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from syncro_async import AsyncClient, Bulk, Lane
from syncro_async.cli.exits import say
from syncro_async.events import Event, GateClosed


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the server is, in which lane the calls go, and where the budget is kept."""

    base_url: str | None
    lane: Lane | None
    limiter: str | None

    @asynccontextmanager
    async def bulk(self) -> AsyncIterator[Bulk]:
        """The jobs of a client that is closed at the end of the block."""
        async with AsyncClient(
            base_url=self.base_url, limiter=self.limiter, observers=(print_pauses,)
        ) as client:
            view = client if self.lane is None else client.with_options(lane=self.lane)
            yield view.bulk


def print_pauses(event: Event) -> None:
    """Say why nothing moves when somebody else has used the budget up."""
    if isinstance(event, GateClosed):
        say(f"syncro: the server answered 429, going on in {event.seconds:.0f} s")

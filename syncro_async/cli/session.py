"""The connection of a command to the server."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from syncro_async import AsyncClient, Bulk, Lane
from syncro_async.cli.exits import say
from syncro_async.cli.output import show_waits
from syncro_async.events import Event, GateClosed

# Two runs within a minute, or a run beside a notebook, would draw 429s if each counted alone.
_DEFAULT_LIMITER = "host"
IN_MEMORY = "memory://"


def limiter_url(given: str | None) -> str:
    """The limiter of the option, of SYNCRO_LIMITER, or the one of this machine."""
    return given or os.environ.get("SYNCRO_LIMITER") or _DEFAULT_LIMITER


@dataclass(frozen=True, slots=True)
class Connection:
    """The address of the API, the lane of the calls, and the URL of the limiter."""

    base_url: str | None
    lane: Lane | None
    limiter: str | None

    @asynccontextmanager
    async def bulk(self) -> AsyncIterator[Bulk]:
        """The bulk jobs of a client; the end of the block closes the client."""
        async with AsyncClient(
            base_url=self.base_url, limiter=limiter_url(self.limiter), observers=(print_pauses,)
        ) as client:
            view = client if self.lane is None else client.with_options(lane=self.lane)
            async with show_waits(client):
                yield view.bulk


def print_pauses(event: Event) -> None:
    """Print the reason for a pause after a 429."""
    if isinstance(event, GateClosed) and not event.again:
        say(f"syncro: the server answered 429, the next call is in {event.seconds:.0f} s")

"""`syncro leads export`: a lead list, filtered, in a file or on standard output."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from syncro_async import AsyncClient
from syncro_async.cli.endings import DONE, CommandFailedError, WrongUsageError, in_one_line, say
from syncro_async.cli.exporting import STDOUT, Destination, Export, destination, drain, opened
from syncro_async.cli.progress import bar
from syncro_async.events import Event, GateClosed

_AHEAD = 4


@dataclass(frozen=True, slots=True)
class Order:
    """What to export, and where to. `filters` are arguments of `leads.list`, as far as given."""

    file: str
    format_name: str | None
    base_url: str | None
    filters: Mapping[str, Any]


def export_leads(order: Order) -> int:
    """Carry out the order and say on stderr how many leads were written.

    Raises `CommandFailedError` when leads are missing: because they could not be read, or because
    the server showed fewer than it counts. What did come is written all the same.
    """
    to = destination(order.file, order.format_name)
    return _conclude(asyncio.run(_export(order, to)), to)


def _conclude(export: Export, to: Destination) -> int:
    say(f"{export.written} leads written to {'standard output' if to.path is None else to.path}")
    if export.seen < export.expected:
        raise CommandFailedError(
            f"the server counts {export.expected} leads and showed {export.seen}: "
            "the list changed while it was read; export again"
        )
    if export.unreadable:
        kept = (
            f"their JSON is in {to.beside}" if to.beside else "export to a file to keep their JSON"
        )
        raise CommandFailedError(
            f"{export.unreadable} more could not be read, {kept}; "
            f"the first: {in_one_line(export.first_reason)}"
        )
    return DONE


async def _export(order: Order, to: Destination) -> Export:
    filters = {name: value for name, value in order.filters.items() if value not in (None, [])}
    async with AsyncClient(
        base_url=order.base_url, lane="bulk", observers=(tell_pauses,)
    ) as client:
        try:
            leads = client.leads.list(**filters)
        except ValueError as error:
            raise WrongUsageError(str(error)) from error
        with opened(to) as export, bar("leads", shown=_watched(order.file)) as shown:
            await drain(
                leads, export, shown, client.budget, ahead=_AHEAD, at_most=filters.get("max_items")
            )
    return export


def _watched(file: str) -> bool:
    """Whether a bar would be seen, and seen alone."""
    return sys.stderr.isatty() and not (file == STDOUT and sys.stdout.isatty())


def tell_pauses(event: Event) -> None:
    """Say why nothing moves when somebody else has used the budget up."""
    if isinstance(event, GateClosed):
        say(f"syncro: the server answered 429, going on in {event.seconds:.0f} s")

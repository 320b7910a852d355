"""The sandbox as programs and tests meet it: a Syncro account in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from syncro_async.clock import Clock, SystemClock
from syncro_async.sandbox.access import KEYS
from syncro_async.sandbox.app import Api, Arrival
from syncro_async.sandbox.store import Order, Store
from syncro_async.sandbox.trouble import Script, Trouble
from syncro_async.sandbox.window import WindowKind, make_window
from syncro_async.sandbox.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp

    from syncro_async.sandbox.record import LeadRecord


class Sandbox:
    """An account with `leads` sample leads (ids from 1) and the whole API on top of it.

    - `minute`: the length in seconds of the rate limit's window, `per_minute` what fits into it.
    - `window`: `"fixed"` (opened by the first counted request, as the API has it), `"aligned"` to
      whole multiples of `minute`, or `"sliding"`.
    - `clock`: decides the windows, the delays and every date; the machine's own unless given.
    - `php_quirks`: `[]` for an empty map, numeric strings, microseconds, few fields in the answers
      for one lead, fields no document names.
    - `max_leads`: the plan's limit. `seed`: other sample leads.
    - `hazards`: trouble that may come at any time (its `times` do not count): a share of the
      requests, `hazard_share` (0.05 is one in twenty), meets one of those that match it.
    - `order` of the list, which no document promises: `"oldest_first"`, `"newest_first"` or
      `"last_changed_first"`.

    Raises `ValueError` for a number, a window or an order that cannot be.
    """

    def __init__(
        self,
        leads: int = 100,
        *,
        minute: float = 60.0,
        per_minute: int = 60,
        clock: Clock | None = None,
        window: WindowKind = "fixed",
        php_quirks: bool = False,
        max_leads: int | None = None,
        seed: int = 1,
        hazards: Sequence[Trouble] = (),
        hazard_share: float = 0.0,
        order: Order = "oldest_first",
    ) -> None:
        if leads < 0:
            raise ValueError(f"leads={leads} cannot be fewer than none")
        if order not in get_args(Order):
            raise ValueError(f"order={order!r} must be one of {', '.join(get_args(Order))}")
        self._store = Store(leads, seed, order)
        windows = {key.name: make_window(window, per_minute, minute) for key in KEYS.values()}
        script = Script(hazards, hazard_share=hazard_share, seed=seed)
        wire = Wire(php_quirks)
        time = clock or SystemClock()
        self._api = Api(self._store, wire, time, windows, max_leads=max_leads, script=script)

    @property
    def app(self) -> ASGIApp:
        """The ASGI application; the API stands under `/api/v1`."""
        return self._api.app

    @property
    def arrivals(self) -> list[Arrival]:
        """Every request, in the order of arrival."""
        return self._api.arrivals

    @property
    def refused(self) -> int:
        """How many 429s were answered."""
        return self._api.refused

    @property
    def overdrawn(self) -> int:
        """How many of them because the rate limit's window was full, and not by script."""
        return self._api.overdrawn

    @property
    def leads(self) -> dict[int, LeadRecord]:
        """The leads by id; set a field with `sandbox.leads[7]["name"] = "Ana"`."""
        return self._store.leads

    @property
    def writes(self) -> list[tuple[str, str]]:
        """Method and path of every write that was carried out, answered or not."""
        return self._api.writes

    def script(self, trouble: Trouble) -> None:
        """Queue trouble for the next requests that match it."""
        self._api.script.add(trouble)

    def complete_tasks(self, lead_id: int) -> None:
        """Do the mandatory tasks that hold a lead in its stage, as its owner would."""
        self._api.complete_tasks(lead_id)

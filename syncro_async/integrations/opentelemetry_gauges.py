"""OpenTelemetry's gauges: the budgets of the clients of a process, and its imports in doubt.

Each meter provider has one set of gauges, because two with the same name would be two series.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary, ref

from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation

from syncro_async.limiting.protocol import Budget, Limiter

Attributes = dict[str, str | int | float]


class WatchedPipeline(Protocol):
    """What the gauges read of a client."""

    @property
    def limiter(self) -> Limiter:
        """The limiter of its key."""

    @property
    def is_closed(self) -> bool:
        """Whether the client was closed."""


def server_of(base_url: str) -> Attributes:
    """The attributes of the server, as the semantic conventions name them.

    `base_url`: the base URL of a client.
    """
    parts = urlsplit(base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"server.address": str(parts.hostname), "server.port": port}


_lock = threading.Lock()
_by_provider: WeakKeyDictionary[MeterProvider, Gauges] = WeakKeyDictionary()


def gauges_of(provider: MeterProvider, meter: Meter) -> Gauges:
    """The gauges of a meter provider, created on the first call.

    `provider`: whose gauges. `meter`: a meter of it that creates them.
    """
    with _lock:
        found = _by_provider.get(provider)
        if found is None:
            found = _by_provider[provider] = Gauges(meter)
        return found


class Gauges:
    """Reads the clients when the SDK collects, which it does in a thread of its own."""

    def __init__(self, meter: Meter) -> None:
        self._lock = threading.Lock()
        self._watched: list[tuple[str, ref[WatchedPipeline]]] = []
        self._in_doubt: dict[tuple[str, str], int] = {}
        gauges: list[tuple[str, str, str, Callable[[CallbackOptions], Iterable[Observation]]]] = [
            ("budget.available", "{request}", "Requests that can be sent now.", self._available),
            ("queue.waiting", "{request}", "Calls in the queue for budget.", self._waiting),
            ("pause.remaining", "s", "The rest of the pause after a 429.", self._paused),
            (
                "import.in_doubt",
                "{row}",
                "Rows of imports whose answers were lost and whose outcome is not known.",
                self._doubts,
            ),
        ]
        for name, unit, description, callback in gauges:
            meter.create_observable_gauge(
                f"syncro_async.{name}", [callback], unit=unit, description=description
            )

    def watch(self, base_url: str, pipeline: WatchedPipeline) -> None:
        """Show the state of a client from now on, until it is closed or collected."""
        with self._lock:
            self._watched.append((base_url, ref(pipeline)))

    def set_in_doubt(self, base_url: str, journal: str, rows: int) -> None:
        """Show so many rows of an import as in doubt."""
        with self._lock:
            self._in_doubt[base_url, journal] = rows

    def _budgets(self) -> Iterator[tuple[Attributes, list[Budget]]]:
        """The budgets at each server; clients of one key in this process share one."""
        servers: dict[str, dict[int, Limiter]] = defaultdict(dict)
        with self._lock:
            watched, self._watched = self._watched, []
            for url, found in watched:
                pipeline = found()
                if pipeline is not None and not pipeline.is_closed:
                    self._watched.append((url, found))
                    limiter = pipeline.limiter
                    servers[url][id(limiter)] = limiter
        for url, limiters in servers.items():
            known: list[object] = [limiter.budget() for limiter in limiters.values()]
            # A limiter of the user's own may give something else.
            budgets = [budget for budget in known if isinstance(budget, Budget)]
            if budgets:
                yield server_of(url), budgets

    def _available(self, _: CallbackOptions) -> Iterator[Observation]:
        for server, budgets in self._budgets():
            yield Observation(min(budget.available for budget in budgets), server)

    def _waiting(self, _: CallbackOptions) -> Iterator[Observation]:
        for server, budgets in self._budgets():
            bulk = sum(budget.waiting_bulk for budget in budgets)
            interactive = sum(budget.waiting for budget in budgets) - bulk
            yield Observation(interactive, {**server, "syncro_async.lane": "interactive"})
            yield Observation(bulk, {**server, "syncro_async.lane": "bulk"})

    def _paused(self, _: CallbackOptions) -> Iterator[Observation]:
        for server, budgets in self._budgets():
            yield Observation(max(budget.gate_closed_for for budget in budgets), server)

    def _doubts(self, _: CallbackOptions) -> Iterator[Observation]:
        with self._lock:
            known = [*self._in_doubt.items()]
        rows: dict[str, int] = defaultdict(int)
        for (url, _journal), number in known:
            rows[url] += number
        for url, number in rows.items():
            yield Observation(number, server_of(url))

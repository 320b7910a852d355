"""The gauges and counters of OpenTelemetry, read through the SDK's in-memory reader."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint

from syncro_async import AsyncClient, RateLimit, RetryPolicy, ServerError
from syncro_async.integrations.opentelemetry import OpenTelemetry
from syncro_async.testing import FakeClock
from tests.bulk.event_loop_turns import until
from tests.bulk.importing.raw_server import RawServer
from tests.transport.scripted_app import ONE, Answer, App, Asked, at_once, client_of

WELL = Answer(body={"lead": {"id": 7}})
SERVER = {"server.address": "localhost", "server.port": 80}
UNITS = {
    "syncro_async.budget.available": "{request}",
    "syncro_async.queue.waiting": "{request}",
    "syncro_async.pause.remaining": "s",
    "syncro_async.import.in_doubt": "{row}",
    "syncro_async.retry.scheduled": "{retry}",
    "syncro_async.retry.refused": "{retry}",
    "syncro_async.bulk.paced": "{request}",
}


class Meters:
    """A meter provider, and what its reader collects now."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader])

    def observer(self) -> OpenTelemetry:
        return OpenTelemetry(meter_provider=self.provider)

    def points(self, name: str) -> list[tuple[dict[str, Any], float]]:
        """The attributes and the value of each point. A name that is there twice fails."""
        data = self._reader.get_metrics_data()
        found = [
            metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == f"syncro_async.{name}"
        ]
        assert len(found) <= 1
        assert all(metric.unit == UNITS[metric.name] for metric in found)
        return [
            (dict(point.attributes or {}), point.value)
            for metric in found
            for point in metric.data.data_points
            if isinstance(point, NumberDataPoint)
        ]

    def value(self, name: str) -> float:
        ((_, value),) = self.points(name)
        return value

    def waiting(self) -> dict[str, float]:
        return {point["syncro_async.lane"]: n for point, n in self.points("queue.waiting")}


@pytest.fixture
def meters() -> Meters:
    return Meters()


async def test_the_budget_is_shown_from_the_first_moment_to_the_end(meters: Meters) -> None:
    async with client_of(App(WELL), observers=[meters.observer()]) as client:
        assert meters.points("budget.available") == [(SERVER, 60)]
        await client.leads.get(7)
        assert meters.value("budget.available") == 59
        assert meters.value("pause.remaining") == 0.0
        assert meters.waiting() == {"interactive": 0, "bulk": 0}
    for name in ("budget.available", "queue.waiting", "pause.remaining"):
        assert meters.points(name) == []


async def test_calls_that_wait_are_shown_by_lane(meters: Meters) -> None:
    async def hold(asked: Asked) -> Answer:
        await release.wait()
        return WELL

    release = asyncio.Event()
    options: dict[str, Any] = {"rate_limit": ONE, "observers": [meters.observer()]}
    async with client_of(App(hold, WELL), **options) as client:
        bulk = client.with_options(lane="bulk")
        calls = [asyncio.create_task(client.leads.get(7)) for _ in range(3)]
        calls.append(asyncio.create_task(bulk.leads.get(7)))
        await until(lambda: client.budget().waiting == 3)
        assert meters.waiting() == {"interactive": 2, "bulk": 1}
        assert meters.value("budget.available") == 0
        release.set()
        await asyncio.gather(*calls)
        assert meters.waiting() == {"interactive": 0, "bulk": 0}


async def test_a_429_is_a_pause_that_runs_down(meters: Meters) -> None:
    app = App(Answer(429, {"retry_after": 20}), WELL)
    async with client_of(app, observers=[meters.observer()]) as client:
        call = asyncio.create_task(client.leads.get(7))
        await until(lambda: client.budget().gate_closed_for)
        assert meters.value("pause.remaining") == 21.0
        await call
        assert meters.value("pause.remaining") == 0.0


async def test_retries_and_those_that_the_quota_refuses_are_counted(meters: Meters) -> None:
    retry = RetryPolicy(quota=2, base_delay=0.0)
    app = App(Answer(500))
    async with client_of(app, observers=[meters.observer()], retry=retry) as client:
        with pytest.raises(ServerError):
            await client.leads.get(7)
    common = {**SERVER, "url.scheme": "http", "http.request.method": "GET"}
    common["url.template"] = "/leads/{id}"
    assert meters.points("retry.scheduled") == [(common, 2)]
    assert meters.points("retry.refused") == [(common, 1)]


@pytest.mark.parametrize("store", ["memory://", "sqlite:///{}/budget.db"])
async def test_bulk_calls_that_visitors_slow_down_are_counted(
    meters: Meters, store: str, tmp_path: Path
) -> None:
    options = {"limiter": store.format(tmp_path), "rate_limit": RateLimit(60, 60.0)}
    async with client_of(App(WELL), observers=[meters.observer()], **options) as client:
        bulk = client.with_options(lane="bulk")
        await asyncio.gather(*(bulk.leads.get(7) for _ in range(5)))
        assert meters.points("bulk.paced") == []
        await client.leads.get(7)
        await asyncio.gather(*(bulk.leads.get(7) for _ in range(5)))
        # The first of them is within the pace in a process of its own.
        assert meters.value("bulk.paced") in {4, 5}


async def test_rows_in_doubt_stay_until_a_later_run_finds_their_outcomes(
    meters: Meters, tmp_path: Path
) -> None:
    server, journal = RawServer(FakeClock()), tmp_path / "rows.journal"
    ana = {"name": "Ana", "email": "ana@exemplo.com", "pipeline_id": 1, "stage_id": 4}
    async with server.client(observers=[meters.observer()]) as syncro:
        assert meters.points("import.in_doubt") == []
        server.fates.append("never")
        job = asyncio.create_task(syncro.bulk.create_leads([ana], journal=journal))
        await until(server.posts)
        stranger = server.add(name="Bia", email="ana@exemplo.com")
        assert (await job).in_doubt == 1
        ((where, rows),) = meters.points("import.in_doubt")
        assert (set(where), rows) == ({"server.address", "server.port"}, 1)
        del server.leads[stranger["id"]]
        await syncro.bulk.create_leads([ana], journal=journal)
        assert meters.value("import.in_doubt") == 0


async def test_imports_without_a_journal_are_added_up(meters: Meters) -> None:
    server = RawServer(FakeClock())
    async with server.client(observers=[meters.observer()]) as syncro:
        for number in (1, 2):
            server.fates.append("never")
            row = {"name": "Ana", "email": f"ana{number}@x.org", "pipeline_id": 1, "stage_id": 4}
            job = asyncio.create_task(syncro.bulk.create_leads([row]))
            await until(lambda: len(server.posts()) == number)  # noqa: B023  # it is awaited here
            server.add(name="Bia", email=f"ana{number}@x.org")
            assert (await job).in_doubt == 1
    assert meters.value("import.in_doubt") == 2


async def test_clients_of_one_key_show_one_budget_and_of_two_keys_both(meters: Meters) -> None:
    """Also when each client has an observer of its own."""
    app = App(WELL)
    async with (
        client_of(app, api_key="a", observers=[meters.observer()]) as client,
        client_of(app, api_key="a", observers=[meters.observer()]),
        client_of(app, api_key="b", observers=[meters.observer()]) as other,
    ):
        await other.leads.get(7)
        calls = [asyncio.create_task(client.leads.get(7)) for _ in range(60)]
        await asyncio.gather(*calls)
        calls = [asyncio.create_task(client.leads.get(7)) for _ in range(2)]
        await until(lambda: client.budget().waiting == 2)
        assert meters.value("budget.available") == 0
        assert meters.waiting() == {"interactive": 2, "bulk": 0}
        await asyncio.gather(*calls)


async def test_a_client_that_is_forgotten_is_not_shown(meters: Meters) -> None:
    client = AsyncClient("key-of-the-forgotten", observers=[meters.observer()])
    assert meters.value("budget.available") == 60
    del client
    gc.collect()
    assert meters.points("budget.available") == []


async def test_keys_that_change_show_the_newest_budget(meters: Meters) -> None:
    keys = iter(["first", "second"])
    app = App(WELL, Answer(401), WELL)
    options: dict[str, Any] = {"api_key": lambda: next(keys), "observers": [meters.observer()]}
    async with client_of(app, **options) as client:
        assert meters.value("budget.available") == 60
        await client.leads.get(7)
        await client.leads.get(7)
        assert meters.value("budget.available") == 59
    assert meters.points("budget.available") == []


async def test_a_limiter_that_shows_no_budget_is_left_out(meters: Meters) -> None:
    class Odd:
        rates = (RateLimit(60, 60.0),)

        def budget(self) -> None:
            return None

    odd: Any = Odd()
    AsyncClient("key", limiter=odd, observers=[meters.observer()])
    client = AsyncClient("key", limiter=odd, observers=[meters.observer()])
    assert meters.points("budget.available") == []
    await client.aclose()


def test_an_observer_that_only_takes_events_is_left_alone() -> None:
    seen: list[object] = []
    AsyncClient("key", observers=[seen.append])
    assert seen == []


async def test_retries_of_one_observer_on_two_clients_are_one_series(meters: Meters) -> None:
    observer = meters.observer()
    for _ in range(2):
        app = App(Answer(500), WELL)
        async with client_of(app, observers=[observer], retry=at_once()) as client:
            await client.leads.get(7)
    assert meters.value("retry.scheduled") == 2

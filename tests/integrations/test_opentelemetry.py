"""What OpenTelemetry is told of calls, read from the SDK's in-memory exporters."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from syncro_async.errors import BudgetWaitError, NotFoundError, RequestTimeoutError
from syncro_async.events import Event, RequestSent
from syncro_async.integrations.opentelemetry import OpenTelemetry, template_of
from syncro_async.sandbox import Sandbox, Trouble
from syncro_async.testing import FakeClock, sandbox_client
from tests.transport.scripted_app import KEY, ONE, Answer, App, Asked, at_once, client_of, never

WELL = Answer(body={"lead": {"id": 7}})
SERVED_AT = {"server.address": "localhost", "server.port": 80, "url.scheme": "http"}


class Told:
    """An observer with a tracer and a meter of its own, and what came out of them."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self._metrics = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.meters = MeterProvider([self._metrics])
        self.observer = OpenTelemetry(tracer_provider=self.tracers, meter_provider=self.meters)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._spans.get_finished_spans())

    @property
    def span(self) -> ReadableSpan:
        (span,) = self.spans
        return span

    @property
    def events(self) -> list[tuple[str, dict[str, Any]]]:
        return [(event.name, dict(event.attributes or {})) for event in self.span.events]

    def points(self, name: str) -> list[HistogramDataPoint]:
        data = self._metrics.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name and metric.unit == "s"
            for point in metric.data.data_points
            if isinstance(point, HistogramDataPoint)
        ]


@pytest.fixture
def told() -> Told:
    return Told()


async def late(asked: Asked) -> Answer:
    await asked.clock.sleep(0.25)
    return WELL


async def test_a_call_is_one_span_as_the_conventions_have_it(told: Told) -> None:
    async with client_of(App(late), observers=[told.observer]) as client:
        await client.leads.get(7, include=["owner"])
    span = told.span
    assert (span.name, span.kind) == ("GET /leads/{id}", trace.SpanKind.CLIENT)
    assert span.status.status_code is trace.StatusCode.UNSET
    assert dict(span.attributes or {}) == {
        **SERVED_AT,
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "url.full": "http://localhost/api/v1/leads/7",
        "url.template": "/leads/{id}",
        "syncro_async.lane": "interactive",
        "syncro_async.queue.wait": 0.0,
    }
    attempt = {"http.response.status_code": 200, "syncro_async.attempt.duration": 0.25}
    assert told.events == [("syncro_async.attempt", attempt)]


async def test_attempts_retries_and_pauses_are_the_events_of_the_span(told: Told) -> None:
    app = App(ConnectionResetError("by peer"), Answer(503), Answer(429, {"retry_after": 2}), late)
    async with client_of(app, observers=[told.observer], retry=at_once()) as client:
        await client.leads.get(7)
    assert [
        (name.removeprefix("syncro_async."), values.get("http.request.resend_count"))
        for name, values in told.events
    ] == [
        ("attempt", None),
        ("retry", None),
        ("attempt", 1),
        ("retry", None),
        ("attempt", 2),
        ("pause", None),
        ("attempt", 3),
    ]
    outcomes = [values for name, values in told.events if name == "syncro_async.attempt"]
    assert [each.get("error.type") for each in outcomes] == ["NoAnswerError", "503", "429", None]
    attributes = told.span.attributes or {}
    assert attributes["http.request.resend_count"] == 3
    assert attributes["http.response.status_code"] == 200
    assert attributes["syncro_async.queue.wait"] == 3.0
    assert told.span.status.status_code is trace.StatusCode.UNSET


@pytest.mark.parametrize(
    ("answers", "error", "kind", "status"),
    [
        ([Answer(404)], NotFoundError, "404", 404),
        ([never], RequestTimeoutError, "RequestTimeoutError", None),
        ([Answer(500), never], RequestTimeoutError, "RequestTimeoutError", None),
    ],
    ids=["refused", "no answer", "no answer in the end"],
)
async def test_what_a_call_raises_is_the_type_of_its_error(
    told: Told, answers: list[Any], error: type[Exception], kind: str, status: int | None
) -> None:
    app = App(*answers)
    async with client_of(app, observers=[told.observer], retry=at_once(2)) as client:
        with pytest.raises(error):
            await client.leads.get(7)
    attributes = told.span.attributes or {}
    assert told.span.status.status_code is trace.StatusCode.ERROR
    assert told.span.status.description is None
    assert attributes["error.type"] == kind
    assert attributes.get("http.response.status_code") == status


async def test_a_call_that_is_never_sent_has_a_span_and_no_attempt(told: Told) -> None:
    async with client_of(
        App(WELL), observers=[told.observer], rate_limit=ONE, max_wait=1.0
    ) as client:
        await client.leads.get(7)
        with pytest.raises(BudgetWaitError):
            await client.leads.get(8)
    unsent = told.spans[-1]
    assert (unsent.attributes or {})["error.type"] == "BudgetWaitError"
    assert list(unsent.events) == []


async def test_concurrent_calls_are_children_of_their_callers_and_never_mixed(told: Told) -> None:
    clock = FakeClock()
    sandbox = Sandbox(100, clock=clock)
    for number in range(1, 31, 3):
        sandbox.script(Trouble(status=500, path=f"/leads/{number}"))
    tracer = told.tracers.get_tracer("caller")

    async def job(number: int) -> None:
        with tracer.start_as_current_span(f"job {number}") as own:
            await syncro.leads.get(number)
            assert trace.get_current_span() is own

    async with sandbox_client(
        sandbox=sandbox, clock=clock, observers=[told.observer], retry=at_once()
    ) as syncro:
        await asyncio.gather(*(job(number) for number in range(1, 31)))
    jobs = {span.name: span for span in told.spans if span.name.startswith("job")}
    calls = [span for span in told.spans if span.kind is trace.SpanKind.CLIENT]
    assert len(calls) == 30
    for call in calls:
        number = int(str((call.attributes or {})["url.full"]).rpartition("/")[2])
        parent = jobs[f"job {number}"].context
        assert call.parent is not None
        assert parent is not None
        assert call.parent.span_id == parent.span_id
        attempts = [event for event in call.events if event.name == "syncro_async.attempt"]
        assert len(attempts) == (2 if number % 3 == 1 else 1)


async def test_the_span_is_current_while_the_call_lasts(told: Told) -> None:
    current: list[object] = []

    def look(event: Event) -> None:
        if isinstance(event, RequestSent):
            current.append(trace.get_current_span().get_span_context().span_id)

    async with client_of(App(WELL), observers=[told.observer, look]) as client:
        await client.leads.get(7)
    context = told.span.context
    assert context is not None
    assert current == [context.span_id]
    assert not trace.get_current_span().get_span_context().is_valid


async def test_two_of_them_leave_nothing_behind_them(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    other = Told()
    async with client_of(App(WELL), observers=[told.observer, other.observer]) as client:
        await client.leads.get(7)
        await client.leads.get(8)
    assert len(told.spans) == len(other.spans) == 2
    assert told.spans[1].parent is None
    assert not trace.get_current_span().get_span_context().is_valid
    assert caplog.messages == []


async def test_a_cancelled_call_is_over_at_once_and_its_request_still_measured(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(late)
    async with client_of(app, observers=[told.observer]) as client:
        call = asyncio.ensure_future(client.leads.get(7))
        await app.arrived()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert (told.span.attributes or {})["error.type"] == "CancelledError"
    (point,) = told.points("http.client.request.duration")
    assert point.sum == 0.25
    assert told.events == []
    assert "ended span" not in caplog.text


async def test_each_attempt_and_each_wait_is_measured(told: Told) -> None:
    options: dict[str, Any] = {"rate_limit": ONE, "lane": "bulk", "retry": at_once()}
    async with client_of(App(Answer(500), late), observers=[told.observer], **options) as client:
        await client.leads.get(7)
    failed, well = sorted(
        told.points("http.client.request.duration"),
        key=lambda point: str((point.attributes or {})["http.response.status_code"]),
        reverse=True,
    )
    common = {**SERVED_AT, "http.request.method": "GET", "url.template": "/leads/{id}"}
    assert failed.attributes == {
        **common,
        "http.response.status_code": 500,
        "error.type": "500",
    }
    assert well.attributes == {**common, "http.response.status_code": 200}
    assert (well.count, well.sum) == (1, 0.25)
    assert tuple(well.explicit_bounds)[:3] == (0.005, 0.01, 0.025)
    (wait,) = told.points("syncro_async.queue.wait")
    assert wait.attributes == {"syncro_async.lane": "bulk", "server.address": "localhost"}
    assert (wait.count, wait.sum) == (1, 60.25)


async def test_neither_key_nor_query_nor_body_nor_what_the_server_says_gets_out(
    told: Told,
) -> None:
    app = App(Answer(500, {"message": f"{KEY} Ana"}), Answer(422, {"message": "Ana"}))
    async with client_of(app, observers=[told.observer], retry=at_once()) as client:
        with pytest.raises(Exception, match="Ana"):
            await client.leads.list(q="Ana").collect()
    shown = told.span.to_json()
    assert "/api/v1/leads" in shown
    assert "Ana" not in shown
    assert KEY not in shown


async def test_a_method_the_conventions_do_not_know_is_other(told: Told) -> None:
    async with client_of(
        App(), observers=[told.observer], base_url="https://crm.example"
    ) as client:
        await client.request("PURGE", "/cache")
    attributes = told.span.attributes or {}
    assert told.span.name == "HTTP /cache"
    assert attributes["http.request.method"] == "_OTHER"
    assert attributes["http.request.method_original"] == "PURGE"
    assert attributes["server.port"] == 443


async def test_what_is_told_of_no_call_is_of_no_concern(told: Told) -> None:
    told.observer(RequestSent("GET", "/leads", 0.0))
    assert told.spans == []


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/leads", "/leads"),
        ("/leads/7", "/leads/{id}"),
        ("/leads/7/tags", "/leads/{id}/tags"),
        ("/leads/7/tags/vip", "/leads/{id}/tags/{tag}"),
        ("/custom-fields", "/custom-fields"),
        ("/things/Ana%20Souza/f3b1", "/things/{value}/{value}"),
        ("", ""),
    ],
)
def test_a_template_names_no_single_thing(path: str, template: str) -> None:
    assert template_of(path) == template


def test_without_the_extra_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "import syncro_async.integrations.opentelemetry"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert 'pip install "syncro-async[otel]"' in done.stderr

"""OpenTelemetry for every call: a span, events for its attempts, and metrics.

It needs the extra `otel`, which installs OpenTelemetry's API. The program configures the SDK and
the exporters. Names and units follow the semantic conventions for HTTP clients.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

try:
    from opentelemetry import context, metrics, trace
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'OpenTelemetry needs its extra: pip install "syncro-async[otel]"', name=error.name
    ) from error


from contextvars import Token

from syncro_async.events import (
    AnswerReceived,
    AttemptFailed,
    CallEnded,
    CallStarted,
    Event,
    GateClosed,
    ImportInDoubt,
    RetryRefused,
    RetryScheduled,
    SlotWaited,
)
from syncro_async.integrations.opentelemetry_gauges import (
    Attributes,
    Gauges,
    WatchedPipeline,
    gauges_of,
    server_of,
)
from syncro_async.version import __version__

_NAME = "syncro_async"
_SCHEMA = "https://opentelemetry.io/schemas/1.37.0"
# The boundaries that the conventions recommend for `http.client.request.duration` (s).
_DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
# From a negligible wait to several windows in a long queue (s).
_WAITS = (0.01, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}
)
_NOUN = re.compile(r"[a-z][a-z_-]{0,31}")


@dataclass(slots=True)
class _ActiveCall:
    """One unfinished call; `common` are the attributes of its span and of its measurements."""

    span: trace.Span
    common: Attributes
    lane: str
    token: Token[context.Context] = field(init=False)
    attempts: int = 0
    status: int | None = None
    waited: float = 0.0
    ended: bool = False


class OpenTelemetry:
    """An observer of calls. Several clients can share it.

        AsyncClient("key", observers=[OpenTelemetry()])

    A call is one span of kind CLIENT. Its parent is the current span at the call, and it is the
    current span until the call ends. Its name is method and template (`GET /leads/{id}`);
    it has `http.request.method`, `server.address`, `server.port`, `url.full`, `url.template`,
    `http.response.status_code`, `http.request.resend_count` after several attempts, and
    `error.type`: the status, or the error's class when there is no response. Attributes of this
    package are `syncro_async.lane` and `syncro_async.queue.wait`, the seconds in the queue for
    budget, all attempts together. Attempts, retries and pauses are events of the span. `url.full`
    has no query, because a query may contain names and phone numbers; no key, body or error text
    is recorded.

    The metrics:

    - `http.client.request.duration` (histogram, s): every attempt, from the send to the headers of
      the response. A 429 is in it by its status.
    - `syncro_async.queue.wait` (histogram, s): every call after its end, by lane.
    - `syncro_async.retry.scheduled`, `syncro_async.retry.refused` (counters): attempts that are
      made again, and those that are not because `RetryPolicy.quota` is used up.
    - `syncro_async.bulk.paced` (counter): bulk calls that waited while interactive calls paced
      their lane.
    - `syncro_async.budget.available` (gauge): requests that can be sent now.
    - `syncro_async.queue.waiting` (gauge): calls in the queue for budget, by lane.
    - `syncro_async.pause.remaining` (gauge, s): the rest of the pause after a 429.
    - `syncro_async.import.in_doubt` (gauge): rows of this process's imports whose answers were
      lost. It stays after an import, until a later run of its journal finds the outcomes.

    The gauges begin with the client and end when it is closed. When clients of several keys use one
    server, they show the fewest, the sum, and the longest. A budget that several processes share is
    the same in each of them: take one, and not the sum.

    - `tracer_provider`, `meter_provider`: the OpenTelemetry providers (default: the global ones).
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer(_NAME, __version__, tracer_provider, _SCHEMA)
        meter = metrics.get_meter(_NAME, __version__, meter_provider, _SCHEMA)
        self._durations = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_DURATIONS,
        )
        self._waits = meter.create_histogram(
            "syncro_async.queue.wait",
            unit="s",
            description="Time of a call in the queue for request budget.",
            explicit_bucket_boundaries_advisory=_WAITS,
        )
        self._retries = meter.create_counter(
            "syncro_async.retry.scheduled",
            unit="{retry}",
            description="Attempts that are made again after a failure.",
        )
        self._refused = meter.create_counter(
            "syncro_async.retry.refused",
            unit="{retry}",
            description="Attempts that are not made again because the retry quota is used up.",
        )
        self._paced = meter.create_counter(
            "syncro_async.bulk.paced",
            unit="{request}",
            description="Bulk calls that waited while interactive calls paced their lane.",
        )
        self._gauges: Gauges = gauges_of(meter_provider or metrics.get_meter_provider(), meter)
        # OpenTelemetry's context belongs to one task, so concurrent calls do not share it.
        self._key = context.create_key(_NAME)

    def __call__(self, event: Event) -> None:
        """Record an event of a call.

        `event`: the event from the client.
        """
        if isinstance(event, CallStarted):
            self._start(event)
            return
        if isinstance(event, ImportInDoubt):
            self._gauges.set_in_doubt(event.base_url, event.journal, event.rows)
            return
        call = context.get_value(self._key)
        if isinstance(call, _ActiveCall):
            self._count(call, event)
            self._record(call, event)

    def _count(self, call: _ActiveCall, event: Event) -> None:
        match event:
            case RetryScheduled():
                self._retries.add(1, call.common)
            case RetryRefused():
                self._refused.add(1, call.common)
            case SlotWaited(paced=True):
                self._paced.add(1, call.common)
            case _:
                pass

    def _record(self, call: _ActiveCall, event: Event) -> None:
        match event:
            case SlotWaited(seconds=seconds):
                call.waited += seconds
            case AnswerReceived(status=status, latency=latency):
                call.status = status
                outcome: Attributes = {"http.response.status_code": status}
                if status >= 400:
                    outcome["error.type"] = str(status)
                self._attempt(call, outcome, latency)
            case AttemptFailed(error=error, latency=latency):
                call.status = None
                self._attempt(call, {"error.type": error}, latency)
            case RetryScheduled(delay=delay):
                _add_event(call, "syncro_async.retry", {"syncro_async.retry.delay": delay})
            case GateClosed(seconds=seconds):
                _add_event(call, "syncro_async.pause", {"syncro_async.pause.duration": seconds})
            case CallEnded(error=error):
                self._end(call, error)
            case _:
                pass

    def watch_pipeline(self, base_url: str, pipeline: WatchedPipeline) -> None:
        """Show the state of a client in the gauges; each client calls this when it is created.

        `base_url`: the base URL of the client. `pipeline`: what has its limiter; it is not kept
        alive.
        """
        self._gauges.watch(base_url, pipeline)

    def _start(self, event: CallStarted) -> None:
        scheme = urlsplit(event.base_url).scheme
        template = template_of(event.path)
        method = event.method if event.method in _METHODS else "_OTHER"
        common: Attributes = {
            "http.request.method": method,
            **server_of(event.base_url),
            "url.scheme": scheme,
            "url.template": template,
        }
        specific = {"url.full": event.base_url + event.path, "syncro_async.lane": event.lane}
        if method == "_OTHER":
            specific["http.request.method_original"] = event.method
        name = f"{'HTTP' if method == '_OTHER' else method} {template}"
        span = self._tracer.start_span(
            name, kind=trace.SpanKind.CLIENT, attributes={**common, **specific}
        )
        call = _ActiveCall(span, common, event.lane)
        current = context.set_value(self._key, call, trace.set_span_in_context(span))
        call.token = context.attach(current)

    def _attempt(self, call: _ActiveCall, outcome: Attributes, latency: float) -> None:
        self._durations.record(latency, {**call.common, **outcome})
        resend: Attributes = {"http.request.resend_count": call.attempts} if call.attempts else {}
        call.attempts += 1
        duration: Attributes = {"syncro_async.attempt.duration": latency}
        _add_event(call, "syncro_async.attempt", {**outcome, **resend, **duration})

    def _end(self, call: _ActiveCall, error: str | None) -> None:
        context.detach(call.token)
        span, status = call.span, call.status
        span.set_attribute("syncro_async.queue.wait", call.waited)
        if status is not None:
            span.set_attribute("http.response.status_code", status)
        if call.attempts > 1:
            span.set_attribute("http.request.resend_count", call.attempts - 1)
        if error is not None:
            answered = status is not None and status >= 400
            span.set_attribute("error.type", str(status) if answered else error)
            span.set_status(trace.StatusCode.ERROR)
        address = call.common["server.address"]
        attributes: Attributes = {"syncro_async.lane": call.lane, "server.address": address}
        self._waits.record(call.waited, attributes)
        call.ended = True
        span.end()


def _add_event(call: _ActiveCall, name: str, attributes: Attributes) -> None:
    """Add an event to the span, unless it has ended: a cancelled call ends before its attempt."""
    if not call.ended:
        call.span.add_event(name, attributes)


def template_of(path: str) -> str:
    """The path with a placeholder for each variable part.

    `path`: the path of a call. A number becomes `{id}`, the tag of a lead `{tag}`, and anything
    else that is not a plain word `{value}`.
    """
    parts: list[str] = []
    for part in path.split("/"):
        if parts and parts[-1] == "tags":
            parts.append("{tag}")
        elif part.isdigit():
            parts.append("{id}")
        else:
            parts.append(part if not part or _NOUN.fullmatch(part) else "{value}")
    return "/".join(parts)

"""The public class `Sandbox` and the ASGI application behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from typing import TYPE_CHECKING, get_args
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.routing import Mount, Router

from syncro_async.clock import Clock, SystemClock
from syncro_async.sandbox.data.sample_leads import moment
from syncro_async.sandbox.data.store import Order, Store
from syncro_async.sandbox.faults import ConnectionDropped, Script, Trouble, check_types
from syncro_async.sandbox.keys import KEYS, authorize
from syncro_async.sandbox.rate_windows import WindowKind, make_window
from syncro_async.sandbox.request import ApiRequest, read_body, read_query
from syncro_async.sandbox.responses import (
    RequestRejected,
    Response,
    ValidationFailed,
    error,
    method_not_allowed,
    not_found,
    page,
    redirect_to_page,
    too_large,
)
from syncro_async.sandbox.routes import allowed_methods, find_route
from syncro_async.sandbox.serialization import Serializer

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from syncro_async.sandbox.data.lead_record import LeadRecord
    from syncro_async.sandbox.rate_windows import Window
    from syncro_async.sandbox.routes import Route


API_ROOT = "/api/v1"
_TOO_MANY = 429
_NO_LENGTH = frozenset({204, 304})
_READING = frozenset({"GET", "HEAD"})
# PHP's post_max_size, as it is by default.
_MOST_BODY = 8 * 1024 * 1024
_NO_FAULT = Trouble()


@dataclass(slots=True)
class Arrival:
    """One request as the server received it.

    - `at`: time of arrival in seconds of the sandbox's clock.
    - `method`: the HTTP method.
    - `path`: the part after `/api/v1`, percent-encoded as received and without the query. Outside
      of the API it is the whole path.
    - `query`: the query string as received.
    - `key_name`: `"full"`, `"read_only"`, `"leads_only"`, `"expired"` or `"suspended"`; None for an
      unknown key.
    - `status`: the status of the response; 0 while there is none, also when the connection dropped.
    - `counted`: whether the rate limit counted the request.
    - `overdrawn`: whether the request got a 429 because its window was full, not from a script.

    Example: `[arrival.path for arrival in sandbox.arrivals if arrival.status == 429]`
    """

    at: float
    method: str
    path: str
    query: str
    key_name: str | None
    status: int = 0
    counted: bool = False
    overdrawn: bool = False


class Api:
    """The account, its endpoints, and the log of the requests that arrived."""

    def __init__(
        self,
        store: Store,
        wire: Serializer,
        clock: Clock,
        windows: Mapping[str, Window],
        *,
        max_leads: int | None,
        script: Script,
    ) -> None:
        self._store = store
        self._wire = wire
        self._clock = clock
        self._windows = windows
        self._max_leads = max_leads
        self.script = script
        self.arrivals: list[Arrival] = []
        self.writes: list[tuple[str, str]] = []
        self.refused = 0
        self.overdrawn = 0
        self.app: ASGIApp = Router(
            routes=[Mount(API_ROOT, app=self._call)], default=self._page, redirect_slashes=False
        )

    def complete_tasks(self, lead_id: int) -> None:
        """Complete the mandatory tasks of a lead at the current time."""
        self._store.complete_tasks(lead_id, self._now())

    def _now(self) -> str:
        return moment(datetime.fromtimestamp(self._clock.wall(), UTC))

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request below `/api/v1`."""
        request = Request(scope, receive)
        arrival = self._record(request)
        found = find_route(arrival.method, arrival.path)
        try:
            authorize(request.headers.get("x-api-key", ""), found[0].permission if found else None)
            trouble = self._take_trouble(arrival)
        except RequestRejected as rejected:
            await self._send(send, arrival, rejected.answer)
            return
        try:
            body = await _read(request)
        except ClientDisconnect:
            return
        normal = self._handle(request, arrival, found, body) if trouble.applies else None
        if trouble.delay:
            await self._clock.sleep(trouble.delay)
        if trouble.reset or trouble.lose_answer:
            raise ConnectionDropped
        await self._send(send, arrival, trouble.answer(normal), cut=trouble.truncate)

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request outside of the API with a web page."""
        arrival = self._record(Request(scope, receive))
        found = arrival.path == "/"
        answer = page(200, "Syncro") if found else page(404, "Not Found")
        await self._send(send, arrival, answer)

    def _record(self, request: Request) -> Arrival:
        raw = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
        key = KEYS.get(request.headers.get("x-api-key", ""))
        arrival = Arrival(
            at=self._clock.monotonic(),
            method=request.method,
            path=raw.decode("latin-1").removeprefix(API_ROOT),
            query=request.scope["query_string"].decode("latin-1"),
            key_name=key.name if key else None,
        )
        self.arrivals.append(arrival)
        return arrival

    def _take_trouble(self, arrival: Arrival) -> Trouble:
        """Count the request and take the fault scripted for it. Raises `RequestRejected` (429)."""
        trouble = self.script.find(arrival.method, arrival.path)
        if trouble is None or trouble.counted:
            self._count(arrival)
        if trouble is None:
            return _NO_FAULT
        self.script.consume(trouble)
        return trouble

    def _count(self, arrival: Arrival) -> None:
        seconds = self._windows[arrival.key_name or ""].arrive(arrival.at)
        if seconds is not None:
            self.overdrawn += 1
            arrival.overdrawn = True
            raise error(
                _TOO_MANY,
                {"message": "Rate limit excedido para esta API Key.", "retry_after": seconds},
                ("retry-after", str(seconds)),
            )
        arrival.counted = True

    def _handle(
        self,
        request: Request,
        arrival: Arrival,
        found: tuple[Route, tuple[str, ...]] | None,
        body: bytes | None,
    ) -> Response:
        try:
            if body is None:
                raise too_large()
            if found is None:
                allowed = allowed_methods(arrival.path)
                if allowed:
                    raise method_not_allowed(arrival.method, arrival.path, allowed)
                raise not_found("Recurso")
            route, parts = found
            api_request = ApiRequest(
                store=self._store,
                wire=self._wire,
                parts=parts,
                query=read_query(arrival.query),
                fields=read_body(body, request.headers.get("content-type", "")),
                at=self._now(),
                max_leads=self._max_leads,
            )
            answer = route.handler(api_request)
        except ValidationFailed as rejected:
            return rejected.answer if _wants_json(request) else redirect_to_page()
        except RequestRejected as rejected:
            return rejected.answer
        if arrival.method not in _READING:
            self.writes.append((arrival.method, arrival.path))
        return answer

    async def _send(
        self, send: Send, arrival: Arrival, answer: Response, *, cut: bool = False
    ) -> None:
        arrival.status = answer.status
        self.refused += answer.status == _TOO_MANY
        headers = {"date": formatdate(self._clock.wall(), usegmt=True)}
        if answer.status not in _NO_LENGTH:
            headers["content-length"] = str(len(answer.body))
        named = {name for name, _ in answer.headers}
        pairs = [*((n, v) for n, v in headers.items() if n not in named), *answer.headers]
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [(n.encode("latin-1"), v.encode("latin-1")) for n, v in pairs],
            }
        )
        body = answer.body[: len(answer.body) // 2] if cut else answer.body
        if arrival.method == "HEAD":
            body = b""
        await send({"type": "http.response.body", "body": body, "more_body": cut})
        if cut:
            raise ConnectionDropped


async def _read(request: Request) -> bytes | None:
    """The body, or None when it is too large; then it is read to its end and not kept."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= _MOST_BODY:
            parts.append(part)
        else:
            parts.clear()
    return b"".join(parts) if size <= _MOST_BODY else None


def _wants_json(request: Request) -> bool:
    return "json" in request.headers.get("accept", "").partition(",")[0]


_CLOCK_METHODS = ("monotonic", "wall", "sleep", "call_at")
_SANDBOX_TYPES = {
    "leads": (int,),
    "minute": (int, float),
    "per_minute": (int,),
    "php_quirks": (bool,),
    "max_leads": (int, type(None)),
    "seed": (int,),
    "hazards": (list, tuple),
    "hazard_share": (int, float),
}


def _check_clock(clock: object) -> None:
    if clock is not None and not all(hasattr(clock, name) for name in _CLOCK_METHODS):
        raise TypeError(f"Sandbox(clock={clock!r}): must be a Clock or None")


class Sandbox:
    """An emulated Syncro account with sample leads; `app` is its ASGI application.

    - `leads`: the number of sample leads (default 100); their ids start at 1.
    - `minute`: the length of the rate limit's window in seconds (default 60.0).
    - `per_minute`: the number of requests that one window allows (default 60).
    - `window`: `"fixed"` (default; the first counted request opens it, as in the API), `"aligned"`
      (starts at whole multiples of `minute`) or `"sliding"`.
    - `clock`: the time of windows, delays and dates; the system's clock by default.
    - `php_quirks`: whether the JSON looks like that of a PHP server (default False): `[]` for an
      empty map, numeric strings, microseconds, few fields in the responses for one lead, fields
      that are not documented.
    - `max_leads`: the plan's limit of leads; None (default) for no limit.
    - `seed`: selects the random sample data (default 1).
    - `hazards`: faults that occur at random; the field `times` of each is ignored.
    - `hazard_share`: the share of the requests that meet a hazard, 0.0 (default) to 1.0.
    - `order`: the order of the list of leads, which the API does not document: `"oldest_first"`
      (default), `"newest_first"` or `"last_changed_first"`.
    - `strict_upserts`: whether an upsert of an existing lead must have `name`, `pipeline_id` and
      `stage_id` (default False). The API reference does not say which it is.

    Raises `TypeError` for a value of another type, and `ValueError` for a number, a window or an
    order that is not possible.

        from syncro_async.sandbox import Sandbox, Trouble

        clock = FakeClock()
        sandbox = Sandbox(leads=10, clock=clock)
        sandbox.script(Trouble(status=503, times=2))
        async with sandbox_client(sandbox=sandbox, clock=clock) as syncro:
            await syncro.leads.get(1)
        assert [arrival.status for arrival in sandbox.arrivals] == [503, 503, 200]
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
        strict_upserts: bool = False,
    ) -> None:
        check_types("Sandbox", locals(), _SANDBOX_TYPES)
        _check_clock(clock)
        if leads < 0:
            raise ValueError(f"leads={leads} must be 0 or more")
        if order not in get_args(Order):
            raise ValueError(f"order={order!r} must be one of {', '.join(get_args(Order))}")
        self._store = Store(leads, seed, order, strict_upserts=strict_upserts)
        windows = {key.name: make_window(window, per_minute, minute) for key in KEYS.values()}
        script = Script(hazards, hazard_share=hazard_share, seed=seed)
        wire = Serializer(php_quirks)
        clock = clock or SystemClock()
        self._api = Api(self._store, wire, clock, windows, max_leads=max_leads, script=script)

    @property
    def app(self) -> ASGIApp:
        """The ASGI application; the path of the API is `/api/v1`."""
        return self._api.app

    @property
    def arrivals(self) -> list[Arrival]:
        """Every request in the order of arrival."""
        return self._api.arrivals

    @property
    def refused(self) -> int:
        """The number of 429 responses."""
        return self._api.refused

    @property
    def overdrawn(self) -> int:
        """The number of 429 responses because the window was full, without those from a script."""
        return self._api.overdrawn

    @property
    def leads(self) -> dict[int, LeadRecord]:
        """The leads by id; set a field with `sandbox.leads[7]["name"] = "Ana"`."""
        return self._store.leads

    @property
    def writes(self) -> list[tuple[str, str]]:
        """Method and path of every executed write, also when its response was lost."""
        return self._api.writes

    def script(self, trouble: Trouble) -> None:
        """Schedule a fault for the next requests that match it.

        `trouble`: the fault; it occurs `trouble.times` times.
        """
        self._api.script.add(trouble)

    @property
    def unmet(self) -> tuple[Trouble, ...]:
        """The scripted faults that no request has met."""
        return self._api.script.unmet

    def check_script(self) -> None:
        """Check that every scripted fault happened. Raises `AssertionError` that lists the others.

        The fixture `syncro_sandbox` and `sandbox_client()` call it at their end.
        """
        unmet = self.unmet
        if unmet:
            raise AssertionError(
                f"scripted, but never happened: {', '.join(map(str, unmet))}; the test did not test"
                " it: check its method and path, or remove it"
            )

    def complete_tasks(self, lead_id: int) -> None:
        """Complete the mandatory tasks that keep a lead in its stage.

        `lead_id`: the id of the lead; without such tasks nothing changes.
        """
        self._api.complete_tasks(lead_id)

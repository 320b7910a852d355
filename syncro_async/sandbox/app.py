"""The sandbox as programs and tests meet it: a Syncro account in memory."""

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
from syncro_async.sandbox.faults import ConnectionDropped, Script, Trouble
from syncro_async.sandbox.keys import KEYS, authorize
from syncro_async.sandbox.rate_windows import WindowKind, make_window
from syncro_async.sandbox.request import ApiRequest, read_body, read_query
from syncro_async.sandbox.responses import (
    RequestRejected,
    Response,
    ValidationFailed,
    error,
    not_found,
    page,
    redirect_to_page,
)
from syncro_async.sandbox.routes import find_route
from syncro_async.sandbox.serialization import Serializer

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from syncro_async.sandbox.data.lead_record import LeadRecord
    from syncro_async.sandbox.rate_windows import Window
    from syncro_async.sandbox.routes import Route


API_ROOT = "/api/v1"
_TOO_MANY = 429
_NO_LENGTH = frozenset({204, 304})
_USUAL = Trouble()


@dataclass(slots=True)
class Arrival:
    """A request as the server saw it.

    `at`: seconds of the sandbox's clock. `path`: behind `/api/v1`, percent-encoded as it came
    (outside the API the whole path), without the `query`. `key_name`: `"full"`, `"read_only"`,
    `"leads_only"`, `"expired"`, `"suspended"`, or None for no known key. `status`: what was
    answered, 0 before that, and for good when the connection dropped first. `counted`: by the
    rate limit.
    `overdrawn`: refused because its window was full, and not by script.
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
    """The account behind the API, and the log of what reached it."""

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
        """Do the mandatory tasks of a lead, now."""
        self._store.complete_tasks(lead_id, self._now())

    def _now(self) -> str:
        return moment(datetime.fromtimestamp(self._clock.wall(), UTC))

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A request to the API."""
        request = Request(scope, receive)
        arrival = self._note(request)
        found = find_route(arrival.method, arrival.path)
        try:
            authorize(request.headers.get("x-api-key", ""), found[0].permission if found else None)
            trouble = self._script_for(arrival)
        except RequestRejected as refusal:
            await self._send(send, arrival, refusal.answer)
            return
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        usual = self._carry_out(request, arrival, found, body) if trouble.applies else None
        if trouble.delay:
            await self._clock.sleep(trouble.delay)
        if trouble.reset or trouble.lose_answer:
            raise ConnectionDropped
        await self._send(send, arrival, trouble.answer(usual), cut=trouble.truncate)

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A request outside the API: a web page."""
        arrival = self._note(Request(scope, receive))
        found = arrival.path == "/"
        answer = page(200, "Syncro") if found else page(404, "Not Found")
        await self._send(send, arrival, answer)

    def _note(self, request: Request) -> Arrival:
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

    def _script_for(self, arrival: Arrival) -> Trouble:
        """Count the request and take the trouble waiting for it. Raises `Refused` (429)."""
        trouble = self.script.waiting_for(arrival.method, arrival.path)
        if trouble is None or trouble.counted:
            self._count(arrival)
        if trouble is None:
            return _USUAL
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

    def _carry_out(
        self,
        request: Request,
        arrival: Arrival,
        found: tuple[Route, tuple[str, ...]] | None,
        body: bytes,
    ) -> Response:
        try:
            if found is None:
                raise not_found("Recurso")
            route, parts = found
            asked = ApiRequest(
                store=self._store,
                wire=self._wire,
                parts=parts,
                query=read_query(arrival.query),
                fields=read_body(body, request.headers.get("content-type", "")),
                at=self._now(),
                max_leads=self._max_leads,
            )
            answer = route.carry_out(asked)
        except ValidationFailed as refusal:
            return refusal.answer if _wants_json(request) else redirect_to_page()
        except RequestRejected as refusal:
            return refusal.answer
        if arrival.method != "GET":
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
        await send({"type": "http.response.body", "body": body, "more_body": cut})
        if cut:
            raise ConnectionDropped


def _wants_json(request: Request) -> bool:
    return "json" in request.headers.get("accept", "").partition(",")[0]


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
        wire = Serializer(php_quirks)
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

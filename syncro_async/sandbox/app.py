"""The ASGI application: one request from its arrival to its answer, or to the broken connection."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.routing import Mount, Router

from syncro_async.sandbox.access import KEYS, admit
from syncro_async.sandbox.answers import (
    Answer,
    Invalid,
    Refused,
    not_found,
    page,
    redirect_to_page,
    refused,
)
from syncro_async.sandbox.asked import Asked, read_body, read_query
from syncro_async.sandbox.routes import find_route
from syncro_async.sandbox.sample_data import moment
from syncro_async.sandbox.trouble import ConnectionDropped, Script, Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from syncro_async.clock import Clock
    from syncro_async.sandbox.routes import Route
    from syncro_async.sandbox.store import Store
    from syncro_async.sandbox.window import Window
    from syncro_async.sandbox.wire import Wire

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
        wire: Wire,
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
            admit(request.headers.get("x-api-key", ""), found[0].permission if found else None)
            trouble = self._script_for(arrival)
        except Refused as refusal:
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
            raise refused(
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
    ) -> Answer:
        try:
            if found is None:
                raise not_found("Recurso")
            route, parts = found
            asked = Asked(
                store=self._store,
                wire=self._wire,
                parts=parts,
                query=read_query(arrival.query),
                fields=read_body(body, request.headers.get("content-type", "")),
                at=self._now(),
                max_leads=self._max_leads,
            )
            answer = route.carry_out(asked)
        except Invalid as refusal:
            return refusal.answer if _wants_json(request) else redirect_to_page()
        except Refused as refusal:
            return refusal.answer
        if arrival.method != "GET":
            self.writes.append((arrival.method, arrival.path))
        return answer

    async def _send(
        self, send: Send, arrival: Arrival, answer: Answer, *, cut: bool = False
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

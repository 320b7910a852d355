"""An ASGI application that answers by script, and clients of it in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from syncro_async import AsyncClient, RateLimit, RetryPolicy
from syncro_async.clock import Clock
from syncro_async.testing.fake_clock import FakeClock
from syncro_async.transport.http_engine import in_process_transport

KEY = "crm_kept_to_itself_0123456789"
BASE_URL = "http://localhost/api/v1"
# One call a minute, so that what became of it can be read from the budget.
ONE = RateLimit(1, 60.0)
# The moment a slot returns, counted from its answer, or from the loss of it.
AFTER_ITS_ANSWER = 60.25
AFTER_ITS_LOSS = 65.25


@dataclass(frozen=True)
class Asked:
    """A request as the server saw it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    at: float
    clock: Clock = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """What the server says; anything but bytes goes as JSON."""

    status: int = 200
    body: Any = field(default_factory=lambda: {"success": True})
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else msgspec.json.encode(self.body)


Step = Answer | Exception | Callable[[Asked], Awaitable[Answer]]


class App:
    """Meets the first request with the first step and so on; the last one stays in force."""

    def __init__(self, *steps: Step, clock: Clock | None = None) -> None:
        self.steps = list(steps) or [Answer()]
        self.clock = clock or FakeClock()
        self.asked: list[Asked] = []
        self.under_way = 0
        self.most_under_way = 0
        self._arrival = asyncio.Event()

    async def arrived(self) -> None:
        """Wait for the first request."""
        await self._arrival.wait()

    @property
    def times(self) -> list[float]:
        """When the requests came."""
        return [asked.at for asked in self.asked]

    async def __call__(
        self,
        scope: Mapping[str, Any],
        receive: Callable[[], Awaitable[Mapping[str, Any]]],
        send: Callable[[Mapping[str, Any]], Awaitable[None]],
    ) -> None:
        asked = await self._read(scope, receive)
        step = self.steps[min(len(self.asked), len(self.steps) - 1)]
        self.asked.append(asked)
        self._arrival.set()
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if isinstance(step, Exception):
                raise step
            answer = step if isinstance(step, Answer) else await step(asked)
        finally:
            self.under_way -= 1
        kind = () if any(n == "content-type" for n, _ in answer.headers) else (_JSON,)
        headers = [(name.encode(), text.encode()) for name, text in (*kind, *answer.headers)]
        start = {"type": "http.response.start", "status": answer.status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": answer.content})

    async def _read(
        self, scope: Mapping[str, Any], receive: Callable[[], Awaitable[Mapping[str, Any]]]
    ) -> Asked:
        body = b""
        more = True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        return Asked(
            method=scope["method"],
            path=scope["raw_path"].decode().removeprefix("/api/v1"),
            query=dict(parse_qsl(scope["query_string"].decode())),
            headers={name.decode(): text.decode() for name, text in scope["headers"]},
            body=body,
            at=self.clock.monotonic(),
            clock=self.clock,
        )


_JSON = ("content-type", "application/json")


@asynccontextmanager
async def client_of(app: App, **options: Any) -> AsyncIterator[AsyncClient]:
    """A client of the application, on its clock."""
    settings: dict[str, Any] = {
        "api_key": KEY,
        "base_url": BASE_URL,
        "clock": app.clock,
        "transport": in_process_transport(app),
        **options,
    }
    async with AsyncClient(**settings) as client:
        yield client


async def never(asked: Asked) -> Answer:
    """A step that answers after longer than anybody waits."""
    await asked.clock.sleep(100_000)
    return Answer()


def at_once(attempts: int = 4) -> RetryPolicy:
    """Retries without any wait between them."""
    return RetryPolicy(attempts=attempts, base_delay=0.0)


def page_of(
    items: list[Any], *, number: int = 1, last: int = 1, total: int | None = None, **meta: Any
) -> dict[str, Any]:
    """The body of a page."""
    return {
        "success": True,
        "data": items,
        "meta": {
            "total": len(items) if total is None else total,
            "per_page": max(1, len(items)),
            "current_page": number,
            "last_page": last,
            "has_more": number < last,
            **meta,
        },
    }

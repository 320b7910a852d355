"""Answers GET requests for leads on loopback, from a process of its own and at next to no cost.

The documents are those of the sandbox; here they are bytes put together beforehand, so that what
a benchmark measures is the client's. Requests with a body are not understood.
"""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.connection import Connection
from typing import Any

import msgspec

SAMPLES = 200
_PATIENCE = 30.0
_REQUEST = re.compile(rb"GET (/\S*?/leads)(?:/(\d+))?(?:\?(\S*))? HTTP/1\.1\r\n")
_MOMENT = re.compile(rb'"created_at":"[^"]*"')
_END = b"\r\n\r\n"
_HEAD = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b\r\n"


@dataclass(frozen=True)
class Setting:
    """What the server is to be (see `serving`)."""

    leads: int = SAMPLES
    calls: int | None = None
    window: float = 60.0
    latency: tuple[float, float] = (0.0, 0.0)
    vanishing: int = 0


@dataclass(frozen=True)
class Arrival:
    """A request as the server counted it: when (monotonic s), and whether it was refused."""

    at: float
    refused: bool


# ---------------------------------------------------------------------------------------- documents


class _Listing(msgspec.Struct):
    data: list[msgspec.Raw]


@cache
def sample_leads() -> list[bytes]:
    """The leads of a sandbox as a list shows them, each without its `{"id":1`."""
    # Not for the server's process, which is given them.
    import httpx

    from syncro_async.sandbox import FULL_KEY, Sandbox

    async def fetch() -> bytes:
        transport = httpx.ASGITransport(Sandbox(SAMPLES).app)
        async with httpx.AsyncClient(transport=transport) as client:
            answer = await client.get(
                f"http://sandbox/api/v1/leads?per_page={SAMPLES}",
                headers={"X-API-Key": FULL_KEY, "Accept": "application/json"},
            )
        return answer.raise_for_status().content

    listing = msgspec.json.decode(asyncio.run(fetch()), type=_Listing)
    return [bytes(lead).partition(b",")[2] for lead in listing.data]


@dataclass
class Book:
    """All leads there are: their ids, in order, and what they say."""

    ids: list[int]
    samples: list[bytes] = field(default_factory=sample_leads)
    vanishing: int = 0

    def lead(self, number: int) -> bytes:
        """One lead's JSON."""
        return b'{"id":%d,%b' % (number, self.samples[number % SAMPLES])

    def epoch_lead(self, number: int) -> bytes:
        """The same where moments are whole seconds, as some services have it."""
        return _MOMENT.sub(b'"created_at":1756714380', self.lead(number))

    def answer(self, number: int) -> bytes:
        """The body of `GET /leads/{id}`."""
        return b'{"success":true,"lead":%b}' % self.lead(number)

    def page(self, number: int, size: int) -> bytes:
        """The body of a page of the list."""
        last = max(1, math.ceil(len(self.ids) / size))
        return b'{"success":true,"data":[%b],"meta":%b}' % (
            self._shown(number, size, self.lead),
            msgspec.json.encode(
                {
                    "total": len(self.ids),
                    "per_page": size,
                    "current_page": number,
                    "last_page": last,
                    "has_more": number < last,
                }
            ),
        )

    def linked_page(self, path: str, number: int, size: int) -> bytes:
        """The same page as services with links between their pages write it."""
        more = number * size < len(self.ids)
        links = {"next": {"href": f"{path}?page={number + 1}&limit={size}"}} if more else {}
        return b'{"_page":%d,"_links":%b,"_embedded":{"leads":[%b]}}' % (
            number,
            msgspec.json.encode(links),
            self._shown(number, size, self.epoch_lead),
        )

    def _shown(self, number: int, size: int, write: Callable[[int], bytes]) -> bytes:
        data = b",".join(map(write, self.ids[(number - 1) * size : number * size]))
        if self.vanishing and number > 1:
            # Somebody deletes a lead that every reader has seen by now.
            self.vanishing -= 1
            del self.ids[0]
        return data


# ------------------------------------------------------------------------------------------ serving


class _Window:
    """A fixed window that the first counted request opens, as a cache limiter keeps it."""

    def __init__(self, calls: int | None, seconds: float) -> None:
        self._calls = calls
        self._seconds = seconds
        self._ends, self._count = -math.inf, 0
        self.arrivals: list[Arrival] = []

    def arrive(self) -> int | None:
        """Count a request; when there is no room left, say its Retry-After."""
        if self._calls is None:
            return None
        now = time.monotonic()
        if now >= self._ends:
            self._ends, self._count = now + self._seconds, 0
        refused = self._count == self._calls
        self.arrivals.append(Arrival(now, refused))
        if refused:
            # From whole seconds, as such servers say it: up to one too short.
            return max(0, math.floor(self._ends) - math.floor(now))
        self._count += 1
        return None


class _Answering(asyncio.Protocol):
    """One connection."""

    def __init__(self, book: Book, window: _Window, latency: tuple[float, float]) -> None:
        self._book = book
        self._window = window
        self._latency = latency
        self._waiting = b""
        self._line: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what TCP servers get
        self._line = transport

    def data_received(self, data: bytes) -> None:
        *requests, self._waiting = (self._waiting + data).split(_END)
        for request in requests:
            self._take(request + b"\r\n")

    def _take(self, request: bytes) -> None:
        if not self._latency[1]:
            self._say(self._answer(request))
            return
        loop = asyncio.get_running_loop()
        up, down = (random.uniform(*self._latency) / 2 for _ in "ud")  # noqa: S311 - no secret

        def count() -> None:
            loop.call_later(down, self._say, self._answer(request))

        loop.call_later(up, count)

    def _say(self, answer: bytes) -> None:
        if self._line is not None and not self._line.is_closing():
            self._line.write(answer)

    def _answer(self, request: bytes) -> bytes:
        wait = self._window.arrive()
        if wait is not None:
            body = b'{"message":"Rate limit excedido para esta API Key.","retry_after":%d}' % wait
            return _whole(b"429 Too Many Requests", body, b"Retry-After: %d\r\n" % wait)
        asked = _REQUEST.match(request)
        if asked is None:
            return _whole(b"404 Not Found", b'{"message":"There is no such page."}')
        path, number, query = asked.groups()
        # The path of a service with links between its pages.
        linked = path.endswith(b"/v4/leads")
        if number is not None:
            one = int(number)
            return _whole(
                b"200 OK", self._book.epoch_lead(one) if linked else self._book.answer(one)
            )
        page, size = _named(query, b"page", 1), _named(query, b"per_page", 50)
        if linked:
            url, size = (
                f"http://{_host(request).decode()}{path.decode()}",
                _named(query, b"limit", 250),
            )
            return _whole(b"200 OK", self._book.linked_page(url, page, size))
        more = page * size < len(self._book.ids)
        # For those who read on where a header says.
        link = b"/linked/v1/leads?page=%d&per_page=%d" % (page + 1, size)
        header = b'Link: <http://%b%b>; rel="next"\r\n' % (_host(request), link)
        header = header if more and path.startswith(b"/linked") else b""
        return _whole(b"200 OK", self._book.page(page, size), header)


def _host(request: bytes) -> bytes:
    found = re.search(rb"\r\nhost: (\S+)", request, re.IGNORECASE)
    return found[1] if found else b""


def _named(query: bytes | None, name: bytes, otherwise: int) -> int:
    found = re.search(rb"(?:^|&)%b=(\d+)" % name, query or b"")
    return int(found[1]) if found else otherwise


def _whole(status: bytes, body: bytes, more: bytes = b"") -> bytes:
    return _HEAD % (status, len(body), more) + body


class Elsewhere:
    """The server in the other process."""

    def __init__(self, line: Connection[Any, Any]) -> None:
        self._line = line
        self.host: str = line.recv()
        self.url = f"{self.host}/api/v1"

    def arrivals(self) -> list[Arrival]:
        """All requests so far, where it keeps a limit."""
        return self._ask("arrivals")

    def ids(self) -> list[int]:
        """Which leads there are now."""
        return self._ask("ids")

    def _ask(self, what: str) -> list[Any]:
        self._line.send(what)
        answer: list[Any] = self._line.recv()
        return answer


@contextmanager
def serving(**settings: Any) -> Iterator[Elsewhere]:
    """Serve until the block ends; the settings are those of `Setting`.

    `leads` there are, numbered from 1. `calls` in `window` seconds are let through, all without
    it. An answer takes `latency` seconds, drawn between these two, and is counted on its way.
    `vanishing`: after each of so many pages but the first, the first lead of all is deleted.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    arguments = (there, sample_leads(), Setting(**settings))
    process = context.Process(target=_serve, args=arguments, daemon=True)
    process.start()
    there.close()
    try:
        yield Elsewhere(here)
    finally:
        here.close()
        process.join(_PATIENCE)


def _serve(line: Connection[Any, Any], samples: list[bytes], setting: Setting) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    book = Book(list(range(1, setting.leads + 1)), samples, setting.vanishing)
    window = _Window(setting.calls, setting.window)
    answers: dict[str, Callable[[], list[Any]]] = {
        "arrivals": lambda: window.arrivals,
        "ids": lambda: book.ids,
    }

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        left = asyncio.Event()

        def hear() -> None:
            try:
                line.send(answers[line.recv()]())
            except (EOFError, OSError):
                loop.remove_reader(line.fileno())
                left.set()

        server = await loop.create_server(
            lambda: _Answering(book, window, setting.latency), "127.0.0.1", 0, backlog=2048
        )
        line.send("http://{}:{}".format(*server.sockets[0].getsockname()))
        loop.add_reader(line.fileno(), hear)
        await left.wait()

    with suppress(EOFError, OSError):
        asyncio.run(serve())

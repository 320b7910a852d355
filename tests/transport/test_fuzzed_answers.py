"""Whatever a server says, a call ends: with a value, or with an error of ours."""

from __future__ import annotations

import asyncio
import gzip
import pickle
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from syncro_async import SYNCRO, AsyncClient, Dialect, RetryPolicy
from syncro_async.errors import (
    CircuitOpenError,
    ProviderAuthenticationError,
    ProviderRateLimitedError,
    ReauthenticationRequiredError,
    SyncroError,
)
from syncro_async.testing.fake_clock import FakeClock
from tests.transport.scripted_app import BASE_URL, KEY
from tests.transport.scripted_server import ScriptedServer, drops
from tests.transport.test_broken_connections import client_of

CODES = {
    "NEEDS_REAUTH": ReauthenticationRequiredError,
    "PROVIDER_AUTH_FAILED": ProviderAuthenticationError,
    "PROVIDER_RATE_LIMITED": ProviderRateLimitedError,
    "CIRCUIT_OPEN": CircuitOpenError,
}
DIALECTS = [
    SYNCRO,
    replace(SYNCRO, codes=CODES, uncounted_statuses=frozenset(), min_retry_after=60.0),
]
CALLS: list[Callable[[AsyncClient], Awaitable[object]]] = [
    lambda client: client.leads.get(7, include=["owner", "tasks", "siblings"]),
    lambda client: client.leads.list(max_items=3).collect(),
    lambda client: client.leads.list().first(),
    lambda client: client.leads.list().count(),
    lambda client: client.leads.create(name="Ana", pipeline_id=1, stage_id=4),
    lambda client: client.leads.upsert(phone="+55119"),
    lambda client: client.leads.delete(7),
    lambda client: client.leads.add_tags(7, ["vip"]),
    lambda client: client.leads.enroll(7, sequence_id=1),
    lambda client: client.leads.send_whatsapp(7, body="Olá"),
    lambda client: client.request("GET", "/x"),
    lambda client: client.request("POST", "/x", json={}, type=dict[str, int]),
]

# ---------------------------------------------------------------------- what a server may say

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([7, 0, -1, 10**30, "7", "7.5", "nan", "1e400", "vip", "window_closed"])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["2026-06-30T10:00:00Z", "2026-06-30", *CODES])
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
# Names that mean something somewhere, so that what stands under them is looked at.
NAMES = st.sampled_from(
    [
        *("success", "message", "errors", "error", "code", "details", "statusCode", "data", "meta"),
        *(
            "lead",
            "created",
            "id",
            "tags",
            "value",
            "created_at",
            "custom_fields",
            "owner",
            "tasks",
        ),
        *("siblings", "blocked", "limit_reached", "skip_reason", "pending_tasks", "raw", "type"),
        *("retry_after", "required_permission", "subject", "total", "last_page", "current_page"),
        *("has_more", "per_page", "lead_id", "sequence_id", "status", "message_id"),
    ]
)
OBJECTS = st.dictionaries(NAMES, ANYTHING, max_size=5)
SYNCROS = st.fixed_dictionaries(
    {"message": ANYTHING}, optional={"success": ANYTHING, "errors": ANYTHING | OBJECTS}
)
NESTED = st.fixed_dictionaries(
    {
        "error": st.fixed_dictionaries(
            {"code": SCALARS}, optional={"message": SCALARS, "details": ANYTHING}
        )
    },
    optional={"success": st.booleans()},
)
FLAT = st.fixed_dictionaries(
    {"statusCode": SCALARS, "code": SCALARS}, optional={"message": SCALARS, "errors": ANYTHING}
)
LEADS = st.dictionaries(NAMES, ANYTHING | OBJECTS, max_size=4).map(lambda lead: {"id": 7, **lead})
GOOD = st.fixed_dictionaries(
    {"lead": LEADS, "created": st.booleans() | SCALARS}, optional={"success": SCALARS}
)
PAGES = st.fixed_dictionaries(
    {
        "data": st.lists(LEADS | ANYTHING, max_size=3),
        "meta": OBJECTS | st.just({"total": 1, "per_page": 1, "current_page": 1, "last_page": 1}),
    }
)
JSON = (SYNCROS | NESTED | FLAT | GOOD | PAGES | OBJECTS | ANYTHING).map(msgspec.json.encode)


def cut(content: bytes, at: int) -> bytes:
    return content[: at % (len(content) + 1)]


BODIES = (
    JSON
    | st.builds(cut, JSON, st.integers(0, 1000))
    | JSON.map(gzip.compress)
    | st.builds(cut, JSON.map(gzip.compress), st.integers(0, 1000))
    | JSON.map(lambda content: b"\xef\xbb\xbf" + content)
    | st.binary(max_size=50)
    | st.integers(1, 3000).map(lambda depth: b"[" * depth + b"]" * depth)
    | st.integers(1, 3000).map(lambda depth: b'{"errors":' * depth + b"1" + b"}" * depth)
)
VALUES = st.text(
    alphabet=st.characters(min_codepoint=32, max_codepoint=255), max_size=30
) | st.sampled_from(
    [
        *("0", "7", "3600", "-1", "1e309", "Tue, 30 Jun 2026 12:00:30 GMT", "soon"),
        *("gzip", "br", "gzip, gzip", "identity", "text/html", "application/json"),
        *("/login", "https://evil.invalid/x", "http://[::1", "https://host:port/", "//", "\xff"),
    ]
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("Retry-After", "Date", "Content-Type", "Content-Encoding", "Location"),
                *("Set-Cookie", "X-RateLimit-Remaining", "Content-Length"),
            ]
        ),
        VALUES,
    ),
    max_size=4,
)
STATUSES = st.sampled_from(
    [200, 200, 200, 201, 204, 301, 302, 304, 400, 401, 403, 404, 409, 422, 422, 429, 500, 502, 503]
) | st.integers(100, 999)


@dataclass(frozen=True)
class Said:
    """One whole answer."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


ANSWERS = st.builds(Said, STATUSES, BODIES, HEADERS.map(tuple))

# What once got through: an answer that ended in an error that is none of ours, in one that could
# not be pickled, in half the data or in far too much of it.
CORPUS = [
    Said(422, b'{"errors": {"a": ' + b"[" * 800 + b"]" * 800 + b"}}"),
    Said(200, gzip.compress(b"{}")[:10], (("Content-Encoding", "gzip"),)),
    Said(200, gzip.compress(gzip.compress(b"{}")), (("Content-Encoding", "gzip, gzip"),)),
    Said(200, b'{"lead": {"id": 7, "value": "nan"}}'),
    Said(200, b'{"lead": ' + b"[" * 100_000),
    Said(302, b"", (("Location", "https://host:port/x"),)),
    Said(429, b'{"retry_after": 1' + b"0" * 400 + b"}", (("Retry-After", "1" * 400),)),
    Said(503, b'{"retry_after": "' + "²".encode() + b'"}', (("Retry-After", "²"),)),
    Said(400, b'{"error": {"code": [], "message": {}, "details": {"a": null}}, "errors": 5}'),
    Said(422, b'{"blocked": true, "pending_tasks": [5, {"id": {}}, {"subject": [1]}]}'),
    Said(200, b'{"data": [null, {"id": []}], "meta": {"total": "x", "last_page": -1}}'),
    Said(401, b"\xff\xfe\x00", (("Content-Type", "\xff"), ("Content-Type", "text/html"))),
]
for_corpus = pytest.mark.parametrize("said", CORPUS, ids=range(len(CORPUS)))


class Says(httpx.AsyncBaseTransport):
    """Answers everything alike, with bytes that no server library has put in order."""

    def __init__(self, said: Said) -> None:
        self.said = said

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        headers = [
            (name.encode(), value.encode("latin-1", "replace")) for name, value in self.said.headers
        ]
        return httpx.Response(self.said.status, headers=headers, stream=Body(self.said.body))


class Body(httpx.AsyncByteStream):
    """A body in two pieces."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        half = len(self.content) // 2
        yield self.content[:half]
        yield self.content[half:]


async def outcomes(said: Said, dialect: Dialect) -> list[BaseException]:
    """The errors that come of this answer to each of the calls, in virtual time."""
    options: dict[str, Any] = {
        "base_url": BASE_URL,
        "clock": FakeClock(),
        "transport": Says(said),
        "dialect": dialect,
        "retry": RetryPolicy(attempts=2, max_elapsed=20.0),
        "max_wait": 100.0,
    }
    async with AsyncClient(KEY, **options) as client:
        ends = [await asyncio.gather(call(client), return_exceptions=True) for call in CALLS]
        assert client.budget().in_flight == 0
    return [end for (end,) in ends if isinstance(end, BaseException)]


def check(errors: list[BaseException]) -> None:
    """They are ours, they can be shown, they travel, and none shows the key."""
    for error in errors:
        assert isinstance(error, SyncroError), repr(error)
        revived = pickle.loads(pickle.dumps(error))
        assert (type(revived), str(revived)) == (type(error), str(error))
        assert KEY not in f"{error}{error!r}{vars(error)}"
        str(error).encode()  # a log file takes it


@for_corpus
@pytest.mark.parametrize("dialect", DIALECTS, ids=["fields", "codes"])
async def test_what_once_got_through_does_not_again(said: Said, dialect: Dialect) -> None:
    check(await outcomes(said, dialect))


@settings(max_examples=250, deadline=None)
@given(ANSWERS, st.sampled_from(DIALECTS))
def test_any_answer_ends_in_a_value_or_in_an_error_of_ours(said: Said, dialect: Dialect) -> None:
    check(asyncio.run(outcomes(said, dialect)))


# ---------------------------------------------------------------------- byte for byte

PARTS = st.sampled_from(
    [
        *(b"HTTP/1.1 200 OK", b"HTTP/1.1 429 No", b"HTTP/1.0 500 No", b"HTTP/1.1 103 Early"),
        *(b"HTTP/1.1 101 Other", b"HTTP/1.1 302 Found", b"HTTP/1.1 204 None", b"HTTP/1.1 099 X"),
        *(b"\r\n", b"\r\n", b"\r\n\r\n", b"\n", b" ", b"0\r\n\r\n", b"5\r\n", b"zz\r\n", b"\x00"),
        *(b"Content-Length: 24\r\n", b"Content-Length: 5\r\n", b"Content-Length: -1\r\n"),
        *(b"Transfer-Encoding: chunked\r\n", b"Content-Encoding: gzip\r\n", b"Location: /x\r\n"),
        *(b"Connection: close\r\n", b"Retry-After: 1\r\n", b"X" * 1000, b": y\r\n"),
        *(b'{"lead": {"id": 7}}', b'{"success": true}', gzip.compress(b'{"success": true}')),
    ]
)
RAW = st.lists(PARTS | st.binary(max_size=10), max_size=8).map(b"".join)
WHOLE = st.builds(
    lambda head, fields, body: b"HTTP/1.1 " + head + b"\r\n" + b"".join(fields) + b"\r\n" + body,
    st.sampled_from([b"200 OK", b"201", b"404 No", b"422 No", b"500 No", b"100 Go on", b"999 X"]),
    st.lists(PARTS, max_size=3),
    RAW | JSON,
)


async def outcomes_on_a_socket(raw: bytes) -> list[BaseException]:
    """The errors that come of these bytes, and then of the end of the connection."""
    options = {
        "retry": RetryPolicy(attempts=2, base_delay=0.0, max_elapsed=0.5),
        "max_wait": 0.5,
        # Loading the certificates of the world for every example would take longer than the rest.
        "transport": httpx.AsyncHTTPTransport(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)),
    }
    async with ScriptedServer(drops(raw, reset=False)) as server:
        async with client_of(server, **options) as client:
            ends = await asyncio.gather(
                client.leads.get(7),
                client.leads.create(name="Ana", pipeline_id=1, stage_id=4),
                client.leads.delete(7),
                return_exceptions=True,
            )
            assert client.budget().in_flight == 0
        await server.closed()
        assert sum(request.startswith(b"POST /") for request in server.requests) == 1
    return [end for end in ends if isinstance(end, BaseException)]


@settings(max_examples=80, deadline=None)
@given(RAW | WHOLE)
@example(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nabc")
@example(b"HTTP/1.1 204 No\r\nContent-Length: 17\r\n\r\n" + b'{"success": true}')
@example(b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
def test_any_bytes_do_so_on_a_socket(raw: bytes) -> None:
    check(asyncio.run(outcomes_on_a_socket(raw)))

"""The fault matrix: what can go wrong, and what then becomes of a call of each kind.

Run as a program it prints the page of the documentation that shows it.
"""

from __future__ import annotations

import errno
import gzip
import socket as sockets
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from syncro_async.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ConnectionFailedError,
    NoAnswerError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    ProviderError,
    RateLimitedError,
    RequestTimeoutError,
    ServerError,
    ServiceUnavailableError,
    SyncroError,
    UnexpectedResponseError,
    UnprocessableError,
    ValidationError,
)
from syncro_async.sandbox import Trouble
from tests.paging.test_ends import ENDLESS, LOSSLESS
from tests.transport.fault_stages import (
    WELL,
    Stage,
    network,
    no_tls,
    outlast,
    proxy,
    sandbox,
    socket,
)
from tests.transport.scripted_server import Connection, answers, drops, http

Kind = Literal["read", "repeatable write", "other write"]
KINDS: tuple[Kind, ...] = ("read", "repeatable write", "other write")
# How often a call is sent at most.
ATTEMPTS = 4


@dataclass(frozen=True)
class Fine:
    """The fault is none: the call succeeds at once."""

    def __str__(self) -> str:
        return "succeeds · 1"


@dataclass(frozen=True)
class Once:
    """Raised at once, and never sent again."""

    error: type[SyncroError]

    def __str__(self) -> str:
        return f"`{self.error.__name__}` · 1"


@dataclass(frozen=True)
class Again:
    """Sent again after `wait` seconds; `error` when it is the same every time.

    A 429 is no attempt: such calls end with the time they have, not with the attempts.
    """

    error: type[SyncroError]
    wait: float = 0.0
    attempts: int | None = ATTEMPTS

    def __str__(self) -> str:
        after = f" after {self.wait:g} s" if self.wait else ""
        times = "" if self.attempts is None else f" · {self.attempts}"
        return f"again{after}, then `{self.error.__name__}`{times}"


Verdict = Fine | Once | Again


@dataclass(frozen=True)
class Fault:
    """One row: how it is staged, what becomes of each kind of call, and of the slot it took.

    `slot`: "back" at once, "answer": its clock starts at the headers, "loss": five seconds after
    the attempt was given up. Without `asks` no request reaches the server, and a fault that does
    not `recover` is one whose server never comes to its senses.
    """

    stage: Stage
    verdicts: Mapping[Kind, Verdict]
    slot: Literal["back", "answer", "loss"]
    asks: bool = True
    recovers: bool = True


def alike(verdict: Verdict) -> dict[Kind, Verdict]:
    """All kinds of calls fare the same."""
    return dict.fromkeys(KINDS, verdict)


def not_for_writes(error: type[SyncroError], instead: type[SyncroError]) -> dict[Kind, Verdict]:
    """Sent again where that can do no harm; the others hear of `instead`."""
    return {**alike(Again(error)), "other write": Once(instead)}


def lost(stage: Stage, error: type[SyncroError] = NoAnswerError, **more: Any) -> Fault:
    """No whole answer: nobody knows what was done."""
    return Fault(stage, not_for_writes(error, OutcomeUnknownError), **{"slot": "loss", **more})


def never_sent(stage: Stage, **more: Any) -> Fault:
    """Nothing reached the server, so nothing speaks against another attempt."""
    return Fault(stage, alike(Again(ConnectionFailedError)), "back", asks=False, **more)


def final(stage: Stage, error: type[SyncroError] = UnexpectedResponseError) -> Fault:
    """An answer came, and another one would be no better."""
    return Fault(stage, alike(Once(error)), "answer")


def says(status: int, body: Any = None, **headers: str) -> Stage:
    """The sandbox answers that; a `_` in a header's name stands for a `-`."""
    pairs = {name.replace("_", "-"): value for name, value in headers.items()}
    return sandbox(Trouble(status=status, body=body, headers=pairs))


def answered(body: bytes, **headers: str) -> Stage:
    """The sandbox does what it is asked, and says something odd."""
    pairs = {name.replace("_", "-"): value for name, value in headers.items()}
    return sandbox(Trouble(body=body, headers=pairs))


def raw(head: str, body: bytes = b"") -> Stage:
    """A server that answers with these very bytes and hangs up."""
    return socket(drops(head.replace("\n", "\r\n").encode("latin-1") + body, reset=False))


def limited(seconds: float, body: Any = None, **headers: str) -> Fault:
    """A 429: every call waits, and no attempt is charged."""
    verdict = Again(RateLimitedError, wait=seconds, attempts=None)
    return Fault(says(429, body, **headers), alike(verdict), "back")


async def hangs_up(connection: Connection) -> None:
    await connection.hello()
    connection.reset()


async def says_nothing(connection: Connection) -> None:
    await connection.hello()
    await connection.gone()


async def silent(connection: Connection) -> None:
    await connection.request()
    await connection.gone()


async def drips(connection: Connection) -> None:
    await connection.request()
    for byte in WELL[:40]:
        await connection.send(bytes([byte]))
    await connection.gone()


async def talks_http(connection: Connection) -> None:
    await connection.hello()
    await connection.send(http(b"", "400 The plain HTTP request was sent to HTTPS port"))


async def no_address() -> None:
    raise sockets.gaierror(sockets.EAI_NONAME, "Name or service not known")


async def no_route() -> None:
    raise OSError(errno.ENETUNREACH, "Network is unreachable")


async def refuses() -> None:
    raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


async def times_out() -> None:
    raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")


UNTRUSTED = Fault(
    socket(answers(WELL), served="good"), alike(Once(ConnectionFailedError)), "back", asks=False
)
FULL = b'{"success": true, "created": true, "lead": {"id": 7}}'
HALF = WELL[:-20]
PACKED = gzip.compress(FULL)
CHUNKED = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n"
HTML = "text/html; charset=UTF-8"
PAGE = b"<!doctype html><html><title>Entrar</title></html>"
NO_MESSAGE = b""
DEEP = b"[" * 100_000
DATED = {
    "date": "Tue, 30 Jun 2026 11:50:00 GMT",  # ten minutes behind the client's clock
    "retry_after": "Tue, 30 Jun 2026 11:50:20 GMT",
}

NO_CONNECTION: dict[str, Fault] = {
    "the name has no address": never_sent(network("getaddrinfo", no_address)),
    "nobody listens": never_sent(network("sock_connect", refuses)),
    "the network is unreachable": never_sent(network("sock_connect", no_route)),
    "the connection is never accepted": never_sent(network("sock_connect", times_out)),
    "the certificate is trusted by nobody": UNTRUSTED,
    "the certificate has expired": Fault(
        socket(answers(WELL), served="expired", trusted="expired"),
        alike(Once(ConnectionFailedError)),
        "back",
        asks=False,
    ),
    "the certificate is another host's": Fault(
        socket(answers(WELL), served="for another host", trusted="for another host"),
        alike(Once(ConnectionFailedError)),
        "back",
        asks=False,
    ),
    "the server demands a client certificate": Fault(
        socket(answers(WELL), served="good", trusted="good", demands=True),
        alike(Once(ConnectionFailedError)),
        "back",
        asks=False,
    ),
    "the TLS handshake is cut off": never_sent(no_tls(hangs_up), recovers=False),
    "the TLS handshake gets no reply": never_sent(
        no_tls(says_nothing, timeout=0.05), recovers=False
    ),
    "the server talks HTTP where TLS belongs": never_sent(no_tls(talks_http), recovers=False),
    "the proxy wants a password (407)": Fault(
        proxy(answers(http(b"", "407 Proxy Authentication Required"))),
        alike(Once(ConnectionFailedError)),
        "back",
        asks=False,
    ),
    "the proxy cannot reach the server (502)": never_sent(
        proxy(drops(http(b"", "502 Bad Gateway"), reset=False))
    ),
    "the proxy answers CONNECT with garbage": never_sent(
        proxy(drops(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", reset=False))
    ),
    "the proxy drops the connection": never_sent(proxy(drops())),
}

NO_ANSWER: dict[str, Fault] = {
    "reset before the status line": lost(socket(drops())),
    "closed before the status line": lost(socket(drops(reset=False))),
    "reset after the write was applied": lost(sandbox(Trouble(lose_answer=True))),
    "garbage for a status line": lost(raw("SSH-2.0-OpenSSH_9.6\n\n")),
    "an answer in HTTP/0.9": lost(raw("", FULL)),
    "only 1xx, then the end": lost(raw("HTTP/1.1 103 Early Hints\n\n")),
    "101, another protocol": lost(raw("HTTP/1.1 101 Switching Protocols\nUpgrade: x\n\n")),
    "a header of 100 kB and more": lost(raw("HTTP/1.1 200 OK\nX: " + "x" * 110_000)),
    "a header without a colon": lost(raw("HTTP/1.1 200 OK\nNonsense\n\n", FULL)),
    "closed in the headers": lost(raw("HTTP/1.1 200 OK\nContent-Ty")),
    "Content-Length: -1": lost(raw("HTTP/1.1 200 OK\nContent-Length: -1\n\n", FULL)),
    "two lengths that differ": lost(
        raw("HTTP/1.1 200 OK\nContent-Length: 53\nContent-Length: 5\n\n", FULL)
    ),
    "an unknown transfer coding": lost(raw("HTTP/1.1 200 OK\nTransfer-Encoding: x\n\n", FULL)),
    "no answer in time": lost(socket(silent, meanwhile=outlast), RequestTimeoutError),
    "headers that drip": lost(socket(drips, meanwhile=outlast), RequestTimeoutError),
    "reset in the body": lost(socket(drops(HALF)), slot="answer"),
    "closed in the body": lost(socket(drops(HALF, reset=False)), slot="answer"),
    "no last chunk": lost(raw(CHUNKED, b"5\r\n" + FULL[:5] + b"\r\n"), slot="answer"),
    "garbage for a chunk": lost(raw(CHUNKED, b"zz\r\n" + FULL), slot="answer"),
    "a chunk longer than it says": lost(raw(CHUNKED, b"5\r\n" + FULL), slot="answer"),
}

ODD_ANSWERS: dict[str, Fault] = {
    "bytes behind the answer": Fault(socket(answers(WELL + b"OK")), alike(Fine()), "answer"),
    "two answers to one request": Fault(socket(answers(WELL * 2)), alike(Fine()), "answer"),
    "1xx before the answer": Fault(
        raw("HTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early Hints\n\n", WELL), alike(Fine()), "answer"
    ),
    "headers after 25 s": Fault(sandbox(Trouble(delay=25.0)), alike(Fine()), "answer"),
    "a Content-Length that is too small": final(
        raw("HTTP/1.1 200 OK\nContent-Length: 20\n\n", FULL)
    ),
    "gzip cut short": final(answered(PACKED[:-8], content_encoding="gzip")),
    "gzip of several members": Fault(
        answered(gzip.compress(FULL[:9]) + gzip.compress(FULL[9:]), content_encoding="gzip"),
        alike(Fine()),
        "answer",
    ),
    "gzip with zeros behind it": Fault(
        answered(PACKED + bytes(512), content_encoding="gzip"), alike(Fine()), "answer"
    ),
    "gzip with other bytes behind it": final(answered(PACKED + b"OK", content_encoding="gzip")),
    "gzip with bytes behind its zeros": final(
        answered(PACKED + bytes(8) + PACKED, content_encoding="gzip")
    ),
    "gzip and identity": Fault(
        answered(PACKED, content_encoding="gzip, identity"), alike(Fine()), "answer"
    ),
    "gzip twice": final(answered(gzip.compress(PACKED), content_encoding="gzip, gzip")),
    "deflate, which nobody asked for": Fault(
        answered(zlib.compress(FULL), content_encoding="deflate"), alike(Fine()), "answer"
    ),
    "gzip that is none": final(answered(FULL, content_encoding="gzip")),
    "a coding nobody asked for": final(answered(FULL, content_encoding="br")),
    "a body of more than 64 MB": final(
        answered(gzip.compress(b" " * (64 * 2**20 + 1), 1), content_encoding="gzip")
    ),
    "a login page under 200": final(answered(PAGE, content_type=HTML)),
    "JSON cut short": final(answered(FULL[:30])),
    "a warning in front of the JSON": final(answered(b"Warning: x in y on line 3\n" + FULL)),
    "a byte order mark": Fault(answered(b"\xef\xbb\xbf" + FULL), alike(Fine()), "answer"),
    "latin-1 in the JSON": final(answered(b'{"lead": {"id": 7, "name": "Jos\xe9"}, "created": 1}')),
    "half a character in a text": final(
        answered(b'{"lead": {"id": 7, "name": "\\ud83d"}, "created": true}')
    ),
    "shapes of PHP: an unset date, an empty text for null, a list with gaps": Fault(
        answered(
            b'{"created": true, "lead": {"id": 7, "birthday": "0000-00-00", "value": "",'
            b' "tags": {"0": "vip", "2": "new"}, "owner": []}}'
        ),
        alike(Fine()),
        "answer",
    ),
    "values that would take more than 80 MB": final(
        answered(
            gzip.compress(b'{"created": true, "x": [' + b"{}," * 300_000 + b"{}]}", 1),
            content_encoding="gzip",
        )
    ),
    "NaN for a number": final(answered(b'{"lead": {"id": NaN}, "created": true}')),
    "1e400 for a number": final(answered(b'{"lead": {"id": 1e400}, "created": true}')),
    "the text nan for an amount": final(
        answered(b'{"lead": {"id": 7, "value": "nan"}, "created": true}')
    ),
    "a depth of 100,000": final(answered(b'{"created": true, "lead": ' + DEEP)),
    "a name twice in one object": Fault(
        answered(b'{"created": true, "lead": {"id": 1}, "lead": {"id": 7}}'),
        alike(Fine()),
        "answer",
    ),
    "fields nobody knows": Fault(
        answered(b'{"created": true, "new": [], "lead": {"id": "7", "hot": {}}}'),
        alike(Fine()),
        "answer",
    ),
    "a list where an object belongs": final(answered(b'[{"id": 7}]')),
    "an object without its lead": final(answered(b'{"success": true}')),
    "a word for an id": final(answered(b'{"created": true, "lead": {"id": "seven"}}')),
    "null": final(answered(b"null")),
    "`success: false` under 200": final(answered(b'{"success": false}'), APIError),
    "an empty 200": final(answered(b"")),
    "204 where a lead belongs": final(says(204)),
    "304": final(says(304)),
    "301 to another host": final(says(301, location="https://evil.invalid/take")),
    "302 to a login page": final(says(302, b"", location="/login")),
    "307 to nowhere": final(says(307, b"", location="http://[::1")),
}

REFUSALS: dict[str, Fault] = {
    "429, header and body 7": limited(8.0, {"retry_after": 7}, retry_after="7"),
    "429, Retry-After: 0": limited(1.0, retry_after="0"),
    "429, header 3, body 9": limited(10.0, {"retry_after": 9}, retry_after="3"),
    "429, header alone": limited(6.0, NO_MESSAGE, retry_after="5"),
    "429, body alone, as text": limited(13.0, {"retry_after": "12"}),
    "429, 12.5 in the body": limited(13.5, {"retry_after": 12.5}),
    "429, Retry-After: 2.5": limited(3.5, retry_after="2.5"),
    "429, a negative time": limited(61.0, {"retry_after": -1}, retry_after="-1"),
    "429, rubbish": limited(61.0, {"retry_after": [5]}, retry_after="soon"),
    "429, no time at all, in HTML": limited(61.0, PAGE, content_type=HTML),
    "429, a date, the server's clock off by ten minutes": limited(21.0, **DATED),
    "429, a date in the past": limited(1.0, retry_after="Tue, 30 Jun 2026 11:00:00 GMT"),
    "429, a day": Fault(says(429, retry_after="86400"), alike(Once(RateLimitedError)), "back"),
    "401": Fault(
        says(401, {"message": "API Key expirada."}), alike(Once(AuthenticationError)), "back"
    ),
    "403": Fault(
        says(403, {"message": "API Key sem permissão."}),
        alike(Once(PermissionDeniedError)),
        "back",
    ),
    "400": final(says(400), BadRequestError),
    "404": final(says(404), NotFoundError),
    "405": final(says(405), APIError),
    "409": final(says(409), ConflictError),
    "422 with fields": final(says(422, {"errors": {"name": ["?"]}}), ValidationError),
    "422 with 100,000 letters": final(
        says(422, {"message": "a" * 100_000, "errors": {"name": ["a" * 100_000]}}),
        ValidationError,
    ),
    "422 without": final(says(422, b"{"), UnprocessableError),
    "501": final(says(501), ServerError),
    "408": Fault(says(408), not_for_writes(APIError, OutcomeUnknownError), "answer"),
    "425": Fault(says(425), alike(Again(APIError)), "answer"),
    "502 with Retry-After: 20": Fault(
        says(502, retry_after="20"),
        {**alike(Again(ProviderError, wait=20.0)), "other write": Once(ProviderError)},
        "answer",
    ),
    "503 with Retry-After: 20": Fault(
        says(503, retry_after="20"),
        {
            **alike(Again(ServiceUnavailableError, wait=20.0)),
            "other write": Once(ServiceUnavailableError),
        },
        "answer",
    ),
    "503 with Retry-After: 3600": final(says(503, retry_after="3600"), ServiceUnavailableError),
    "503 without a time": Fault(
        says(503), not_for_writes(ServiceUnavailableError, ServiceUnavailableError), "answer"
    ),
}
for _status, _error in {
    500: ServerError,
    502: ProviderError,
    504: ServerError,
    522: ServerError,
}.items():
    for _dress, _stage in {
        "in JSON": says(_status, {"message": "não"}),
        "in HTML": says(_status, PAGE, content_type=HTML),
        "as text": says(_status, b"upstream sent too big header", content_type="text/plain"),
        "without a body": says(_status, NO_MESSAGE),
    }.items():
        REFUSALS[f"{_status} {_dress}"] = Fault(_stage, not_for_writes(_error, _error), "answer")

CHAPTERS = {
    "No connection": NO_CONNECTION,
    "No whole answer": NO_ANSWER,
    "An odd answer": ODD_ANSWERS,
    "A refusal": REFUSALS,
}
MATRIX = {name: fault for chapter in CHAPTERS.values() for name, fault in chapter.items()}


_SLOT = {
    "back": "handed back at once",
    "answer": "runs from the answer",
    "loss": "runs from 5 s after the loss",
}


_INTRODUCTION = """\
# When something fails: fault by fault

Printed from the table that the tests run (`tests/transport/faults.py`): each fault on a real
socket or in the sandbox, with each kind of call, once passing after the first attempt and once
staying.

- A *read* is any GET, a *repeatable write* any PUT or DELETE, `upsert` and `add_tags`; every other
  POST or PATCH is an *other write*. Here they are `leads.get`, `leads.upsert` and `leads.create`.
- The number is how often the call is sent. *again*: it succeeds when the next attempt does; the
  error is raised when the fault stays, after four attempts. A 429 is no attempt: those calls end
  when the next pause would not fit `max_elapsed` (300 s) or `max_wait`.
- The *slot* is what the attempt took from the budget of 60 requests a minute.
- Afterwards no socket, task or thread is left, and no write was carried out twice.
- A kept connection that the server has closed before the first byte of a request is no fault: the
  request goes on another one, and neither an attempt nor a slot is spent."""


_LISTS = """
## A list in pages

A record that cannot be read, down to its text, is reported with its bytes; the others of its page
come. Each list is read page by page, ahead, as an export and as a sync
(`tests/paging/test_ends.py`).

| what the server shows | the list | an export or sync of it |
|---|---|---|"""
_JOB = {True: "complete", False: "not called complete"}


def page() -> str:
    """The matrix as a page of the documentation."""
    lines = [_INTRODUCTION]
    for title, faults in CHAPTERS.items():
        lines += ["", f"## {title}", ""]
        lines += [f"| fault | {' | '.join(KINDS)} | its slot |", "|---|---|---|---|---|"]
        for name, fault in faults.items():
            cells = [str(fault.verdicts[kind]) for kind in KINDS]
            lines.append(f"| {name} | {' | '.join(cells)} | {_SLOT[fault.slot]} |")
    lines += [_LISTS]
    for name, (_, _, provable) in LOSSLESS.items():
        lines.append(f"| {name} | every lead that a page shows | {_JOB[provable]} |")
    lines += [f"| {name} | ends, with a warning | {_JOB[False]} |" for name in ENDLESS]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.stdout.write(page())

"""Learns over aiohttp what httpx says by itself: whether a byte of a request may have been sent.

`httpx_aiohttp.AiohttpTransport` reports nothing on the way, and one of its exceptions stands for
many causes. So the session gets a trace of ours, which says when a request is about to be written.
"""

from __future__ import annotations

import select
import sys
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from functools import cache
from itertools import chain
from typing import Any
from weakref import WeakSet

from syncro_async.transport.messages import Attempt, SlotExpired

_MODULES = ("httpx_aiohttp", "httpx_aiohttp.httpx2")

# The attempt whose request the running task sends.
_attempt: ContextVar[Attempt | None] = ContextVar("syncro_async_attempt", default=None)

# The sessions that a transport made by itself. What a server sets in one call is not sent with the
# next one, as over httpx; a session of the caller's does as its own cookie jar says.
_without_cookies: WeakSet[Any] = WeakSet()


class SentAgainError(Exception):
    """aiohttp sends a request again whose connection broke, by itself.

    That would be a request without a slot of the budget.
    """


def goes_over_aiohttp(transport: object) -> bool:
    """Whether that transport is one of httpx-aiohttp's."""
    kinds = (getattr(sys.modules.get(name), "AiohttpTransport", None) for name in _MODULES)
    return isinstance(transport, tuple(kind for kind in kinds if kind is not None))


def watch(transport: Any, attempt: Attempt) -> None:
    """Record in `attempt` what becomes of the request that this task sends over that transport."""
    aiohttp: Any = sys.modules["aiohttp"]
    if not isinstance(transport.client, aiohttp.ClientSession):
        is_theirs = transport.client is not None
        transport.client = transport.get_client()  # as it does itself before its first request
        if not is_theirs:
            _without_cookies.add(transport.client)
    session = transport.client
    if session in _without_cookies:
        session.cookie_jar.clear()
    trace = _trace(aiohttp)
    if trace not in session.trace_configs:
        session.trace_configs.append(trace)
    attempt.bytes_sent = False
    _attempt.set(attempt)
    _close_stray(session.connector)


@cache
def _trace(aiohttp: Any) -> Any:
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(_connected)
    trace.on_request_headers_sent.append(_about_to_write)
    trace.freeze()
    return trace


async def _connected(*_: object) -> None:
    attempt = _attempt.get()
    if attempt is not None:
        attempt.fresh = True


async def _about_to_write(*_: object) -> None:
    """Called before the first byte, in spite of its name."""
    attempt = _attempt.get()
    if attempt is None:  # a request on the same session that is not ours
        return
    if attempt.bytes_sent:
        raise SentAgainError("the connection broke, and aiohttp was kept from sending it again")
    if not attempt.may_send():
        raise SlotExpired
    attempt.bytes_sent = True


def _close_stray(connector: Any) -> None:
    """Close idle connections on which there is something to read.

    It answers nothing, and aiohttp would take it for the answer of the next request.
    """
    idle = getattr(connector, "_conns", None)
    if not idle:
        return
    kept = [entry[0] for entry in chain.from_iterable(list(idle.values()))]
    readable = _readable(kept)
    for protocol in kept:
        if protocol.should_close or _descriptor(protocol) in readable:
            protocol.close()


def _readable(protocols: Iterable[Any]) -> set[int]:
    """The file descriptors on which there is something that the event loop has not read yet."""
    numbers = [number for number in map(_descriptor, protocols) if number >= 0]
    return set(_poll(numbers))


def _poll(numbers: list[int]) -> Iterator[int]:
    if hasattr(select, "poll"):  # `select` cannot take numbers above 1023
        poll = select.poll()
        for number in numbers:
            # mypy for Windows, where there is neither, complains of the constant.
            poll.register(number, select.POLLIN)  # type: ignore[attr-defined,unused-ignore]
        return (number for number, _ in poll.poll(0))
    return iter(select.select(numbers, [], [], 0)[0])


def _descriptor(protocol: Any) -> int:
    transport = protocol.transport
    opened = None if transport is None else transport.get_extra_info("socket")
    return -1 if opened is None else int(opened.fileno())


def proves_nothing_was_sent(cause: BaseException, method: str) -> bool | None:
    """Whether an exception of aiohttp's proves it; None for one that is not aiohttp's.

    For a transport that cannot be watched, for example a wrapper. No exception proves it for a
    method that aiohttp sends again by itself: the exception is that of the last try.
    """
    aiohttp: Any = sys.modules.get("aiohttp")
    if aiohttp is None or not isinstance(cause, aiohttp.ClientError):
        return None
    if method not in _REPEATED_BY_AIOHTTP:
        return isinstance(
            cause,
            aiohttp.ClientConnectorError
            | aiohttp.ConnectionTimeoutError
            | aiohttp.ServerFingerprintMismatch,
        )
    return False


_REPEATED_BY_AIOHTTP = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})

"""Puts a request on the wire and reads the answer: the one place that knows httpx."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterable, Callable, Mapping
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import httpx

from syncro_async._internal.checks import parse_uint
from syncro_async._internal.per_loop import PerLoop
from syncro_async._internal.plain_text import shorten
from syncro_async.clock import Clock
from syncro_async.errors import (
    ConfigurationError,
    ConnectionFailedError,
    NoAnswerError,
    RequestTimeoutError,
    SyncroError,
    UnexpectedResponseError,
)
from syncro_async.transport.connections import (
    KEEP_ALIVE,
    AttemptTrace,
    BorrowedTransport,
    OpenSockets,
    StaleConnection,
    TransportPool,
)
from syncro_async.transport.deadline import Deadline
from syncro_async.transport.decompression import ACCEPTED, DecompressionError, make_decompressor
from syncro_async.transport.http_errors import (
    is_certificate_error,
    is_connect_error,
    is_handshake_refusal,
    is_timeout,
    iter_causes,
)
from syncro_async.transport.messages import Attempt, CallState, RawResponse
from syncro_async.transport.proxies import environment_proxy
from syncro_async.transport.redaction import ApiKey

Transport = httpx.AsyncBaseTransport

# The largest answer that is read, decoded: a page of 200 leads is about 0.1 MB.
RESPONSE_CAP = 64 * 2**20
# Of an answer that is an error so much is read, and kept.
ERROR_CAP = 16 * 2**20
_TOO_LARGE = f"the answer is larger than {RESPONSE_CAP // 2**20} MB; reading was stopped"
_ONE_CONNECTION = httpx.Limits(
    max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEP_ALIVE
)
# httpx's own timeout ends first, for the TCP and for the TLS handshake: then it frees the half-open
# connection for certain, which it does not always do when the task is cancelled.
_CONNECT_SHARE = 0.45

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_WITHOUT_SOCKETS = (httpx.ASGITransport, httpx.MockTransport)
_REFUSED_BY_OURSELVES = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL)
_NO_CONNECTION = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class HttpEngine:
    """The connections to one service, those of each event loop opened on first use.

    What happens on the wire becomes one of our errors, with the cause's traceback dropped: its
    frames hold the request's headers, and so the key. Requests go to the transports themselves,
    not through a client of httpx: nothing is redirected, no cookie is kept, nothing logged.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        api_key: ApiKey,
        transport: Transport | None,
        clock: Clock,
    ) -> None:
        self._base_url = base_url
        self._host = urlsplit(base_url).netloc
        self._api_key = api_key
        host = httpx.URL(base_url).netloc.decode("ascii")
        self._headers = httpx.Headers({"Host": host, **headers, "accept-encoding": ACCEPTED})
        self._transport = transport
        self._borrowed = False
        self._clock = clock
        self._sockets = OpenSockets()
        self._pools = PerLoop(self._open, lambda row: row.aclose())

    @staticmethod
    def check(base_url: str) -> None:
        """Raise `ConfigurationError` for a URL that httpx can make no request of."""
        try:
            _ = httpx.URL(base_url).host
        except (httpx.InvalidURL, ValueError) as error:
            raise ConfigurationError(f"base_url={base_url!r} cannot be used: {error}") from None

    def _open(self) -> TransportPool[Transport]:
        """Make a row; not a second one over sockets that belong to another event loop.

        Raises `ConfigurationError` for that, and where the environment's proxies or certificates
        are unusable.
        """
        if self._transport is None:
            return self._new_pool()
        if self._borrowed and not isinstance(self._transport, _WITHOUT_SOCKETS):
            raise ConfigurationError(
                "the transport given to this client belongs to the event loop that used it first;"
                " make a client, with a transport of its own, for each event loop"
            )
        self._borrowed = True
        return BorrowedTransport(self._transport, self._clock)

    def _new_pool(self) -> TransportPool[Transport]:
        try:
            make = _transport_factory(
                self._base_url
            )  # in a frame of its own: a proxy's URL holds a password
        except Exception as error:  # noqa: BLE001 - each variable has an error of its own
            raise ConfigurationError(
                f"no connection can be opened ({error}); look at the environment's proxy"
                " and certificate variables"
            ) from error.with_traceback(None)
        return TransportPool(make, self._clock)

    async def __call__(self, exchange: CallState[Any], attempt: Attempt) -> RawResponse:
        """Send once. Raises a `NoAnswerError` when no whole answer came."""
        seconds = exchange.options.timeout
        try:
            return await self._send(exchange, attempt, seconds)
        except SyncroError as error:
            raise error.with_traceback(None) from None
        except Exception as error:  # whatever a transport throws: callers see only ours
            for link in iter_causes(error):
                self._clean(link)
            raise _translate(error, attempt, seconds, self._host) from error

    def _clean(self, link: BaseException) -> None:
        """Take away what holds the key: frames, the request, words a server echoed."""
        link.__traceback__ = None
        if isinstance(link, httpx.RequestError):
            link.request = httpx.Request("GET", self._base_url)
        self._api_key.clean(link)

    def open(self) -> None:
        """Make the running loop's pool, unless it is there. Raises `ConfigurationError`."""
        self._pools.get()

    @property
    def in_use(self) -> bool:
        """Whether there are pools that nobody has closed."""
        return self._pools.in_use

    async def aclose(self) -> None:
        """Close every pool; harmless when there is none."""
        await self._pools.aclose()

    async def _send(
        self, exchange: CallState[Any], attempt: Attempt, seconds: float
    ) -> RawResponse:
        row = self._pools.get()
        transport = row.acquire()
        reusable = False
        try:
            while True:
                watch = AttemptTrace(attempt, transport, self._sockets)
                request = self._request(exchange, seconds, watch)
                try:
                    reply = await self._send_request(transport, request, watch, seconds)
                except StaleConnection:
                    attempt.bytes_sent = attempt.body_sent = None
                    await row.discard(transport)
                    transport = row.acquire()
                else:
                    reusable = watch.reusable
                    return reply
        finally:
            await (row.release if reusable else row.discard)(transport)

    def _request(
        self, exchange: CallState[Any], seconds: float, watch: AttemptTrace
    ) -> httpx.Request:
        call, headers, more = exchange.call, self._headers, exchange.options.headers
        if more or call.body is not None or call.method in _WITH_BODY:
            headers = headers.copy()  # every other request is made of the same ones
            headers.update(more)
        if call.body is not None:
            headers.update(
                {"Content-Type": "application/json", "Content-Length": str(len(call.body))}
            )
        elif call.method in _WITH_BODY:
            headers["Content-Length"] = "0"
        # Made of a stream it takes its headers as they are, in a tenth of the time.
        request = httpx.Request(
            call.method,
            self._base_url + call.path + (f"?{call.query}" if call.query else ""),
            headers=headers,
            stream=httpx.ByteStream(call.body or b""),
            extensions={"timeout": _timeouts(seconds), "trace": watch},
        )
        request.read()
        return request

    async def _send_request(
        self, transport: Transport, request: httpx.Request, watch: AttemptTrace, seconds: float
    ) -> RawResponse:
        """Send on that transport, and read the answer; of an error's body whatever can be had."""
        attempt, chunks = watch.attempt, list[bytes]()
        try:
            with Deadline(self._clock, self._clock.monotonic() + seconds):
                response = await transport.handle_async_request(request)
                try:
                    headers = self._record_headers(response, watch)
                    await _collect(response, headers.get("content-encoding", ""), watch, chunks)
                finally:
                    await response.aclose()
                # Only now: a response that was not closed to its end holds its connection.
                watch.reusable = not watch.tainted
        except Exception:
            if attempt.status < 300:
                raise
        return RawResponse(attempt.status, watch.headers, b"".join(chunks))

    def _record_headers(self, response: httpx.Response, watch: AttemptTrace) -> Mapping[str, str]:
        """The headers of the answer are there."""
        attempt = watch.attempt
        attempt.answered_at = self._clock.monotonic()
        key = self._api_key
        # What is masked in full may end up in an error.
        mask = key.mask_plain if response.status_code < 300 else key.mask_text
        watch.response = response
        watch.headers = tuple((name, mask(value)) for name, value in response.headers.multi_items())
        headers: dict[str, str] = {}
        for name, value in watch.headers:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        attempt.status = response.status_code
        attempt.date = headers.get("date")
        attempt.remaining = parse_uint(headers.get("x-ratelimit-remaining"))
        attempt.content_type = headers.get("content-type")
        return headers


async def _collect(
    response: httpx.Response, packed_as: str, watch: AttemptTrace, chunks: list[bytes]
) -> None:
    room = wire = RESPONSE_CAP if watch.attempt.status < 300 else ERROR_CAP
    try:
        unpack = make_decompressor(packed_as)
        # Not `aiter_bytes()`, which unpacks each piece to whatever size it may have.
        async for piece in cast("AsyncIterable[bytes]", response.stream):
            wire -= len(piece)  # an archive can hold nothing without end
            if wire < 0:
                raise _unusable(_TOO_LARGE, watch.attempt)
            for portion in unpack.feed(piece):
                room -= len(portion)
                if room < 0:
                    raise _unusable(_TOO_LARGE, watch.attempt)
                chunks.append(portion)
        unpack.end()
    except DecompressionError as error:
        raise _unusable(f"the answer cannot be unpacked: {error}", watch.attempt) from None


def _transport_factory(base_url: str) -> Callable[[], Transport]:
    """What makes transports as the environment wants them. Raises what is wrong with that."""
    url = environment_proxy(base_url)
    proxy = None if url is None else _proxy(url)
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    state = Path(file).stat() if file else None
    tls = _tls(file, folder, state and (state.st_mtime_ns, state.st_size, state.st_ino))

    def make() -> Transport:
        return httpx.AsyncHTTPTransport(verify=tls, limits=_ONE_CONNECTION, proxy=proxy)

    make()  # fails now, if at all
    return make


def _proxy(url: str) -> httpx.Proxy:
    with suppress(httpx.InvalidURL, ValueError):
        return httpx.Proxy(url)
    # Not in httpx's words: what it takes for the port may be of the password.
    raise ValueError("the proxy's URL cannot be used; it must look like 'http://host:8080'")


@lru_cache(maxsize=8)
def _tls(*_environment: object) -> ssl.SSLContext:
    """What certificates are checked with: reading the roots takes longer than a request."""
    return httpx.create_ssl_context()


@cache
def _timeouts(seconds: float) -> dict[str, float | None]:
    return httpx.Timeout(seconds, connect=seconds * _CONNECT_SHARE).as_dict()


def _translate(error: Exception, attempt: Attempt, seconds: float, host: str) -> NoAnswerError:
    said = shorten(str(error))
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    if isinstance(error, _REFUSED_BY_OURSELVES):
        return ConnectionFailedError(
            f"the request cannot be sent to {host} ({what})", permanent=True
        )
    if isinstance(error, httpx.ProxyError):
        return ConnectionFailedError(
            f"the proxy refused ({what})", permanent=str(error).startswith("407")
        )
    if attempt.answered_at is None and attempt.fresh and is_handshake_refusal(error):
        return ConnectionFailedError(
            f"{host} refused the TLS handshake: it demands a client certificate that it accepts"
            f" ({what}); ask the operator of the service which certificate it needs",
            permanent=True,
        )
    if _never_connected(error, attempt):
        return ConnectionFailedError(
            f"no connection to {host} ({what})", permanent=is_certificate_error(error)
        )
    if attempt.bytes_sent is False:
        return ConnectionFailedError(f"nothing reached {host} ({what})")
    return _broken_answer(error, seconds, what)


def _never_connected(error: Exception, attempt: Attempt) -> bool:
    if not isinstance(error, _NO_CONNECTION) or attempt.answered_at is not None:
        return False
    # `ConnectTimeout` is what httpx-aiohttp makes of every connection that broke, also after the
    # request was sent, and it does not say what it is doing.
    of_any_kind = attempt.bytes_sent is None and isinstance(error, httpx.ConnectTimeout)
    return not of_any_kind or is_timeout(error) or is_connect_error(error)


def _broken_answer(error: Exception, seconds: float, what: str) -> NoAnswerError:
    timed_out = isinstance(error, TimeoutError | httpx.TimeoutException)
    if timed_out and (not isinstance(error, httpx.ConnectTimeout) or is_timeout(error)):
        return RequestTimeoutError(f"no whole answer within {seconds:g} s")
    return NoAnswerError(f"the connection broke before the whole answer was there ({what})")


def _unusable(why: str, attempt: Attempt) -> UnexpectedResponseError:
    return UnexpectedResponseError(
        why, status=attempt.status, content_type=attempt.content_type, excerpt=""
    )


class _InProcessTransport(httpx.ASGITransport):
    """httpx's own, with one thing more: an app can drop the connection."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except ConnectionError as error:
            raise httpx.ReadError(str(error)) from error


def in_process_transport(app: Any) -> Transport:
    """A transport to an ASGI application in this process, without a socket.

    A `ConnectionError` that the application raises is a connection that broke.
    """
    return _InProcessTransport(app=app)

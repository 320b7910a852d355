"""Puts a request on the wire and reads the answer: the one place that knows httpx."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterable, Iterator, Mapping
from http.cookiejar import CookieJar
from typing import Any, cast
from urllib.parse import urlsplit

import httpx

from syncro_async.clock import Clock
from syncro_async.errors import (
    ConfigurationError,
    ConnectionFailedError,
    NoAnswerError,
    RequestTimeoutError,
    SyncroError,
    UnexpectedResponseError,
)
from syncro_async.numeric import whole_number
from syncro_async.per_loop import PerLoop
from syncro_async.transport.api_key import ApiKey
from syncro_async.transport.deadline import Deadline
from syncro_async.transport.exchange import Attempt, Call, Exchange, Reply
from syncro_async.transport.kept_connections import closed_meanwhile, unread
from syncro_async.transport.sockets import OpenSockets
from syncro_async.transport.unpacking import ACCEPTED, PackingError, unpacker

Transport = httpx.AsyncBaseTransport

# The largest answer that is read, decoded: a page of 200 leads is about 0.1 MB.
RESPONSE_CAP = 64 * 2**20
_TOO_LARGE = f"the answer is larger than {RESPONSE_CAP // 2**20} MB; reading was stopped"
# Many servers drop a connection that was idle for 5 s; leaving first avoids writing into the gap.
_KEEP_ALIVE = 4.0
# httpx's own timeout ends first, for the TCP and for the TLS handshake: then it frees the half-open
# connection for certain, which it does not always do when the task is cancelled.
_CONNECT_SHARE = 0.45

_WITHOUT_SOCKETS = (httpx.ASGITransport, httpx.MockTransport)
_REFUSED_BY_OURSELVES = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL)
_NO_CONNECTION = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class HttpPool:
    """One httpx pool for each event loop, opened on first use.

    What happens on the wire becomes one of our errors, with the cause's traceback dropped: its
    frames hold the request's headers, and so the key.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        api_key: ApiKey,
        max_connections: int,
        transport: Transport | None,
        clock: Clock,
    ) -> None:
        self._base_url = base_url
        self._host = urlsplit(base_url).netloc
        self._api_key = api_key
        self._headers = httpx.Headers({**headers, "accept-encoding": ACCEPTED})
        self._headers_with_json = httpx.Headers(
            {**self._headers, "content-type": "application/json"}
        )
        self._max_connections = max_connections
        self._transport = transport
        self._lent = False
        self._clock = clock
        self._sockets = OpenSockets()
        self._clients = PerLoop(self._open, httpx.AsyncClient.aclose)

    def _open(self) -> httpx.AsyncClient:
        """Make a pool; not a second one over sockets that belong to another event loop.

        Raises `ConfigurationError` for that, and where the environment's proxies or certificates
        are unusable.
        """
        if self._lent and not isinstance(self._transport, _WITHOUT_SOCKETS):
            raise ConfigurationError(
                "the transport given to this client belongs to the event loop that used it first;"
                " make a client, with a transport of its own, for each event loop"
            )
        self._lent = self._transport is not None
        try:
            return httpx.AsyncClient(
                transport=self._transport,
                follow_redirects=False,
                cookies=_NoCookies(),
                limits=httpx.Limits(
                    max_connections=self._max_connections,
                    max_keepalive_connections=self._max_connections,
                    keepalive_expiry=_KEEP_ALIVE,
                ),
                event_hooks={"response": [_note]},
            )
        except Exception as error:  # noqa: BLE001 - each variable has an error of its own
            raise ConfigurationError(
                f"no connection pool can be opened ({error}); look at the environment's proxy"
                " and certificate variables"
            ) from error.with_traceback(None)

    async def __call__(self, exchange: Exchange[Any], attempt: Attempt) -> Reply:
        """Send once. Raises a `NoAnswerError` when no whole answer came."""
        seconds = exchange.options.timeout
        try:
            return await self._send(exchange, attempt, seconds)
        except SyncroError as error:
            raise error.with_traceback(None) from None
        except Exception as error:  # whatever a transport throws: callers see only ours
            for link in _family(error):
                self._clean(link)
            raise _translate(error, attempt, seconds, self._host) from error

    def _clean(self, link: BaseException) -> None:
        """Take away what holds the key: frames, the request, words a server echoed."""
        link.__traceback__ = None
        link.args = tuple(
            self._api_key.mask_text(each) if isinstance(each, str) else each for each in link.args
        )
        if isinstance(link, httpx.RequestError):
            link.request = httpx.Request("GET", self._base_url)

    def open(self) -> None:
        """Make the running loop's pool, unless it is there. Raises `ConfigurationError`."""
        self._clients.here()

    @property
    def in_use(self) -> bool:
        """Whether there are pools that nobody has closed."""
        return self._clients.in_use

    async def aclose(self) -> None:
        """Close every pool; harmless when there is none."""
        await self._clients.aclose()

    async def _send(self, exchange: Exchange[Any], attempt: Attempt, seconds: float) -> Reply:
        call = exchange.call
        over_at = self._clock.monotonic() + seconds
        client = self._clients.here()
        request = client.build_request(
            call.method,
            self._base_url + call.path + (f"?{call.query}" if call.query else ""),
            content=call.body,
            headers=self._headers_for(call, exchange.options.headers),
            timeout=httpx.Timeout(seconds, connect=seconds * _CONNECT_SHARE),
            extensions={
                "trace": _Watch(attempt, client, self._sockets, self._clock, self._api_key)
            },
        )
        with Deadline(self._clock, over_at):
            response = await _begin(client, request, attempt)
        try:
            content = await self._read(response, attempt, over_at)
        finally:
            await response.aclose()
        mask = self._api_key.mask_text
        headers = tuple((name, mask(value)) for name, value in response.headers.multi_items())
        return Reply(response.status_code, headers, content)

    def _headers_for(self, call: Call[Any], more: Mapping[str, str]) -> httpx.Headers:
        headers = self._headers if call.body is None else self._headers_with_json
        if more:
            headers = headers.copy()
            headers.update(more)
        return headers

    async def _read(self, response: httpx.Response, attempt: Attempt, over_at: float) -> bytes:
        """The whole decoded body; where the status alone decides, whatever can be had of it."""
        chunks: list[bytes] = []
        try:
            with Deadline(self._clock, over_at):
                await self._collect(response, attempt, chunks)
        except Exception:
            if response.status_code < 300:
                raise
        return b"".join(chunks)

    async def _collect(
        self, response: httpx.Response, attempt: Attempt, chunks: list[bytes]
    ) -> None:
        packed_as = self._api_key.mask_text(response.headers.get("content-encoding", ""))
        room = RESPONSE_CAP
        try:
            unpack = unpacker(packed_as)
            # Not `aiter_bytes()`, which unpacks each piece to whatever size it may have.
            async for piece in cast("AsyncIterable[bytes]", response.stream):
                for portion in unpack.feed(piece):
                    room -= len(portion)
                    if room < 0:
                        raise _unusable(_TOO_LARGE, attempt)
                    chunks.append(portion)
            unpack.end()
        except PackingError as error:
            raise _unusable(f"the answer cannot be unpacked: {error}", attempt) from None


async def _begin(
    client: httpx.AsyncClient, request: httpx.Request, attempt: Attempt
) -> httpx.Response:
    """Send, on a connection that was open when the first byte was written."""
    while True:
        try:
            return await client.send(request, stream=True)
        except _ClosedMeanwhile:
            attempt.written = None  # that connection is gone from the pool; the next one, then


class _ClosedMeanwhile(Exception):  # noqa: N818 - named after what the hook meets
    """The server closed a kept connection before anything was written on it."""


class _NoCookies(CookieJar):
    """Keeps none: the key says who we are, and what a server sets must not change later calls."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Leave the cookies where they are."""


class _Watch:
    """Follows one attempt through httpx, as its trace hook and as the first to see its answer."""

    __slots__ = ("_api_key", "_attempt", "_client", "_clock", "_response", "_sockets")

    def __init__(
        self,
        attempt: Attempt,
        client: httpx.AsyncClient,
        sockets: OpenSockets,
        clock: Clock,
        api_key: ApiKey,
    ) -> None:
        self._attempt = attempt
        self._client = client
        self._clock = clock
        self._api_key = api_key
        self._sockets = sockets

    async def __call__(self, event: str, info: dict[str, Any]) -> None:
        """Hear from httpcore what it is doing."""
        attempt = self._attempt
        if event.endswith("send_request_headers.started"):
            # Nothing was heard of connecting: it is a kept connection.
            if attempt.written is None and closed_meanwhile(self._client, self):
                raise _ClosedMeanwhile
            # A CONNECT goes no further than to the proxy.
            attempt.written = info["request"].method != b"CONNECT"
        elif event.endswith("receive_response_body.complete") and unread(self._response):
            await self._response.extensions["network_stream"].aclose()
        else:
            attempt.written = attempt.written or False
            if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
                self._sockets.add(info["return_value"])

    def answered(self, response: httpx.Response) -> None:
        """Note that the headers of the answer are there."""
        self._response = response
        self._attempt.date = response.headers.get("date")
        self._attempt.answered_at = self._clock.monotonic()
        self._attempt.status = response.status_code
        self._attempt.calls_left = whole_number(response.headers.get("x-ratelimit-remaining"))
        content_type = response.headers.get("content-type")
        self._attempt.content_type = content_type and self._api_key.mask_text(content_type)


async def _note(response: httpx.Response) -> None:
    watch: _Watch = response.request.extensions["trace"]
    watch.answered(response)


def _translate(error: Exception, attempt: Attempt, seconds: float, host: str) -> NoAnswerError:
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, _REFUSED_BY_OURSELVES):
        return ConnectionFailedError(
            f"the request cannot be sent to {host} ({what})", permanent=True
        )
    if isinstance(error, httpx.ProxyError):
        return ConnectionFailedError(
            f"the proxy refused ({what})", permanent=str(error).startswith("407")
        )
    if isinstance(error, _NO_CONNECTION):
        return ConnectionFailedError(
            f"no connection to {host} ({what})", permanent=_bad_certificate(error)
        )
    if attempt.written is False:
        return ConnectionFailedError(f"nothing reached {host} ({what})")
    return _broken_answer(error, attempt, seconds, what)


def _broken_answer(error: Exception, attempt: Attempt, seconds: float, what: str) -> NoAnswerError:
    if 300 <= attempt.status < 400:
        return _unusable("a redirect to what is no URL; check base_url and the API key", attempt)
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return RequestTimeoutError(f"no whole answer within {seconds:g} s")
    return NoAnswerError(f"the connection broke before the whole answer was there ({what})")


def _unusable(why: str, attempt: Attempt) -> UnexpectedResponseError:
    return UnexpectedResponseError(
        why, status=attempt.status, content_type=attempt.content_type, excerpt=""
    )


def _bad_certificate(error: Exception) -> bool:
    return any(isinstance(link, ssl.SSLCertVerificationError) for link in _family(error))


def _family(error: BaseException) -> Iterator[BaseException]:
    """An error and all that led to it: its causes and contexts, and the members of groups."""
    seen: dict[int, BaseException] = {}
    ahead: list[BaseException | None] = [error]
    while ahead:
        link = ahead.pop()
        if link is None or id(link) in seen:
            continue
        seen[id(link)] = link
        ahead += [link.__cause__, link.__context__]
        if isinstance(link, BaseExceptionGroup):
            ahead += link.exceptions
        yield link


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

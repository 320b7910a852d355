"""Sends a request over httpx or httpx2 and reads the answer: the one file that imports them."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from syncro_async._internal.argument_text import Argument, ArgumentText
from syncro_async._internal.checks import parse_uint
from syncro_async._internal.per_loop import PerLoop
from syncro_async._internal.plain_text import LONGEST_NAME, shorten, shown
from syncro_async.clock import Clock
from syncro_async.errors import ConfigurationError, SyncroError, UnexpectedResponseError
from syncro_async.transport.body_limits import ERROR_CAP
from syncro_async.transport.connections import (
    AttemptTrace,
    BorrowedTransport,
    OpenSockets,
    StaleConnection,
    TransportPool,
)
from syncro_async.transport.deadline import Deadline
from syncro_async.transport.decompression import ACCEPTED, DecompressionError, make_decompressor
from syncro_async.transport.http_errors import iter_causes, translate_error
from syncro_async.transport.messages import Attempt, CallState, RawResponse, SlotExpired
from syncro_async.transport.over_aiohttp import goes_over_aiohttp
from syncro_async.transport.over_aiohttp import watch as watch_aiohttp
from syncro_async.transport.redaction import ApiKey
from syncro_async.transport.urls import RequestUrls

if TYPE_CHECKING:
    import httpx
    import httpx2

    from syncro_async.transport.wire import Wire

    Transport = httpx.AsyncBaseTransport | httpx2.AsyncBaseTransport
else:
    Transport = Any

# The largest answer that is read, decoded: a page of 200 leads is about 0.1 MB.
RESPONSE_CAP = 64 * 2**20
_TOO_LARGE = f"the answer is larger than {RESPONSE_CAP // 2**20} MB; reading was stopped"
# httpx's own timeout ends first, for the TCP and for the TLS handshake: then it frees the half-open
# connection for certain, which it does not always do when the task is cancelled.
_CONNECT_SHARE = 0.45

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
DEFAULT = "httpx"
NAMES = (DEFAULT, "httpx2")


@dataclass(frozen=True, slots=True)
class HttpLibrary:
    """One of the libraries, and its exceptions by what they say about a request.

    - `refused_here`: the library itself does not send such a request.
    - `no_connection`: no connection was made, or none of the pool was free.
    - `without_sockets`: transports that belong to no event loop.
    """

    name: str
    api: Any
    refused_here: tuple[type[Exception], ...]
    no_connection: tuple[type[Exception], ...]
    without_sockets: tuple[type, ...]

    def check_url(self, url: str) -> None:
        """Raise `ConfigurationError` for a base URL of which no request can be made."""
        try:
            _ = self.api.URL(url).host
        except (self.api.InvalidURL, ValueError) as error:
            raise ConfigurationError(
                ArgumentText(Argument("base_url", shown(url)), f" cannot be used: {error}")
            ) from None

    def in_process_transport(self, app: Any) -> Transport:
        """A transport to an ASGI application in this process; see `in_process_transport`."""
        return _in_process_class(self.api)(app=app)  # type: ignore[no-any-return]


@cache
def load_library(name: str) -> HttpLibrary:
    """Import the library of that name.

    Raises `ConfigurationError` for a name of none, and for one that is not installed.
    """
    if name not in NAMES:
        raise ConfigurationError(
            f"engine={shown(name)} must be one of {', '.join(map(repr, NAMES))}; for aiohttp give"
            " transport=httpx_aiohttp.AiohttpTransport()"
        )
    try:
        api = _import_httpx2() if name == "httpx2" else _import_httpx()
    except ImportError as error:
        raise ConfigurationError(
            f'engine={name!r} needs: pip install "syncro-async[{name}]"'
        ) from error
    return HttpLibrary(
        name,
        api,
        refused_here=(api.UnsupportedProtocol, api.LocalProtocolError, api.InvalidURL),
        no_connection=(api.ConnectError, api.ConnectTimeout, api.PoolTimeout),
        without_sockets=(api.ASGITransport, api.MockTransport),
    )


# Import statements and no names in texts: tools that pack programs follow them.
def _import_httpx() -> Any:
    import httpx  # noqa: PLC0415 - it is most of what importing takes: for those who make a client

    return httpx


def _import_httpx2() -> Any:
    import httpx2  # noqa: PLC0415 - an extra

    return httpx2


def library_of(transport: object) -> HttpLibrary:
    """The library whose async transport this is.

    Raises `ConfigurationError` for anything else, which could fail only while a request is sent.
    """
    # A library that was not imported yet has made no transport.
    for name in (DEFAULT, *(name for name in NAMES[1:] if name in sys.modules)):
        library = load_library(name)
        if isinstance(transport, library.api.AsyncBaseTransport):
            return library
    raise ConfigurationError(_explain(transport))


def _explain(transport: object) -> str:
    """Why an object cannot be the transport of a client, and what to give in its place."""
    kind = transport if isinstance(transport, type) else type(transport)
    what = f"transport={kind.__module__}.{kind.__qualname__}"
    ours = " or ".join(f"{name}.AsyncBaseTransport" for name in NAMES)
    if isinstance(transport, type):
        return f"{what} is a class; give an instance of it"
    package = kind.__module__.partition(".")[0]
    if hasattr(transport, "handle_request"):
        return (
            f"{what} is a synchronous transport; give the async one of its library, for example"
            " httpx.AsyncHTTPTransport()"
        )
    if package == "aiohttp":
        return (
            f"{what} is no transport; give httpx_aiohttp.AiohttpTransport(client=…), which sends"
            " over a session of aiohttp (extra: aiohttp)"
        )
    if package in {"httpx", "httpx2"} and hasattr(transport, "send"):
        return (
            f"{what} is a client; give a transport of the same library, which a client is made of"
        )
    if callable(transport):
        return f"{what} is an application; give httpx.ASGITransport(app=…)"
    return (
        f"{what} is no transport of a library that this client can use; give an instance of"
        f" {ours} (a class of your own must be a subclass of it)"
    )


@cache
def _in_process_class(api: Any) -> Any:
    class InProcessTransport(api.ASGITransport):  # type: ignore[misc]
        """The library's own, with one thing more: an app can drop the connection."""

        async def handle_async_request(self, request: Any) -> Any:
            try:
                return await super().handle_async_request(request)
            except ConnectionError as error:
                raise api.ReadError(str(error)) from error

    return InProcessTransport


def in_process_transport(app: Any, engine: str | None = None) -> Transport:
    """A transport to an ASGI application in this process, without a socket, of that engine.

    A `ConnectionError` that the application raises is a connection that broke.
    """
    return load_library(engine or DEFAULT).in_process_transport(app)


class Lender:
    """Gives out a caller's transport, whose sockets belong to one event loop."""

    def __init__(self, wire: Wire, clock: Clock) -> None:
        self._wire = wire
        self._clock = clock
        self._lent = False

    def __call__(self) -> BorrowedTransport[Transport]:
        """The transport. Raises `ConfigurationError` in a second event loop."""
        transport = cast("Transport", self._wire.transport)
        has_sockets = not isinstance(transport, self._wire.library.without_sockets)
        if self._lent and has_sockets:
            raise ConfigurationError(
                "the transport given to this client belongs to the event loop that used it first;"
                " make a client, with a transport of its own, for each event loop"
            )
        self._lent = True
        return BorrowedTransport(
            transport, self._clock, has_sockets=has_sockets, closes=not self._wire.shared
        )


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
        wire: Wire,
        clock: Clock,
    ) -> None:
        self._base_url = base_url
        self._host = urlsplit(base_url).netloc
        self._api_key = api_key
        self._wire = wire
        self._library = wire.library
        api = wire.library.api
        self._urls = RequestUrls(api.URL, base_url)
        host = api.URL(base_url).netloc.decode("ascii")
        self._headers = api.Headers({"Host": host, **headers, "accept-encoding": ACCEPTED})
        self._lend = Lender(wire, clock)
        self._clock = clock
        self._sockets = OpenSockets()
        self._pools = PerLoop(self._open, lambda pool: pool.aclose())

    def _open(self) -> TransportPool[Transport]:
        """Make a pool; not a second one over sockets that belong to another event loop.

        Raises `ConfigurationError` for that, and where the environment's proxies or certificates
        are unusable.
        """
        return self._new_pool() if self._wire.transport is None else self._lend()

    def _new_pool(self) -> TransportPool[Transport]:
        try:
            # In a frame of its own: a proxy's URL holds a password.
            return self._wire.open_pool(self._base_url, self._clock)
        except Exception as error:  # noqa: BLE001 - each variable has an error of its own
            raise ConfigurationError(
                f"no connection can be opened ({error}); look at the environment's proxy"
                " and certificate variables"
            ) from error.with_traceback(None)

    async def __call__(self, exchange: CallState[Any], attempt: Attempt) -> RawResponse:
        """Send once. Raises a `NoAnswerError` when no whole answer came."""
        seconds = exchange.options.timeout
        try:
            return await self._send(exchange, attempt, seconds)
        except SlotExpired:
            raise
        except SyncroError as error:
            raise error.with_traceback(None) from None
        except Exception as error:  # whatever a transport throws: callers see only ours
            for link in iter_causes(error):
                self._clean(link)
            raise translate_error(error, attempt, seconds, self._host, self._library) from error

    def _clean(self, link: BaseException) -> None:
        """Take away what holds the key: frames, the request, words a server echoed."""
        link.__traceback__ = None
        api = self._library.api
        self._api_key.clean(link)
        if isinstance(link, api.HTTPError):
            link.request = api.Request("GET", self._base_url)

    def open(self) -> None:
        """Make the running loop's pool, unless it is there. Raises `ConfigurationError`."""
        self._pools.get()

    @property
    def in_use(self) -> bool:
        """Return whether there are pools that are not closed."""
        return self._pools.in_use

    async def aclose(self) -> None:
        """Close every pool; harmless when there is none."""
        await self._pools.aclose()

    async def _send(
        self, exchange: CallState[Any], attempt: Attempt, seconds: float
    ) -> RawResponse:
        pool = self._pools.get()
        transport = pool.acquire()
        attempt.proxy, attempt.method = pool.proxy, exchange.call.method
        reusable = False
        over_at = self._clock.monotonic() + seconds
        try:
            while True:
                watch = AttemptTrace(attempt, transport, self._sockets, owned=pool.owned)
                sending = self._send_request(
                    transport, self._request(exchange, seconds, watch), watch, over_at
                )
                try:
                    if pool.stragglers is not None:
                        return await pool.stragglers.run(sending, over_at)
                    reply = await sending
                except StaleConnection:
                    attempt.bytes_sent = attempt.body_sent = None
                    await pool.discard(transport)
                    transport = pool.acquire()
                else:
                    reusable = watch.reusable
                    return reply
        finally:
            if reusable:
                await pool.release(transport)
            else:
                await pool.discard(transport)
                await self._sockets.close(transport)

    def _request(self, exchange: CallState[Any], seconds: float, watch: AttemptTrace) -> Any:
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
        api = self._library.api
        # Made of a stream it takes its headers as they are, in a tenth of the time.
        request = api.Request(
            call.method,
            self._urls.url(call.path, call.query),
            headers=headers,
            stream=api.ByteStream(call.body or b""),
            extensions={"timeout": _timeouts(seconds), "trace": watch},
        )
        request.read()
        return request

    async def _send_request(
        self, transport: Transport, request: Any, watch: AttemptTrace, over_at: float
    ) -> RawResponse:
        """Send on that transport, and read the answer; of an error's body whatever can be had."""
        attempt, chunks = watch.attempt, list[bytes]()
        try:
            if not watch.owned and goes_over_aiohttp(transport):
                watch_aiohttp(transport, attempt)
            with Deadline(self._clock, over_at, watch.drop_unsent):
                response = await transport.handle_async_request(request)
                try:
                    headers = self._record_headers(response, watch)
                    await self._collect(response, headers, attempt.status, chunks)
                finally:
                    await response.aclose()
                # Only now: a response that was not closed to its end holds its connection.
                watch.reusable = not watch.tainted
        except Exception:
            if attempt.status < 300:
                raise
        return RawResponse(attempt.status, watch.headers, b"".join(chunks))

    def _record_headers(self, response: Any, watch: AttemptTrace) -> Mapping[str, str]:
        """The headers of the answer are there."""
        attempt = watch.attempt
        attempt.answered_at = self._clock.monotonic()
        key = self._api_key
        # What is masked in full may end up in an error.
        mask = key.mask_plain if response.status_code < 300 else key.mask_values
        watch.response = response
        watch.headers = mask(tuple(response.headers.multi_items()))
        headers: dict[str, str] = {}
        for name, value in watch.headers:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        attempt.status = response.status_code
        attempt.date = headers.get("date")
        attempt.remaining = parse_uint(headers.get("x-ratelimit-remaining"))
        return headers

    async def _collect(
        self, response: Any, headers: Mapping[str, str], status: int, chunks: list[bytes]
    ) -> None:
        room = wire = RESPONSE_CAP if status < 300 else ERROR_CAP
        if response.is_stream_consumed and not isinstance(
            response.stream, self._library.api.ByteStream
        ):
            # A caller's transport read it already. Its connection may have other calls by now.
            if len(response.content) > room:
                raise self._unusable(_TOO_LARGE, status, headers)
            chunks.append(response.content)
            return
        try:
            unpack = make_decompressor(headers.get("content-encoding", ""))
            # Not `aiter_bytes()`, which unpacks each piece to whatever size it may have.
            async for piece in cast("AsyncIterable[bytes]", response.stream):
                wire -= len(piece)  # an archive can hold nothing without end
                if wire < 0:
                    raise self._unusable(_TOO_LARGE, status, headers)
                for portion in unpack.feed(piece):
                    room -= len(portion)
                    if room < 0:
                        raise self._unusable(_TOO_LARGE, status, headers)
                    chunks.append(portion)
            unpack.end()
        except DecompressionError as error:
            why = f"the answer cannot be unpacked: {error}"
        else:
            return
        # Not above: an error that is raised there keeps the other one, and so this frame.
        raise self._unusable(why, status, headers)

    def _unusable(
        self, why: str, status: int, headers: Mapping[str, str]
    ) -> UnexpectedResponseError:
        """The error of an answer that was not read; words of the server are in both texts."""
        mask, content_type = self._api_key.mask_text, headers.get("content-type")
        if content_type is not None:
            content_type = shorten(mask(content_type), LONGEST_NAME)
        return UnexpectedResponseError(
            mask(why), status=status, content_type=content_type, excerpt=""
        )


@cache
def _timeouts(seconds: float) -> dict[str, float]:
    connect = seconds * _CONNECT_SHARE
    return {"connect": connect, "read": seconds, "write": seconds, "pool": seconds}

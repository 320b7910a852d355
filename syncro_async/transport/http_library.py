"""The libraries that can carry a request, httpx and httpx2: the one file that imports them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from syncro_async.errors import ConfigurationError

if TYPE_CHECKING:
    import httpx
    import httpx2

    Transport = httpx.AsyncBaseTransport | httpx2.AsyncBaseTransport

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
            raise ConfigurationError(f"base_url={url!r} cannot be used: {error}") from None

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
            f"engine={name!r} must be one of {', '.join(map(repr, NAMES))}; for aiohttp give"
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

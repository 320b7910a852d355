"""The settings of the connections: HTTP library, transport, certificates, proxy."""

from __future__ import annotations

import os
import ssl
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from syncro_async._internal.plain_text import shown
from syncro_async.clock import Clock
from syncro_async.errors import ConfigurationError
from syncro_async.transport.connections import KEEP_ALIVE, TransportPool
from syncro_async.transport.http_engine import DEFAULT, HttpLibrary, library_of, load_library
from syncro_async.transport.proxies import environment_proxy

if TYPE_CHECKING:
    from syncro_async.transport.http_engine import Transport


@dataclass(frozen=True, slots=True)
class Wire:
    """The checked settings of a client's connections.

    - `library`: httpx or httpx2
    - `transport`: the transport that was given to the client; None: the client opens connections
      itself, with the proxy of the environment
    - `tls`: the certificates for these; None: those of the environment
    - `client_certificate`: a PEM file with the client certificate and its private key
    - `shared`: the transport serves the pipelines of several keys, and none of them closes it
    """

    library: HttpLibrary
    transport: Transport | None = None
    tls: ssl.SSLContext | None = None
    client_certificate: str | None = None
    shared: bool = False

    def open_pool(self, base_url: str, clock: Clock) -> TransportPool[Transport]:
        """Return a pool whose transports have one connection each.

        Raises `ValueError` or `OSError` for a proxy or a certificate of the environment that cannot
        be used.
        """
        api = self.library.api
        tls = self.tls or _environment_tls(self.library, self.client_certificate)
        url = environment_proxy(base_url)
        proxy = None if url is None else _proxy(api, url, tls)
        limits = api.Limits(
            max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEP_ALIVE
        )

        def make() -> Transport:
            transport: Transport = api.AsyncHTTPTransport(verify=tls, limits=limits, proxy=proxy)
            return transport

        try:
            make()  # so that an error is raised now and not with the first call
        except ImportError:
            raise ValueError('a SOCKS proxy needs: pip install "syncro-async[socks]"') from None
        return TransportPool(make, clock, proxy=None if proxy is None else str(proxy.url))


def wire_from(transport: object, *, tls: object, engine: object, environment: str) -> Wire:
    """Return the settings that are given, else those of the environment.

    - `transport`, `tls`, `engine`: the arguments of `AsyncClient`
    - `environment`: the beginning of the names of the environment's variables

    Raises `ConfigurationError` for settings that cannot work, or that exclude each other.
    """
    if engine is not None and not isinstance(engine, str):
        raise ConfigurationError(f"engine must be a str, not {type(engine).__name__}")
    if tls is not None:
        tls = _checked_tls(tls)
    if transport is None:
        certificate = os.environ.get(f"{environment}_CLIENT_CERT") or None
        library = _chosen_library(engine, f"{environment}_ENGINE")
        return Wire(library, None, tls, certificate)
    library = library_of(transport)
    if engine is not None and load_library(engine).api is not library.api:
        raise ConfigurationError(
            f"engine={engine!r} does not fit transport={type(transport).__qualname__}, which is of"
            f" {library.name}; leave engine out, or give a transport of {engine}"
        )
    if tls is not None:
        raise ConfigurationError(
            "tls= is for the connections that this client opens, and transport= opens its own;"
            f" give the context to the transport: {library.name}.AsyncHTTPTransport(verify=…)"
        )
    return Wire(library, cast("Transport", transport))


def _chosen_library(engine: str | None, variable: str) -> HttpLibrary:
    if engine is not None:
        return load_library(engine)
    try:
        return load_library(os.environ.get(variable) or DEFAULT)
    except ConfigurationError as error:
        raise ConfigurationError(f"{variable}: {error.message}") from None


def _checked_tls(tls: object) -> ssl.SSLContext:
    if not isinstance(tls, ssl.SSLContext):
        raise ConfigurationError(
            f"tls must be an ssl.SSLContext, not {type(tls).__name__}; for a CA file of your own"
            " give ssl.create_default_context(cafile=…)"
        )
    if tls.protocol is ssl.PROTOCOL_TLS_SERVER:
        raise ConfigurationError(
            "tls is a context for servers; give ssl.create_default_context(cafile=…), which is one"
            " for clients"
        )
    return tls


def _proxy(api: Any, url: str, tls: ssl.SSLContext) -> Any:
    with suppress(api.InvalidURL, ValueError):
        # httpx takes a context for a proxy only where the proxy is reached over TLS.
        over_tls = api.URL(url).scheme == "https"
        return api.Proxy(url, ssl_context=tls if over_tls else None)
    # The library's own message is not shown: it may contain a part of the password.
    raise ValueError("the proxy's URL cannot be used; it must look like 'http://host:8080'")


def _environment_tls(library: HttpLibrary, certificate: str | None) -> ssl.SSLContext:
    """Return the context for TLS; the files are read again when one of them has changed."""
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    return _tls(library, certificate, file, folder, _state(file), _state(certificate))


def _state(file: str | None) -> tuple[int, int, int] | None:
    if not file:
        return None
    state = Path(file).stat()
    return state.st_mtime_ns, state.st_size, state.st_ino


@lru_cache(maxsize=8)
def _tls(library: HttpLibrary, certificate: str | None, *_environment: object) -> ssl.SSLContext:
    """Make the context; it is cached, because reading the CAs takes longer than a request."""
    context: ssl.SSLContext = library.api.create_ssl_context()
    if certificate:
        try:
            context.load_cert_chain(certificate, password=_no_password)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"the client certificate {shown(certificate)} cannot be used: {error}; the file"
                " must be PEM and hold the certificate and its private key, not encrypted"
            ) from None
    return context


def _no_password() -> str:
    """Called for an encrypted key; without it OpenSSL asks for the password on the terminal."""
    raise ValueError("its key is encrypted")

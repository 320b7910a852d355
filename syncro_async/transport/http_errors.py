"""Makes one of our errors of what a library raised, also from what led to it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING

from syncro_async._internal.plain_text import shorten
from syncro_async.errors import ConnectionFailedError, NoAnswerError, RequestTimeoutError
from syncro_async.transport.messages import Attempt
from syncro_async.transport.over_aiohttp import proves_nothing_was_sent
from syncro_async.transport.proxies import refuses_credentials

if TYPE_CHECKING:
    from syncro_async.transport.http_engine import HttpLibrary


def iter_causes(error: BaseException) -> Iterator[BaseException]:
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


def is_certificate_error(error: Exception) -> bool:
    """Whether the server's certificate is at the bottom of it."""
    return any(isinstance(link, ssl.SSLCertVerificationError) for link in iter_causes(error))


# What a server sends when it refuses the client's certificate, or the lack of one (RFC 8446, 6.2).
_CERTIFICATE_ALERTS = (
    "ALERT_CERTIFICATE_REQUIRED",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_UNSUPPORTED_CERTIFICATE",
    "ALERT_CERTIFICATE_REVOKED",
    "ALERT_CERTIFICATE_EXPIRED",
    "ALERT_CERTIFICATE_UNKNOWN",
    "ALERT_UNKNOWN_CA",
    "ALERT_ACCESS_DENIED",
    "ALERT_HANDSHAKE_FAILURE",
)


def is_handshake_refusal(error: Exception) -> bool:
    """Whether the server ended the TLS handshake because of the client's certificate.

    With TLS 1.3 the client's side of the handshake is complete before the server has checked the
    certificate, so the alert comes with the first read. The server reads no request before that.
    """
    return any(
        isinstance(link, ssl.SSLError) and (link.reason or "").endswith(_CERTIFICATE_ALERTS)
        for link in iter_causes(error)
    )


def is_timeout(error: Exception) -> bool:
    """Return whether it is a timeout; an error without a cause is judged by its name.

    One with a number is the system's: a connection it gave up may have carried the request.
    """
    return error.__cause__ is None or any(
        isinstance(link, TimeoutError) and link.errno is None for link in iter_causes(error)
    )


def _text_of(error: Exception) -> str:
    """What it says; an exception of somebody else may not even have a text."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - callers see only our errors
        return ""


# What httpcore does before it has a connection to the proxy.
_TO_THE_PROXY = ("connection.connect_tcp.", "connection.start_tls.", "socks.connect_tcp.")


def translate_error(
    error: Exception, attempt: Attempt, seconds: float, host: str, library: HttpLibrary
) -> NoAnswerError:
    """The error of an attempt that got no whole answer within so many seconds."""
    said = shorten(_text_of(error))
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    if isinstance(error, library.refused_here):
        return ConnectionFailedError(
            f"the request cannot be sent to {host} ({what})", permanent=True
        )
    if (refusal := _proxy_failure(error, attempt, what, library)) is not None:
        return refusal
    if attempt.answered_at is None and attempt.fresh and is_handshake_refusal(error):
        who, operator = host, "the service"
        # A tunnel that is not there yet: the proxy is reached over TLS, and has the CONNECT.
        if attempt.bytes_sent is False and attempt.stage.startswith("http11."):
            who = operator = f"the proxy {attempt.proxy}"
        return ConnectionFailedError(
            f"{who} refused the TLS handshake: it demands a client certificate that it accepts"
            f" ({what}); ask the operator of {operator} which certificate it needs",
            permanent=True,
        )
    if _never_connected(error, attempt, library):
        return ConnectionFailedError(
            f"no connection to {host} ({what})", permanent=is_certificate_error(error)
        )
    if attempt.bytes_sent is False:
        way = "" if attempt.proxy is None else f" through the proxy {attempt.proxy}"
        return ConnectionFailedError(f"nothing reached {host}{way} ({what})")
    return _broken_answer(error, seconds, what, library)


def _proxy_failure(
    error: Exception, attempt: Attempt, what: str, library: HttpLibrary
) -> ConnectionFailedError | None:
    """The error of a proxy that refused or was not reached; None for any other."""
    if isinstance(error, library.api.ProxyError):
        name = "" if attempt.proxy is None else f"; it is {attempt.proxy}"
        return ConnectionFailedError(
            f"the proxy refused ({what}){name}", permanent=refuses_credentials(str(error))
        )
    if attempt.proxy is None or not attempt.stage.startswith(_TO_THE_PROXY):
        return None
    return ConnectionFailedError(
        f"no connection to the proxy {attempt.proxy} ({what}); look at HTTPS_PROXY, HTTP_PROXY,"
        " ALL_PROXY and NO_PROXY",
        permanent=is_certificate_error(error),
    )


def _never_connected(error: Exception, attempt: Attempt, library: HttpLibrary) -> bool:
    if not isinstance(error, library.no_connection) or attempt.answered_at is not None:
        return False
    if attempt.bytes_sent is not None or not isinstance(error, library.api.ConnectTimeout):
        return not attempt.bytes_sent
    # The transport says nothing on the way. `ConnectTimeout` is what httpx-aiohttp makes of every
    # connection that broke, also after the request was sent.
    cause = error.__cause__
    proved = None if cause is None else proves_nothing_was_sent(cause, attempt.method)
    return is_timeout(error) if proved is None else proved


def _broken_answer(
    error: Exception, seconds: float, what: str, library: HttpLibrary
) -> NoAnswerError:
    timed_out = isinstance(error, (TimeoutError, library.api.TimeoutException))
    if timed_out and (not isinstance(error, library.api.ConnectTimeout) or is_timeout(error)):
        return RequestTimeoutError(f"no whole answer within {seconds:g} s")
    return NoAnswerError(f"the connection broke before the whole answer was there ({what})")

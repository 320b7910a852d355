"""Looks through all that led to an error, for what its own class does not tell."""

from __future__ import annotations

import ssl
from collections.abc import Iterator


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
    """Whether somebody ran out of time; one without a cause is taken by its name.

    One with a number is the system's: a connection it gave up may have carried the request.
    """
    return error.__cause__ is None or any(
        isinstance(link, TimeoutError) and link.errno is None for link in iter_causes(error)
    )


def is_connect_error(error: Exception) -> bool:
    """Whether aiohttp says that no connection was made.

    Its `ClientConnectorError` is known by its name: aiohttp need not be there.
    """
    return any(
        kind.__name__ == "ClientConnectorError"
        for link in iter_causes(error)
        for kind in type(link).__mro__
    )

"""Looks at the connections that httpcore keeps, for what its interface does not tell."""

from __future__ import annotations

from typing import Any


def closed_meanwhile(transport: Any, trace: object) -> bool:
    """Whether the server has closed the connection that the request with this trace waits to take.

    An idle connection on which there is something to read is at its end, or holds words that
    answer nothing. httpcore looks for that when it gives the connection out, and turns of the
    event loop pass until it writes. Asked from the trace hook that announces the writing, no turn
    lies between this look and the first byte.
    """
    return any(
        _is_readable(waiting.connection)
        for waiting in getattr(getattr(transport, "_pool", None), "_requests", ())
        if waiting.request.extensions.get("trace") is trace
    )


def unread(response: Any) -> bytes:
    """What came behind the whole answer: httpcore would take it for the next request's answer."""
    link = response
    for name in ("stream", "_httpcore_stream", "_stream", "_connection", "_h11_state"):
        link = getattr(link, name, None)
    trailing: tuple[bytes, bool] = getattr(link, "trailing_data", (b"", False))
    return trailing[0]


def _is_readable(connection: Any) -> bool:
    """Whether there is something to read on the innermost connection, the one that talks."""
    while (inner := getattr(connection, "_connection", None)) is not None:
        connection = inner
    stream = getattr(connection, "_network_stream", None)
    return stream is not None and bool(stream.get_extra_info("is_readable"))

"""One of each thing that goes wrong between a client and a server, for runs that last."""

from __future__ import annotations

from syncro_async.sandbox.trouble import Trouble

_PAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
_LOGIN = "https://app.syncro.chat/login"

HAZARDS = (
    # The connection breaks: before the work, after it, in the answer.
    Trouble(reset=True),
    Trouble(lose_answer=True),
    Trouble(delay=0.5, lose_answer=True),
    Trouble(truncate=True),
    Trouble(status=500, truncate=True),
    Trouble(headers={"Connection": "close"}),
    # The answer comes late, or too late for anybody.
    Trouble(delay=0.3),
    Trouble(delay=5.0),
    # The server fails, in every dress.
    Trouble(status=500),
    Trouble(status=502, body=_PAGE),
    Trouble(status=503, body=b"Service Unavailable", headers={"Content-Type": "text/plain"}),
    Trouble(status=503, headers={"Retry-After": "1"}),
    Trouble(status=504, body=_PAGE),
    Trouble(status=520, body=b""),
    # It refuses for the rate, with a time, a wrong one, none, one of long ago.
    Trouble(status=429, headers={"Retry-After": "0"}),
    Trouble(status=429, headers={"Retry-After": "soon"}),
    Trouble(status=429, body={"message": "Rate limit excedido.", "retry_after": 1}),
    Trouble(status=429, headers={"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT"}),
    # What comes is no answer of the API, whether or not the work was done.
    Trouble(status=200, body=_PAGE),
    Trouble(status=204),
    Trouble(status=302, body=b"", headers={"Location": _LOGIN}),
    Trouble(body=_PAGE),
    Trouble(body=b'{"success": true, "lead": {"id"'),
    Trouble(body=b"\xef\xbb\xbf[]"),
)

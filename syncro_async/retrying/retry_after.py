"""What a server asks for when it says «later»."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

# A whole or decimal number of seconds in ASCII; no sign, no exponent, no other script's digits.
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")
# Nobody means a longer wait than a year; such a number is a mistake and counts as none.
_LONGEST = 366 * 86400.0


def retry_after(headers: tuple[tuple[str, str], ...], body: Any, wall: float) -> float | None:
    """The wait asked for, in seconds: the larger usable one of header and body; None without one.

    The header is a number of seconds or an HTTP-date, measured against the answer's own `Date`
    (else against `wall`, a unix timestamp), so that a client whose clock is off waits no longer.
    Two headers contradict each other and count as none. The body's is the number, or numeric
    text, under `retry_after` (API reference, "Errors and limits").
    """
    asked = body.get("retry_after") if isinstance(body, dict) else None
    found = [
        seconds
        for seconds in (_from_header(headers, wall), _from_body(asked))
        if seconds is not None
    ]
    return max(found, default=None)


@lru_cache(maxsize=8)  # it takes time, and the answers of one second have the same
def http_date(text: str) -> float | None:
    """A date in any of HTTP's three formats as a unix timestamp; None for anything else."""
    try:
        moment = parsedate_to_datetime(text)
        # asctime dates carry no zone; HTTP says they are GMT (RFC 9110, 5.6.7).
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def _from_header(headers: tuple[tuple[str, str], ...], wall: float) -> float | None:
    values = [value for name, value in headers if name == "retry-after"]
    if len(values) != 1:
        return None
    seconds = _from_text(values[0])
    if seconds is not None:
        return seconds
    then = http_date(values[0])
    if then is None:
        return None
    dates = [stamp for name, value in headers if name == "date" and (stamp := http_date(value))]
    return _usable(max(0.0, then - (dates[0] if dates else wall)))


def _from_body(asked: object) -> float | None:
    if isinstance(asked, str):
        return _from_text(asked)
    if isinstance(asked, int | float) and not isinstance(asked, bool):
        return _usable(asked)
    return None


def _from_text(text: str) -> float | None:
    text = text.strip()
    # Longer digit strings than this cannot be usable, and make slow numbers.
    return _usable(float(text)) if len(text) < 32 and _SECONDS.fullmatch(text) else None


def _usable(seconds: float) -> float | None:
    return float(seconds) if 0 <= seconds <= _LONGEST else None

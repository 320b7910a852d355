"""Turns ids, tags and parameters into the part of a URL behind the base, which none can escape."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit


def path_segment(name: str, value: int | str) -> str:
    """One path segment, percent-encoded.

    Raises `ValueError`, naming the argument, for what no path can carry: an empty text, a lone
    `.` or `..`, also as a step between slashes (some servers decode those, and would resolve it to
    another path), or something that is no id.
    """
    kind = type(value)
    if kind is bool or not issubclass(kind, int | str):
        raise ValueError(f"{name} must be an int or a str, not {kind.__name__}")
    text = str(value)
    if not text.strip() or _has_dots(text):
        raise ValueError(f"{name}={text!r} cannot stand in a URL path")
    return quote(text, safe="")


def relative_path(path: str, base_url: str) -> str:
    """A path below the base URL, beginning with a slash.

    Raises `ValueError` for what would leave it: a URL elsewhere (the key would go along), `..`,
    or a query or fragment of its own (parameters go into `params`).
    """
    if path.startswith(base_url + "/"):
        path = path[len(base_url) :]
    parts = urlsplit(path)
    if parts.scheme or parts.netloc or "\\" in path:
        raise ValueError(f"path={path!r} is not below {base_url}; the key goes nowhere else")
    if parts.query or parts.fragment or "?" in path or "#" in path:
        raise ValueError(f"path={path!r} holds a query or fragment; parameters go into params=")
    if _has_dots(unquote(path)):
        raise ValueError(f"path={path!r} must not hold . or .. as a step")
    return "/" + quote(path.removeprefix("/"), safe="/%:@!$&'()*+,;=-._~")


def query_string(parameters: Mapping[str, Any]) -> str:
    """`?a=1&tags[]=x&tags[]=y` without the question mark; what is None is left out.

    Lists repeat their name with `[]` (PHP's arrays), booleans are 1 and 0, datetimes ISO 8601
    in UTC. Raises `ValueError` for a datetime without a time zone.
    """
    pairs: list[tuple[str, str]] = []
    for name, value in parameters.items():
        if value is None:
            continue
        if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
            pairs.extend((f"{name}[]", _text(name, item)) for item in value)
        else:
            pairs.append((name, _text(name, value)))
    return urlencode(pairs)


def merge_default_params(query: str, defaults: Mapping[str, Any]) -> str:
    """The query with those parameters added that it does not name itself."""
    named = {name for name, _ in parse_qsl(query, keep_blank_values=True)}
    missing = query_string({name: defaults[name] for name in defaults if name not in named})
    return "&".join(part for part in (query, missing) if part)


def format_datetime(name: str, value: datetime | date) -> str:
    """ISO 8601: a datetime in UTC with `Z`, a date as it is.

    Raises `ValueError` for a datetime without a time zone.
    """
    if not isinstance(value, datetime):
        return value.isoformat()
    if value.utcoffset() is None:
        raise ValueError(
            f"{name}={value!r} has no time zone; give one, for instance .replace(tzinfo=UTC)"
        )
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _has_dots(path: str) -> bool:
    """Whether a step of it leads to the same place or upwards."""
    return any(step.strip() in {".", ".."} for step in re.split(r"[/\\]", path))


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, date):
        return format_datetime(name, value)
    if isinstance(value, int | float | str):
        return str(value)
    raise ValueError(f"{name} cannot be sent as a query parameter: {type(value).__name__}")

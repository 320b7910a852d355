"""Turns ids, tags and parameters into the part of a URL behind the base, which none can escape."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from syncro_async._internal.plain_text import shown
from syncro_async.errors import InvalidArgumentError
from syncro_async.transport.values import query_text, refusal, scalar, unwrapped


def path_segment(name: str, value: object) -> str:
    """One path segment, percent-encoded.

    Raises `InvalidArgumentError`, naming the argument, for what no path can carry: an empty text, a
    lone `.` or `..`, also as a step between slashes (some servers decode those, and would resolve
    it to another path), or something that is no id.
    """
    plain = scalar(name, value, "an int or a str")
    if isinstance(plain, bool) or not isinstance(plain, int | str):
        raise refusal(name, "an int or a str", value)
    text = str(plain)
    if not text.strip() or _has_dots(text):
        raise InvalidArgumentError(
            f"{name}={shown(value)} cannot be a part of a URL path", argument=name
        )
    return quote(text, safe="")


def relative_path(path: str, base_url: str) -> str:
    """A path below the base URL, beginning with a slash.

    Raises `InvalidArgumentError` for what would leave it: a URL elsewhere (the key would go along),
    `..`, or a query or fragment of its own (parameters go into `params`).
    """
    text = scalar("path", path, "a str")
    if not isinstance(text, str):
        raise refusal("path", "a str", path)
    if text.startswith(base_url + "/"):
        text = text[len(base_url) :]
    try:
        parts = urlsplit(text)
    except ValueError:  # a bracket that looks like a broken IPv6 address
        raise refusal("path", f"a path below {base_url}", path) from None
    if parts.scheme or parts.netloc or "\\" in text:
        raise _bad_path(text, f"is not below {base_url}; the key goes nowhere else")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise _bad_path(text, "holds a query or fragment; parameters go into params=")
    if _has_dots(unquote(text)):
        raise _bad_path(text, "must not hold . or .. as a step")
    return "/" + quote(text.removeprefix("/"), safe="/%:@!$&'()*+,;=-._~")


def _bad_path(path: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"path={shown(path)} {why}", argument="path")


Parameters = Mapping[str, Any] | Iterable[tuple[str, Any]]
"""The parameters of a query: a map, or pairs where a name occurs several times."""


class RequestOptions(TypedDict, total=False):
    """What `client.request` sends besides method and path."""

    params: Parameters | None
    json: Any


def pairs_of(parameters: Parameters | None) -> list[tuple[str, Any]]:
    """Names and values in order; what is None is left out.

    Raises `InvalidArgumentError` for what is neither a map nor pairs, and for a name that is no
    text.
    """
    given: Any = unwrapped(parameters)
    if given is None:
        return []
    given = given.items() if isinstance(given, Mapping) else given
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise refusal("params", "a mapping, or pairs of name and value", parameters)
    pairs: list[tuple[str, Any]] = []
    for pair in given:
        if not (isinstance(pair, tuple | list) and len(pair) == 2):
            raise refusal("params", "a mapping, or pairs of name and value", pair)
        name, value = scalar("a name in params", pair[0]), unwrapped(pair[1])
        if not isinstance(name, str) or not name:
            raise refusal("a name in params", "a text that is not empty", pair[0])
        if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
            value = list(value)  # an iterator is used up once, and each page of a list sends it
        if value is not None:
            pairs.append((name, value))
    return pairs


def query_string(parameters: Parameters | None) -> str:
    """`?a=1&tags[]=x&tags[]=y` without the question mark; what is None is left out.

    Lists repeat their name with `[]` (PHP's arrays), booleans are 1 and 0, datetimes ISO 8601
    in UTC. Raises `InvalidArgumentError` for values that a query cannot carry (see
    `values.scalar`).
    """
    pairs: list[tuple[str, str]] = []
    for name, value in pairs_of(parameters):
        if isinstance(value, list):
            several = name if name.endswith("[]") else f"{name}[]"
            pairs.extend((several, query_text(name, item)) for item in value)
        else:
            pairs.append((name, query_text(name, value)))
    return urlencode(pairs)


def merge_default_params(query: str, defaults: Mapping[str, Any]) -> str:
    """The query with those parameters added that it does not name itself."""
    named = {name for name, _ in parse_qsl(query, keep_blank_values=True)}
    missing = query_string({name: defaults[name] for name in defaults if name not in named})
    return "&".join(part for part in (query, missing) if part)


class RequestUrls:
    """Makes the URLs of requests out of a base URL that is parsed once.

    The parser of httpx takes a tenth of a call. A path and a query of plain characters need none of
    it: they are put into a copy of what it made of the base URL. That part of `URL` is private.
    Where it is missing, and for every other path, the parser is used.

    - `kind`: the `URL` of the HTTP library.
    """

    def __init__(self, kind: Any, base_url: str) -> None:
        self._kind = kind
        self._base_url = base_url
        self._parsed = getattr(kind(base_url), "_uri_reference", None)

    def url(self, path: str, query: str) -> Any:
        """The URL of that path below the base URL, and that query; both percent-encoded."""
        if self._parsed is None or not _PLAIN.fullmatch(path) or not _PLAIN_QUERY.fullmatch(query):
            return self._kind(f"{self._base_url}{path}?{query}" if query else self._base_url + path)
        url = self._kind.__new__(self._kind)
        whole = self._parsed.path.rstrip("/") + path
        url._uri_reference = self._parsed._replace(path=whole, query=query or None)  # noqa: SLF001
        return url


# Nothing that a parser would change; the steps are checked where the path is made.
_PLAIN = re.compile(r"/[A-Za-z0-9_/-]*+")
_PLAIN_QUERY = re.compile(r"(?:[A-Za-z0-9_=&+.~-]|%[0-9A-F]{2})*+")


def _has_dots(path: str) -> bool:
    """Whether a step of it leads to the same place or upwards."""
    return any(step.strip() in {".", ".."} for step in re.split(r"[/\\]", path))

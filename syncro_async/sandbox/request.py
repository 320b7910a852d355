"""The decoded request that a handler receives, and the parameters of a page."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

from syncro_async.sandbox.validation import Form

if TYPE_CHECKING:
    from syncro_async.sandbox.data.store import Store
    from syncro_async.sandbox.serialization import Serializer

_NESTED = re.compile(r"([^\[\]]+)\[([^\[\]]*)\]")
# What Laravel's TrimStrings removes beside white space.
_BLANKS = re.compile("^[\\s\ufeff\u200b\u200e]+|[\\s\ufeff\u200b\u200e]+$")
_DEEPEST = 512
_LEAST_INT = -(2**63)
_MOST_FLOAT = int(sys.float_info.max)


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """An authorized request.

    - `store`: the data of the account. `wire`: the serializer of the response.
    - `parts`: the decoded path segments that contain an id or a name.
    - `query`, `fields`: the parameters of query and body, as PHP decodes them.
    - `at`: the current time in the format of the API.
    - `max_leads`: the plan's limit of leads, or None.
    """

    store: Store
    wire: Serializer
    parts: tuple[str, ...]
    query: Mapping[str, Any]
    fields: Mapping[str, Any]
    at: str
    max_leads: int | None

    def form(self) -> Form:
        """A validator for the fields of the body."""
        return Form(self.fields)

    def filters(self) -> Form:
        """A validator for the parameters of the query."""
        return Form(self.query)


def read_query(raw: str) -> dict[str, Any]:
    """Decode a query or a form as PHP does.

    `name[]=` and `name[0]=` build a list, `name[key]=` a map; of a repeated plain name the last
    wins.
    """
    query: dict[str, Any] = {}
    for name, value in parse_qsl(raw, keep_blank_values=True):
        found = _NESTED.fullmatch(name)
        if found is None:
            query[name] = value
            continue
        outer, key = found.groups()
        parts = query.setdefault(outer, {})
        if isinstance(parts, dict):
            parts[key or str(len(parts))] = value
    return {name: _clean(_as_list(value), 0) for name, value in query.items()}


def read_body(raw: bytes, content_type: str) -> dict[str, Any]:
    """The fields of a JSON object or of a form; anything else has no fields."""
    kind = content_type.lower()
    if "application/x-www-form-urlencoded" in kind:
        return read_query(raw.decode("utf-8", "replace"))
    if "json" not in kind:
        return {}
    try:
        fields = _clean(msgspec.json.decode(raw), 0)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or too deep: as PHP's json_decode
        return {}
    return fields if isinstance(fields, dict) else {}


def _as_list(value: Any) -> Any:
    """A map whose keys are numbers as a list."""
    if isinstance(value, dict) and all(key.isdecimal() for key in value):
        return list(value.values())
    return value


def _clean(value: Any, depth: int) -> Any:
    """Texts trimmed and empty ones null, at every depth; integers beyond 64 bits as floats.

    The first two are middleware of Laravel (TrimStrings, ConvertEmptyStringsToNull), the last is
    PHP's. Raises `ValueError` for what is deeper than PHP reads.
    """
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        return _BLANKS.sub("", value) or None
    # In place: one frame for each level, so that Python reads what PHP reads.
    if isinstance(value, list):
        for index, part in enumerate(value):
            value[index] = _clean(part, depth + 1)
    elif isinstance(value, dict):
        for name, part in value.items():
            value[name] = _clean(part, depth + 1)
    elif isinstance(value, int) and not _LEAST_INT <= value <= -_LEAST_INT - 1:
        return float(value) if abs(value) < _MOST_FLOAT else math.inf
    return value


_DEFAULT_SIZE = 50
_MAX_SIZE = 200


def requested_page(form: Form) -> tuple[int, int]:
    """The number of the requested page, from 1, and its size in items."""
    return form.size("page", 1), form.size("per_page", _DEFAULT_SIZE, most=_MAX_SIZE)


def page_meta(total: int, page: int, per_page: int) -> dict[str, Any]:
    """The `meta` object of a page; `total` is the number of items in all pages."""
    last_page = max(1, ceil(total / per_page))
    return {
        "total": total,
        "per_page": per_page,
        "current_page": page,
        "last_page": last_page,
        "has_more": page < last_page,
    }

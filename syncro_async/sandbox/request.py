"""The decoded request that a handler receives, and the parameters of a page."""

from __future__ import annotations

import re
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

_LIST = re.compile(r"(\w+)\[\d*\]")


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
    """Decode query parameters: `name[]=` builds a list; of a repeated plain name the last wins."""
    query: dict[str, Any] = {}
    for name, value in parse_qsl(raw, keep_blank_values=True):
        listed = _LIST.fullmatch(name)
        if listed is None:
            query[name] = value
            continue
        items = query.setdefault(listed[1], [])
        if isinstance(items, list):
            items.append(value)
    return query


def read_body(raw: bytes, content_type: str) -> dict[str, Any]:
    """The fields of a JSON object; anything else has no fields."""
    if "json" not in content_type.lower():
        return {}
    try:
        fields = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


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

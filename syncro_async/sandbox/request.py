"""One admitted request as a handler sees it, and the page that it asks for."""

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
    """What came with a request, and what it is asked of.

    `parts` are the decoded path segments that name something, `query` and `fields` the parameters
    as PHP would read them; `at` is now, in the API's writing, `max_leads` the
    plan's limit.
    """

    store: Store
    wire: Serializer
    parts: tuple[str, ...]
    query: Mapping[str, Any]
    fields: Mapping[str, Any]
    at: str
    max_leads: int | None

    def form(self) -> Form:
        """The body's fields, to be checked."""
        return Form(self.fields)

    def filters(self) -> Form:
        """The query's parameters, to be checked."""
        return Form(self.query)


def read_query(raw: str) -> dict[str, Any]:
    """Query parameters; `name[]=` builds a list, of a repeated plain name the last counts."""
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
    """The fields of a JSON object; anything else has none."""
    if "json" not in content_type.lower():
        return {}
    try:
        fields = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


_USUAL_SIZE = 50
_LARGEST_SIZE = 200


def page_asked(form: Form) -> tuple[int, int]:
    """Which page is wanted, counted from 1, and how many items it is to hold."""
    return form.size("page", 1), form.size("per_page", _USUAL_SIZE, most=_LARGEST_SIZE)


def page_meta(total: int, page: int, per_page: int) -> dict[str, Any]:
    """What is said of a page of `total` items in all."""
    last_page = max(1, ceil(total / per_page))
    return {
        "total": total,
        "per_page": per_page,
        "current_page": page,
        "last_page": last_page,
        "has_more": page < last_page,
    }

"""The rule for each argument of a call: what it must be, and how it is written in the request.

Every rule is a function of the argument's name and value. It converts the value by the table of
`transport/values.py`, and raises `InvalidArgumentError` for what the reference rules out, so that
a call which the server could only refuse takes nothing from the budget.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypedDict
from urllib.parse import urlsplit

from syncro_async._internal.argument_text import Argument, ArgumentText
from syncro_async._internal.checks import is_int
from syncro_async.errors import InvalidArgumentError
from syncro_async.models.types import ListRelation
from syncro_async.resources.keywords import check_names
from syncro_async.transport.values import format_datetime, refusal, scalar, unwrapped

MatchBy = Literal["email", "phone", "email_or_phone"]

MATCH_KEYS: dict[str, tuple[str, ...]] = {
    "email": ("email",),
    "phone": ("phone",),
    "email_or_phone": ("email", "phone"),
}


class LeadFilters(TypedDict, total=False):
    """The filters of `leads.list`; one that is None or absent is not sent."""

    pipeline_id: int | None
    stage_id: int | None
    assigned_to: int | None
    source: str | None
    status: str | None
    tags: str | Iterable[str] | None
    q: str | None
    updated_since: datetime | date | None
    created_from: datetime | date | None
    created_to: datetime | date | None
    include: ListRelation | Iterable[ListRelation] | None


class LeadPlace(TypedDict, total=False):
    """What a new lead must have."""

    name: str | None
    pipeline_id: int | None
    stage_id: int | None


class LeadDetails(TypedDict, total=False):
    """What a lead may have."""

    phone: str | None
    email: str | None
    value: float | Decimal | None
    source: str | None
    tags: str | Iterable[str] | None
    notes: str | None
    utm_source: str | None
    utm_medium: str | None
    utm_campaign: str | None
    utm_term: str | None
    utm_content: str | None
    assigned_to: int | None
    custom_fields: Mapping[str, Any] | None


class LeadFields(LeadPlace, LeadDetails, total=False):
    """The fields of `leads.upsert`; one that is None or absent is not sent."""


_DETAIL_ONLY = ("events", "conversation", "siblings")
_LARGEST_PAGE = 200
_TIME_RULE = "HH:MM, or a time without seconds and time zone"
_HOURS_AND_MINUTES = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


def identifier(name: str, value: Any) -> int:
    """An int for an id; a bool is an int to Python, but no id, and neither is 5.0."""
    found = scalar(name, value, "an int")
    if not is_int(found):
        raise refusal(name, "an int", value)
    return found


def number(name: str, value: Any) -> float | Decimal:
    """A number that JSON can carry, so neither NaN nor an infinity."""
    found = scalar(name, value, "a number")
    if isinstance(found, bool) or not isinstance(found, int | float | Decimal):
        raise refusal(name, "a number", value)
    return found


def text(name: str, value: Any) -> str:
    """A text, which may be empty."""
    found = scalar(name, value, "a str")
    if not isinstance(found, str):
        raise refusal(name, "a str", value)
    return found


def filled(name: str, value: Any) -> str:
    """A text that is not blank."""
    found = text(name, value)
    if not found.strip():
        raise refusal(name, "a text that is not blank", value)
    return found


def point_in_time(name: str, value: Any) -> str:
    """An aware datetime or a date as ISO 8601 (API reference, 'Errors and limits')."""
    found = scalar(name, value, "a datetime or a date")
    if not isinstance(found, date):
        raise refusal(name, "a datetime or a date", value)
    return format_datetime(name, found)


def day(name: str, value: Any) -> str:
    """A date as `YYYY-MM-DD`; a datetime is refused, for nothing says in which time zone."""
    found = scalar(name, value, "a date")
    if isinstance(found, datetime):
        raise refusal(name, "a date without a time (.date() gives it)", value)
    if not isinstance(found, date):
        raise refusal(name, "a date", value)
    return found.isoformat()


def time_of_day(name: str, value: Any) -> str:
    """A time or a text as `HH:MM`, the only way that the reference knows."""
    found = scalar(name, value, _TIME_RULE)
    if isinstance(found, time) and found.tzinfo is None:
        found = found.isoformat().removesuffix(":00")
    if not isinstance(found, str) or not _HOURS_AND_MINUTES.fullmatch(found):
        raise refusal(name, _TIME_RULE, value)
    return found


def flag(name: str, value: Any) -> bool:
    """A bool and nothing that is merely true or false."""
    found = scalar(name, value, "a bool")
    if not isinstance(found, bool):
        raise refusal(name, "a bool", value)
    return found


def web_address(name: str, value: Any) -> str:
    """An http(s) URL of a host."""
    found = filled(name, value)
    try:
        parts = urlsplit(found)
        known = parts.scheme in {"http", "https"} and parts.hostname
    except ValueError:
        known = None
    if not known:
        raise refusal(name, "an http:// or https:// URL", value)
    return found


def secret(name: str, value: Any) -> str:
    """A text that is not blank; what it is instead is not shown."""
    try:
        return filled(name, value)
    except InvalidArgumentError:
        raise InvalidArgumentError(
            ArgumentText(Argument(name), " must be a text that is not blank"), argument=name
        ) from None


def event_names(name: str, value: Any) -> list[str]:
    """At least one event by name; a text is one event."""
    names = tag_names(name, value)
    if not names:
        raise InvalidArgumentError(f"{name} must hold at least one event", argument=name)
    return names


def texts(name: str, value: Any) -> list[str]:
    """Several texts; a text alone is refused, for it would go as its single characters."""
    several = unwrapped(value)
    if isinstance(several, str | bytes | Mapping) or not isinstance(several, Iterable):
        raise refusal(name, "several texts", value)
    return [text(f"{name}[{index}]", item) for index, item in enumerate(several)]


def tag_names(name: str, value: Any) -> list[str]:
    """Tags by name; a text is one tag. A blank tag could not be removed by its name."""
    several = unwrapped(value)
    names = texts(name, [several] if isinstance(several, str) else several)
    return [filled(f"{name}[{index}]", item) for index, item in enumerate(names)]


def relations(name: str, value: Any) -> str | None:
    """Names of relations joined by commas, as a text may be already; None for no names.

    Unknown names go as they are: the server ignores them (API reference, 'Errors and limits').
    """
    several = unwrapped(value)
    parts = [text(name, several)] if isinstance(several, str) else texts(name, several)
    names = [item.strip() for part in parts for item in part.split(",")]
    return ",".join(filter(None, names)) or None


def list_relations(name: str, value: Any) -> str | None:
    """The same, without the relations that no list carries (API reference, 'Leads', `?include`)."""
    joined = relations(name, value)
    refused = [item for item in _DETAIL_ONLY if item in (joined or "").split(",")]
    if refused:
        raise InvalidArgumentError(
            ArgumentText(
                Argument(name),
                f" must not name {', '.join(refused)} in a list; fetch that lead by lead with "
                "leads.get(id, include=[...])",
            ),
            argument=name,
        )
    return joined


def field_values(name: str, value: Any) -> dict[str, Any]:
    """A map from custom field names to values, which are converted where they are encoded."""
    if not isinstance(value, Mapping):
        raise refusal(name, "a mapping from field names to values", value)
    return {text(f"a field name in {name}", key): item for key, item in value.items()}


_UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")

_RULES: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(("pipeline_id", "stage_id", "assigned_to", "reason_id"), identifier),
    **dict.fromkeys(("sequence_id", "instance_id", "template_id"), identifier),
    **dict.fromkeys(("name", "phone", "email", "source", "notes", "status", "q", *_UTM), text),
    **dict.fromkeys(("body", "caption"), text),
    **dict.fromkeys(("media_url", "header_media_url", "target_url"), web_address),
    **dict.fromkeys(("updated_since", "created_from", "created_to"), point_in_time),
    "value": number,
    "tags": tag_names,
    "variables": texts,
    "include": list_relations,
    "custom_fields": field_values,
    "lead_id": identifier,
    **dict.fromkeys(("subject", "type", "priority", "language"), filled),
    "description": text,
    **dict.fromkeys(("due_date", "due_from", "due_to"), day),
    "due_time": time_of_day,
    **dict.fromkeys(("active_only", "is_active"), flag),
    "events": event_names,
    "secret": secret,
}


def optional(**arguments: Any) -> dict[str, Any]:
    """Take each argument by its rule; what is None is not sent."""
    given = {name: value for name, value in arguments.items() if value is not None}
    ruled = {name: _RULES[name](name, value) for name, value in given.items()}
    return {name: value for name, value in ruled.items() if value is not None}


def lead_filters(given: Mapping[str, Any]) -> dict[str, Any]:
    """The filters of a list of leads, each by its rule. An unknown name is refused."""
    check_names("a list of leads", given, LeadFilters.__annotations__)
    return optional(**{name: given.get(name) for name in LeadFilters.__annotations__})


def lead_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a lead, each by its rule. An unknown name is refused."""
    check_names("a lead", given, LeadFields.__annotations__)
    return optional(**{name: given.get(name) for name in LeadFields.__annotations__})


def required(**arguments: Any) -> dict[str, Any]:
    """Take each argument by its rule, and no None."""
    for name, value in arguments.items():
        if value is None:
            raise InvalidArgumentError(f"{name} is required", argument=name)
    return optional(**arguments)


def check_match_key(match_by: Any, fields: Mapping[str, Any]) -> str:
    """Refuse an upsert that does not send what it matches by (API reference, 'Leads', upsert)."""
    chosen = text("match_by", match_by)
    keys = MATCH_KEYS.get(chosen)
    if keys is None:
        raise refusal("match_by", f"one of {', '.join(MATCH_KEYS)}", match_by)
    if not any(fields.get(key, "").strip() for key in keys):
        raise InvalidArgumentError(
            f"match_by={chosen!r} needs {' or '.join(keys)}", argument="match_by"
        )
    return chosen


def check_message(body: Any, media_url: Any) -> None:
    """Refuse a message with neither text nor image (API reference, 'Leads', send WhatsApp)."""
    if media_url is None and (body is None or not text("body", body).strip()):
        raise InvalidArgumentError("body or media_url is required", argument="body")


class PageRange(NamedTuple):
    """Which part of a list is asked for."""

    page_size: int
    start_page: int
    max_items: int | None


def page_range(page_size: Any, start_page: Any = 1, max_items: Any = None) -> PageRange:
    """Refuse what is no page: 1 to 200 items, counted from 1 (API reference, 'Pagination')."""
    size, start = identifier("page_size", page_size), identifier("start_page", start_page)
    most = None if max_items is None else identifier("max_items", max_items)
    if not 1 <= size <= _LARGEST_PAGE:
        raise refusal("page_size", f"1 to {_LARGEST_PAGE}", page_size)
    if start < 1:
        raise refusal("start_page", "1 or more", start_page)
    if most is not None and most < 0:
        raise refusal("max_items", "0 or more", max_items)
    return PageRange(size, start, most)

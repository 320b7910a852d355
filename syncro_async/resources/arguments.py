"""The rule for each argument of a call: what it must be, and how it is written in the request.

Every rule is a function of the argument's name and value that raises `ValueError` naming the
argument, so that a call the server could only refuse costs none of the key's requests.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time
from typing import Any, Literal
from urllib.parse import urlsplit

from syncro_async.transport.urls import format_datetime

MatchBy = Literal["email", "phone", "email_or_phone"]

MATCH_KEYS: dict[str, tuple[str, ...]] = {
    "email": ("email",),
    "phone": ("phone",),
    "email_or_phone": ("email", "phone"),
}
_DETAIL_ONLY = ("events", "conversation", "siblings")
_LARGEST_PAGE = 200
_HOURS_AND_MINUTES = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


def identifier(name: str, value: Any) -> int:
    """Take an int for an id; a bool is an int to Python, but no id."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise _refusal(name, "an int", value)
    return value


def number(name: str, value: Any) -> float:
    """Take a number JSON can carry, so neither NaN nor an infinity."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refusal(name, "an int or a float", value)
    if not math.isfinite(value):
        raise _refusal(name, "finite", value)
    return value


def text(name: str, value: Any) -> str:
    """Take a str, be it an empty one."""
    if not isinstance(value, str):
        raise _refusal(name, "a str", value)
    return value


def filled(name: str, value: Any) -> str:
    """Take a str that is not blank."""
    if not text(name, value).strip():
        raise _refusal(name, "a text that is not blank", value)
    return text(name, value)


def point_in_time(name: str, value: Any) -> str:
    """Write an aware datetime or a date as ISO 8601 (API reference, 'Errors and limits')."""
    if not isinstance(value, date):
        raise _refusal(name, "a datetime or a date", value)
    return format_datetime(name, value)


def day(name: str, value: Any) -> str:
    """Write a date as `YYYY-MM-DD`; a datetime is refused, for nothing says in which time zone."""
    if isinstance(value, datetime) or not isinstance(value, date):
        raise _refusal(name, "a date without a time", value)
    return value.isoformat()


def time_of_day(name: str, value: Any) -> str:
    """Write a time, or take a text, as `HH:MM`, the only way the reference knows."""
    written = value
    if isinstance(value, time) and value.tzinfo is None:
        written = value.isoformat().removesuffix(":00")
    if not isinstance(written, str) or not _HOURS_AND_MINUTES.fullmatch(written):
        raise _refusal(name, "HH:MM, or a time without seconds and time zone", value)
    return written


def flag(name: str, value: Any) -> bool:
    """Take a bool and nothing that is merely true or false."""
    if not isinstance(value, bool):
        raise _refusal(name, "a bool", value)
    return value


def web_address(name: str, value: Any) -> str:
    """Take an http(s) URL of a host."""
    try:
        parts = urlsplit(filled(name, value))
        known = parts.scheme in {"http", "https"} and parts.hostname
    except ValueError:
        known = None
    if not known:
        raise _refusal(name, "an http:// or https:// URL", value)
    return text(name, value)


def secret(name: str, value: Any) -> str:
    """Take a str that is not blank; what it is instead is not shown."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} must be a text that is not blank")
    return value


def event_names(name: str, value: Any) -> list[str]:
    """Take at least one event by name, a plain str as one event."""
    names = tag_names(name, value)
    if not names:
        raise ValueError(f"{name} must hold at least one event")
    return names


def texts(name: str, value: Any) -> list[str]:
    """Take str after str; a str alone is refused, for it would go as its single characters."""
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise _refusal(name, "a sequence of str", value)
    return [text(f"{name}[{index}]", item) for index, item in enumerate(value)]


def tag_names(name: str, value: Any) -> list[str]:
    """Take tags by name, a plain str as one tag. A blank tag could not be removed by its name."""
    names = texts(name, [value] if isinstance(value, str) else value)
    return [filled(f"{name}[{index}]", item) for index, item in enumerate(names)]


def relations(name: str, value: Any) -> str | None:
    """Join names of relations by commas, as a plain str already may be; None for no names.

    Unknown names go as they are: the server ignores them (API reference, 'Errors and limits').
    """
    parts = [value] if isinstance(value, str) else texts(name, value)
    names = [item.strip() for part in parts for item in part.split(",")]
    return ",".join(filter(None, names)) or None


def list_relations(name: str, value: Any) -> str | None:
    """Do the same, without the relations no list carries (API reference, 'Leads', `?include`)."""
    joined = relations(name, value)
    refused = [item for item in _DETAIL_ONLY if item in (joined or "").split(",")]
    if refused:
        raise ValueError(
            f"{name} must not name {', '.join(refused)} in a list; fetch that lead by lead with "
            "leads.get(id, include=[...])"
        )
    return joined


def field_values(name: str, value: Any) -> dict[str, Any]:
    """Take a map from custom field names to values, which are checked where they are encoded."""
    if not isinstance(value, Mapping):
        raise _refusal(name, "a mapping from field names to values", value)
    return {text(f"a field name in {name}", key): item for key, item in value.items()}


_UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
_LEAD_FILTERS = (
    *("pipeline_id", "stage_id", "assigned_to", "source", "status", "tags", "q"),
    *("updated_since", "created_from", "created_to", "include"),
)
_LEAD_FIELDS = (
    *("name", "pipeline_id", "stage_id", "phone", "email", "value", "source", "tags", "notes"),
    *(*_UTM, "assigned_to", "custom_fields"),
)

_RULES: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(("pipeline_id", "stage_id", "assigned_to", "reason_id"), identifier),
    **dict.fromkeys(("sequence_id", "instance_id", "template_id"), identifier),
    **dict.fromkeys(("name", "phone", "email", "source", "notes", "status", "q", *_UTM), text),
    **dict.fromkeys(("body", "caption"), text),
    **dict.fromkeys(("media_url", "header_media_url"), filled),
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
    "target_url": web_address,
    "events": event_names,
    "secret": secret,
}


def optional(**arguments: Any) -> dict[str, Any]:
    """Take each argument by its rule; what is None is not sent."""
    given = {name: value for name, value in arguments.items() if value is not None}
    ruled = {name: _RULES[name](name, value) for name, value in given.items()}
    return {name: value for name, value in ruled.items() if value is not None}


def lead_filters(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the filters of a list out of all arguments of a call, which bear the wire's names."""
    return optional(**{name: arguments[name] for name in _LEAD_FILTERS})


def lead_fields(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Pick a lead's fields out of all arguments of a call, which bear the wire's names."""
    return optional(**{name: arguments[name] for name in _LEAD_FIELDS})


def required(**arguments: Any) -> dict[str, Any]:
    """Take each argument by its rule, and no None."""
    for name, value in arguments.items():
        if value is None:
            raise ValueError(f"{name} is required")
    return optional(**arguments)


def check_match_key(match_by: str, fields: Mapping[str, Any]) -> None:
    """Refuse an upsert that does not send what it matches by (API reference, 'Leads', upsert)."""
    keys = MATCH_KEYS.get(text("match_by", match_by))
    if keys is None:
        raise _refusal("match_by", f"one of {', '.join(MATCH_KEYS)}", match_by)
    if not any(fields.get(key, "").strip() for key in keys):
        raise ValueError(f"match_by={match_by!r} needs {' or '.join(keys)}")


def check_message(body: str | None, media_url: str | None) -> None:
    """Refuse a message with neither text nor image (API reference, 'Leads', send WhatsApp)."""
    if media_url is None and not text("body", body or "").strip():
        raise ValueError("body or media_url is required")


def check_pages(page_size: int, start_page: int, max_items: int | None) -> None:
    """Refuse what is no page: 1 to 200 items, counted from 1 (API reference, 'Pagination')."""
    if not 1 <= identifier("page_size", page_size) <= _LARGEST_PAGE:
        raise _refusal("page_size", f"1 to {_LARGEST_PAGE}", page_size)
    if identifier("start_page", start_page) < 1:
        raise _refusal("start_page", "1 or more", start_page)
    if max_items is not None and identifier("max_items", max_items) < 0:
        raise _refusal("max_items", "0 or more", max_items)


def _refusal(name: str, rule: str, value: object) -> ValueError:
    return ValueError(f"{name} must be {rule}, not {value!r}")

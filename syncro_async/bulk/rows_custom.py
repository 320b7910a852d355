"""The account's own fields, and the value each of them takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import msgspec

from syncro_async.bulk import rows_values as values
from syncro_async.errors import ConfigurationError, PermissionDeniedError


class Definition(msgspec.Struct, frozen=True):
    """A custom field (API reference, 'Custom fields'): its name, its type, and what it may hold.

    `field_type` is one of text, number, currency, date, select, multiselect and checkbox.
    """

    name: str
    field_type: str = "text"
    options: list[str] | None = None


Definitions = Mapping[str, Definition]


class _Answer(msgspec.Struct):
    data: list[Definition]


def definitions_from(given: Iterable[Any]) -> Definitions:
    """Definitions by name, from mappings or structs. Raises `ValueError`."""
    try:
        known = [msgspec.convert(item, Definition, from_attributes=True) for item in given]
    except (msgspec.ValidationError, TypeError) as error:
        raise ValueError(f"definitions must hold custom fields with their name: {error}") from error
    return {field.name: field for field in known}


async def read_definitions(request: Callable[..., Awaitable[Any]]) -> Definitions:
    """The account's definitions, with one request.

    Raises `ConfigurationError` when the key may not read them: a custom field that is not known is
    ignored by the server without a word, so that its values would be lost unseen.
    """
    try:
        answer = await request("GET", "/custom-fields", type=_Answer)
    except PermissionDeniedError as error:
        raise ConfigurationError(
            "the rows use custom fields, and this key may not read which ones the account has:"
            f" give it the scope {error.required_permission or 'custom_fields:read'},"
            " or give definitions=[{'name': …, 'field_type': …}]"
        ) from error.with_traceback(None)
    return {field.name: field for field in answer.data}


def custom_value(name: str, value: Any, definitions: Definitions) -> Any:
    """The value as its field takes it. Raises `ValueError` saying why it does not."""
    field = definitions.get(name)
    if field is None:
        known = ", ".join(definitions) or "none"
        raise ValueError(f"is no custom field of the account (it has {known})")
    if field.field_type == "select":
        return _one_of(value, field.options or [])
    if field.field_type == "multiselect":
        return _some_of(value, field.options or [])
    return _KINDS.get(field.field_type, _as_it_is)(value)


def _as_it_is(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _text(value: Any) -> str:
    return values.text(value if isinstance(value, str) else str(values.number(value)))


def _one_of(value: Any, options: list[str]) -> str:
    chosen = _text(value)
    if chosen not in options:
        raise ValueError(f"must be one of {', '.join(options)}")
    return chosen


def _some_of(value: Any, options: list[str]) -> list[str]:
    chosen = values.names(value)
    if not set(chosen) <= set(options):
        raise ValueError(f"must hold some of {', '.join(options)}")
    return chosen


_KINDS: Mapping[str, Callable[[Any], Any]] = {
    "text": _text,
    "number": values.number,
    "currency": values.number,
    "date": values.day,
    "checkbox": values.yes_or_no,
}

"""Validation of fields, with the messages of the API reference, 'Errors and limits'."""

from __future__ import annotations

import math
import re
from collections.abc import Container, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from syncro_async.sandbox.responses import invalid

T = TypeVar("T")

_LENGTH_OF_DATE = len("2026-06-30")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)
_FLAGS: dict[Any, bool] = {True: True, False: False, "1": True, "0": False}
# Laravel's `integer` (PHP's FILTER_VALIDATE_INT) and `numeric` (is_numeric), of text.
_WHOLE = re.compile(r"[+-]?(0|[1-9]\d{0,18})", re.ASCII)
_NUMERIC = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_MOST_INT = 2**63 - 1
# From here on PHP writes a float with an exponent, and no text with one is an integer.
_WITH_EXPONENT = 1e15


class Form:
    """The fields of one request, read one at a time.

    Each reader returns the field's value, or None when it is absent, null, blank or invalid.
    `validate` raises all errors together, each once. Numeric text counts as a number.
    """

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields
        self._errors: dict[str, list[str]] = {}

    def validate(self) -> None:
        """Raise `ValidationFailed` (422) when a field is invalid."""
        if self._errors:
            raise invalid(self._errors)

    def validated(self, value: T | None) -> T:
        """The value of a required field, after `validate`."""
        self.validate()
        return cast("T", value)

    def fail(self, name: str, problem: str) -> None:
        """Record an error of a field; `problem` is for instance `is required.`."""
        self._complain(name, f"The {_field_name(name)} field {problem}")

    def unknown(self, name: str) -> None:
        """Record that the field's value does not exist or is not allowed."""
        self._complain(name, f"The selected {_field_name(name)} is invalid.")

    def require(self, name: str, why: str = "") -> None:
        """Record an error when the field is absent or an empty list; `why` ends the sentence."""
        if self._send(name) in (None, []):
            self.fail(name, f"is required{why}.")

    def text(self, name: str) -> str | None:
        """A string."""
        value = self._send(name)
        if value is None or isinstance(value, str):
            return value
        self.fail(name, "must be a string.")
        return None

    def choice(self, name: str, among: Container[str]) -> str | None:
        """One of certain strings."""
        value = self.text(name)
        if value is None or value in among:
            return value
        self.unknown(name)
        return None

    def url(self, name: str) -> str | None:
        """An HTTP or HTTPS URL."""
        value = self.text(name)
        if value is None or _is_address(value):
            return value
        self.fail(name, "must be a valid URL.")
        return None

    def integer(self, name: str, *, among: Container[int] | None = None) -> int | None:
        """An integer; with `among`, one of those."""
        value = self._send(name)
        if value is None:
            return None
        number = _integer(value)
        if number is None:
            self.fail(name, "must be an integer.")
            return None
        if among is not None and number not in among:
            self.unknown(name)
            return None
        return number

    def size(self, name: str, default: int, *, most: int | None = None) -> int:
        """An integer from 1 to `most`, or `default` when it is absent."""
        number = self.integer(name)
        if number is None:
            return default
        if number < 1:
            self.fail(name, "must be at least 1.")
        elif most is not None and number > most:
            self.fail(name, f"must not be greater than {most}.")
        return number

    def number(self, name: str) -> float | None:
        """A number."""
        value = self._send(name)
        if value is None:
            return None
        numeric = isinstance(value, str) and _NUMERIC.fullmatch(value)
        if numeric or (isinstance(value, int | float) and not isinstance(value, bool)):
            number = float(value)
            if math.isfinite(number):
                return number
        self.fail(name, "must be a number.")
        return None

    def texts(self, name: str, *, among: Container[str] | None = None) -> list[str] | None:
        """A list of strings without duplicates, in the order sent; with `among`, of those.

        An error names the entry as it was sent. In PHP a map is an array, too.
        """
        value = self._send(name)
        if value is None:
            return None
        if not isinstance(value, list | dict):
            self.fail(name, "must be an array.")
            return None
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        texts: dict[str, None] = {}
        for key, item in entries:
            if not isinstance(item, str):
                self.fail(f"{name}.{key}", "must be a string.")
            elif among is not None and item not in among:
                self.unknown(f"{name}.{key}")
            else:
                texts[item] = None
        return list(texts)

    def mapping(self, name: str) -> dict[str, Any] | None:
        """An object; in PHP an empty object and an empty list are the same."""
        value = self._send(name)
        if value is None or isinstance(value, dict):
            return value
        if value != []:
            self.fail(name, "must be an array.")
        return None

    def moment(self, name: str, *, day_ends: bool = False) -> str | None:
        """A date or an ISO 8601 datetime, as UTC text that compares with a lead's datetimes.

        A date means its first second, or with `day_ends` its last second.
        """
        value = self.text(name)
        if value is None:
            return None
        try:
            return _utc_text(value, day_ends=day_ends)
        except (ValueError, OverflowError):
            self.fail(name, "must be a valid date.")
            return None

    def day(self, name: str) -> str | None:
        """A date, `YYYY-MM-DD`."""
        value = self.text(name)
        if value is None:
            return None
        try:
            if _DAY.fullmatch(value):
                return date.fromisoformat(value).isoformat()
        except ValueError:
            pass
        self.fail(name, "must be a valid date.")
        return None

    def time(self, name: str) -> str | None:
        """A time of day, `HH:MM`."""
        value = self.text(name)
        if value is None or _TIME.fullmatch(value):
            return value
        self.fail(name, "must match the format H:i.")
        return None

    def flag(self, name: str) -> bool | None:
        """A boolean: true, false, 1 or 0; the numbers also as text."""
        value = self._send(name)
        if value is None or (isinstance(value, int | str) and value in _FLAGS):
            return None if value is None else _FLAGS[value]
        self.fail(name, "must be true or false.")
        return None

    def _send(self, name: str) -> Any:
        return self._fields.get(name)

    def _complain(self, name: str, message: str) -> None:
        """Record a message once, however often the field is read."""
        messages = self._errors.setdefault(name, [])
        if message not in messages:
            messages.append(message)


def _integer(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer() and abs(value) < _WITH_EXPONENT:
        return int(value)
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MOST_INT:
        return value
    return None


def _field_name(name: str) -> str:
    return name.replace("_", " ")


def _is_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


def _utc_text(value: str, *, day_ends: bool) -> str:
    parsed = datetime.fromisoformat(value)
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    if day_ends and len(value) <= _LENGTH_OF_DATE:
        parsed += timedelta(days=1, seconds=-1)
    return parsed.astimezone(UTC).replace(tzinfo=None).isoformat()

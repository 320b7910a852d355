"""Makes a lead's fields of a row's columns, and says what is wrong with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from syncro_async.bulk.files import values
from syncro_async.bulk.files.formats import ERROR_COLUMN
from syncro_async.errors import ConfigurationError, InvalidArgumentError, PermissionDeniedError
from syncro_async.resources.arguments import MATCH_KEYS, MatchBy
from syncro_async.transport.values import refusal


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
    """Definitions by name, from mappings or structs. Raises `InvalidArgumentError`."""
    try:
        known = [msgspec.convert(item, Definition, from_attributes=True) for item in given]
    except (msgspec.ValidationError, TypeError) as error:
        raise InvalidArgumentError(
            f"definitions must hold custom fields with their name: {error}", argument="definitions"
        ) from error
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


Kind = Literal["upsert", "create"]

CUSTOM = "custom_fields"
_DOTTED = f"{CUSTOM}."
_ID = "id"
_READ: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("name", "source", "notes"), values.text),
    **dict.fromkeys((f"utm_{what}" for what in ("source", "medium", "campaign")), values.text),
    **dict.fromkeys(("utm_term", "utm_content"), values.text),
    **dict.fromkeys(("pipeline_id", "stage_id", "assigned_to"), values.identifier),
    "phone": values.phone,
    "email": values.email,
    "value": values.number,
    "tags": values.names,
}
_REQUIRED = ("name", "pipeline_id", "stage_id")


class FieldError(NamedTuple):
    """What is wrong with one column of a row, or with the whole row (no column)."""

    column: str | None
    reason: str
    value: Any = None


class FieldMapping:
    """The rule by which the columns of an import's rows become fields of a lead.

    - `columns`: a column's name to the field it holds; None leaves the column out. A column that
      is not named in it holds the field of its own name, whatever its capitals and blanks.
    - `defaults`: values of fields for rows that hold none.
    - `definitions`: of the custom fields; None: not known yet, their values are not looked at.

    Raises `InvalidArgumentError` for a field that is none, and for defaults that cannot be sent.
    """

    def __init__(
        self,
        kind: Kind,
        match_by: MatchBy,
        columns: Mapping[str, str | None] | None,
        defaults: Mapping[str, Any] | None,
        definitions: Definitions | None = None,
    ) -> None:
        self.kind = kind
        if match_by not in MATCH_KEYS:
            raise refusal("match_by", f"one of {', '.join(MATCH_KEYS)}", match_by)
        self._match_by = match_by
        self.columns = dict(columns or {})
        for column, target in self.columns.items():
            if target is not None and not _is_field(target):
                raise InvalidArgumentError(
                    f"columns: {column!r} cannot hold {target!r}, which is no field",
                    argument="columns",
                )
        self._targets: dict[str, str | None] = {}
        self._given_defaults = dict(defaults or {})
        self.learn(definitions)

    def learn(self, definitions: Definitions | None) -> None:
        """Know the custom fields from now on. Raises `InvalidArgumentError` for bad defaults."""
        self.definitions = definitions
        self._defaults, complaints = self._convert(self._given_defaults, self._named_like)
        for complaint in complaints:
            raise InvalidArgumentError(
                f"defaults: {complaint.column} {complaint.reason}", argument="defaults"
            )

    def convert(self, row: Mapping[str, Any]) -> tuple[dict[str, Any], list[FieldError]]:
        """The fields to be sent, and every complaint about the row."""
        fields, complaints = self._convert(row, self._target)
        custom = {**self._defaults.get(CUSTOM, {}), **fields.get(CUSTOM, {})}
        fields = {**self._defaults, **fields}
        if custom:
            fields[CUSTOM] = custom
        if not complaints and self.lead_id(row) is None:
            complaints.extend(self._missing(fields))
        return fields, complaints

    def own(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that the row has itself, without the defaults."""
        return self._convert(row, self._target)[0]

    def blank(self, row: Mapping[str, Any]) -> list[str]:
        """The fields of which the row has an empty cell."""
        return [
            field
            for column, value in row.items()
            if (field := self._target(column)) and values.is_blank(value)
        ]

    def lead_id(self, row: Mapping[str, Any]) -> int | None:
        """The id of the lead that the row is about, from its column `id`; None without one."""
        value = row.get(_ID)
        return None if values.is_blank(value) or not self._has_id() else values.identifier(value)

    def _has_id(self) -> bool:
        return self.kind == "upsert" and self._target(_ID) is None and _ID not in self.columns

    def check_together(self, column: str) -> str | None:
        """What is wrong with a column's name, if anything is."""
        if self._target(column) == "":
            return (
                "is no field of a lead: say in columns which field it holds,"
                " or None to leave it out"
            )
        return None

    def keys(self, fields: Mapping[str, Any]) -> tuple[str | None, str | None]:
        """What tells the row's lead from others: email and phone in one spelling, if they count.

        A lead to be created without either is told by its name.
        """
        by_email, by_phone = self.match_keys
        email = fields["email"].casefold() if by_email and "email" in fields else None
        phone = values.digits(fields["phone"]) if by_phone and "phone" in fields else None
        if self.kind == "create" and email is None and phone is None:
            return f"\0{fields['name'].casefold()}", None
        return email, phone

    @property
    def match_keys(self) -> tuple[bool, bool]:
        """Whether email, and whether phone, tells a row's lead from others."""
        if self.kind == "create":
            return True, True
        names = MATCH_KEYS[self._match_by]
        return "email" in names, "phone" in names

    def _convert(
        self, row: Mapping[str, Any], target: Callable[[str], str | None]
    ) -> tuple[dict[str, Any], list[FieldError]]:
        fields: dict[str, Any] = {}
        complaints: list[FieldError] = []
        for column, value in row.items():
            field = target(column)
            if field == "":
                complaints.append(FieldError(column, self.check_together(column) or ""))
            elif field is not None and not values.is_blank(value):
                self._take(column, field, value, fields, complaints)
        return fields, complaints

    def _take(
        self,
        column: str,
        field: str,
        value: Any,
        fields: dict[str, Any],
        complaints: list[FieldError],
    ) -> None:
        try:
            if field == CUSTOM:
                for name, item in values.mapping(value).items():
                    if not values.is_blank(item):
                        self._take(f"{column}.{name}", _DOTTED + name, item, fields, complaints)
            elif field.startswith(_DOTTED):
                name = field.removeprefix(_DOTTED)
                custom = fields.setdefault(CUSTOM, {})
                _put(custom, name, self._custom(name, value))
            else:
                _put(fields, field, _READ[field](value))
        except ValueError as error:
            complaints.append(FieldError(column, str(error), value))

    def _custom(self, name: str, value: Any) -> Any:
        return value if self.definitions is None else custom_value(name, value, self.definitions)

    def _missing(self, fields: Mapping[str, Any]) -> list[FieldError]:
        if self.kind == "create":
            return [FieldError(name, "is required") for name in _REQUIRED if name not in fields]
        keys = MATCH_KEYS[self._match_by]
        if any(key in fields for key in keys):
            return []
        return [FieldError(" or ".join(keys), "is required: leads are matched by it")]

    def _target(self, column: str) -> str | None:
        """The field a column holds, None for one that is left out, "" where it is none."""
        if column not in self._targets:
            self._targets[column] = self._find_target(column)
        return self._targets[column]

    def _find_target(self, column: str) -> str | None:
        if column == ERROR_COLUMN or (column == _ID and _ID not in self.columns):
            return None
        return self.columns[column] if column in self.columns else self._named_like(column)

    @staticmethod
    def _named_like(column: str) -> str:
        """The field of that name, or "" for none."""
        plain = column.strip()
        usual = plain if plain.startswith(_DOTTED) else "_".join(plain.lower().split())
        return usual if _is_field(usual) else ""


def _is_field(name: str) -> bool:
    return name in _READ or name == CUSTOM or (name.startswith(_DOTTED) and name != _DOTTED)


def _put(fields: dict[str, Any], name: str, value: Any) -> None:
    if name in fields and fields[name] != value:
        raise ValueError(f"says of {name} what another column says otherwise")
    fields[name] = value

"""Makes a lead's fields of a row's columns, and says what is wrong with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from syncro_async._internal.argument_text import Argument, ArgumentText
from syncro_async.bulk.files import phones, values
from syncro_async.bulk.files.cleaning import Kind as CleaningKind
from syncro_async.bulk.files.cleaning import clean
from syncro_async.bulk.files.locales import Locale
from syncro_async.bulk.files.rows import NOTHING_UNCLEAR, Unclear
from syncro_async.bulk.importing.columns import CUSTOM, DOTTED, ColumnMapping, Target
from syncro_async.bulk.importing.stored import is_made_a_number, is_written_so
from syncro_async.errors import ConfigurationError, InvalidArgumentError, PermissionDeniedError
from syncro_async.models.lead import Lead
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
            ArgumentText(
                "the rows use custom fields, and this key may not read which ones the account has:"
                f" give it the scope {error.required_permission or 'custom_fields:read'}",
                Argument("definitions", "[{'name': …, 'field_type': …}]", lead=", or give "),
            )
        ) from error.with_traceback(None)
    return {field.name: field for field in answer.data}


def custom_value(
    name: str, value: Any, definitions: Definitions, locale: Locale | None = None
) -> Any:
    """The value as its field takes it. Raises `ValueError` saying why it does not."""
    field = definitions.get(name)
    if field is None:
        known = ", ".join(definitions) or "none"
        raise ValueError(f"is no custom field of the account (it has {known})")
    if field.field_type == "select":
        return _one_of(value, field.options or [])
    if field.field_type == "multiselect":
        return _some_of(value, field.options or [])
    return _CUSTOM.get(field.field_type, _as_it_is)(value, locale)


def _as_it_is(value: Any, _: Locale | None) -> Any:
    return value.strip() if isinstance(value, str) else value


def _one_of(value: Any, options: list[str]) -> str:
    chosen = values.text(value)
    if chosen not in options:
        raise ValueError(f"must be one of {', '.join(options)}")
    return chosen


def _some_of(value: Any, options: list[str]) -> list[str]:
    chosen = values.names(value)
    if not set(chosen) <= set(options):
        raise ValueError(f"must hold some of {', '.join(options)}")
    return chosen


_Convert = Callable[[Any, Locale | None], Any]
_CUSTOM: Mapping[str, _Convert] = {
    "text": values.text,
    "number": values.number,
    "currency": values.number,
    "date": values.day,
    "checkbox": values.yes_or_no,
}
# What the cell of a field may have around its value, and how it is read.
_FIELDS: Mapping[str, tuple[CleaningKind, _Convert]] = {
    **dict.fromkeys(("name", "source", "notes"), ("text", values.text)),
    **dict.fromkeys(("utm_source", "utm_medium", "utm_campaign"), ("text", values.text)),
    **dict.fromkeys(("utm_term", "utm_content"), ("text", values.text)),
    **dict.fromkeys(("pipeline_id", "stage_id", "assigned_to"), ("strict", values.identifier)),
    "phone": ("phone", values.phone),
    "email": ("email", values.email),
    "value": ("strict", values.number),
    "tags": ("text", values.names),
}
_STRICT_CUSTOM = frozenset({"number", "currency", "date", "checkbox"})

Kind = Literal["upsert", "create"]

_REQUIRED = ("name", "pipeline_id", "stage_id")


class FieldError(NamedTuple):
    """What is wrong with one column of a row, or with the whole row (no column)."""

    column: str | None
    reason: str
    value: Any = None
    advice: str | None = None


class _Conversion(NamedTuple):
    """The fields of a row as far as they are known, what is wrong, and what was cleaned."""

    fields: dict[str, Any]
    errors: list[FieldError]
    cleaned: Counter[str]
    doubts: dict[str, FieldError]


class FieldMapping:
    """The rule by which the columns of an import's rows become fields of a lead.

    - `columns`: a column's name to the field it holds; None leaves the column out. A column that
      is not named in it holds the field whose English or Portuguese name it has.
    - `defaults`: values of fields for rows that hold none.
    - `definitions`: of the custom fields; None: not known yet, their values are not looked at.
    - `locale`: how numbers, dates and phones are written; None: what is ambiguous is refused.
    - `ignore_others`: leave out the columns that hold no field.
    - `compared`: every row is compared with its lead before it is sent. A row with the id of its
      lead may then have values that cannot be sent, as long as the lead has the same.

    Raises `InvalidArgumentError` for a name that is not a field, and for defaults that cannot be
    sent.
    """

    def __init__(
        self,
        kind: Kind,
        match_by: MatchBy,
        columns: Mapping[str, str | None] | None,
        defaults: Mapping[str, Any] | None,
        definitions: Definitions | None = None,
        *,
        locale: Locale | None = None,
        ignore_others: bool = False,
        compared: bool = False,
    ) -> None:
        self.kind = kind
        if match_by not in (*MATCH_KEYS,):  # not in the map: what is given may have no hash
            raise refusal("match_by", f"one of {', '.join(MATCH_KEYS)}", match_by)
        self._match_by = match_by
        for argument, given in (("columns", columns), ("defaults", defaults)):
            if given is not None and not isinstance(given, Mapping):
                raise refusal(argument, "a mapping", given)
        self.locale = locale
        self.columns = ColumnMapping(columns or {}, ignore_others=ignore_others)
        self._ignore_others = ignore_others
        self._compared = compared and kind == "upsert"
        self._own_names = ColumnMapping({})
        self._given_defaults = dict(defaults or {})
        self.learn(definitions)

    def learn(self, definitions: Definitions | None) -> None:
        """Know the custom fields from now on. Raises `InvalidArgumentError` for bad defaults."""
        self.definitions = definitions
        converted = self._convert(self._given_defaults, self._own_names)
        for complaint in (*converted.errors, *converted.doubts.values()):
            value = "" if complaint.value is None else f" {complaint.value!r}"
            raise InvalidArgumentError(
                f"the default of {complaint.column}{value} {complaint.reason}", argument="defaults"
            )
        self._defaults = converted.fields

    def convert(
        self,
        row: Mapping[str, Any],
        cleaned: Counter[str] | None = None,
        unclear: Mapping[str, Unclear] = NOTHING_UNCLEAR,
    ) -> tuple[dict[str, Any], list[FieldError]]:
        """The fields to be sent, and every complaint about the row.

        What was removed from its values is counted in `cleaned`. A column that is `unclear` is
        refused where it is a field.
        """
        fields, complaints, removed, doubts = self._convert(row, self.columns, unclear)
        if cleaned is not None:
            cleaned.update(removed)
        known_lead = self.known_lead(row) is not None
        if not known_lead:
            complaints.extend(doubts.values())
        custom = {**self._defaults.get(CUSTOM, {}), **fields.get(CUSTOM, {})}
        fields = {**self._defaults, **fields}
        if custom:
            fields[CUSTOM] = custom
        # A row with the id of its lead needs a key only when it changes something.
        if not complaints and not known_lead:
            complaints.extend(self._missing(fields))
        return fields, complaints

    def own(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that the row has itself, without the defaults."""
        return self._convert(row, self.columns).fields

    def lacking(self, own: Mapping[str, Any]) -> list[str]:
        """The fields that a new lead must have, and that neither the row nor a default gives."""
        return [name for name in _REQUIRED if name not in own and name not in self._defaults]

    def blank(self, row: Mapping[str, Any]) -> list[str]:
        """The fields of which the row has an empty cell."""
        return [
            target.field
            for _, target, value in self.columns.fields_in(row)
            if target.field is not None and target.problem is None and values.is_blank(value)
        ]

    def unchanged(self, row: Mapping[str, Any], lead: Lead) -> set[str]:
        """The fields of a row that the lead has already, in whatever spelling.

        A cell is what an export writes for the lead's value, or becomes the same value when both
        are cleaned and converted. In a row with the id of its lead, which stands in an export, it
        may also be the number that a spreadsheet has made of a text (`12` of `0012`). Custom fields
        are named `custom_fields.NAME`.
        """
        held = lead.custom_fields or {}
        is_ours = self.known_lead(row) is not None
        same = set()
        for field, value in self._cells(row):
            name = field.removeprefix(DOTTED)
            old = held.get(name) if field.startswith(DOTTED) else getattr(lead, field)
            if old is None:
                continue
            is_same = is_written_so(value, old) or self._agree(field, value, old)
            if is_same or (is_ours and is_made_a_number(value, old)):
                same.add(field)
        return same

    def _cells(self, row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Each field of a row with its cell; those of a map of custom fields one by one."""
        for _, target, value in self.columns.fields_in(row):
            if target.problem is None and target.field is not None and not values.is_blank(value):
                if target.field != CUSTOM:
                    yield target.field, value
                    continue
                for name, item in values.mapping(value).items():
                    yield DOTTED + name, item

    def _agree(self, field: str, value: Any, old: Any) -> bool:
        """Whether a cell and a stored value become the same when they are converted."""
        custom = field.startswith(DOTTED)
        kind, convert = self._custom(field.removeprefix(DOTTED)) if custom else _FIELDS[field]
        try:
            new, held = (convert(clean(one, kind).value, self.locale) for one in (value, old))
        except ValueError:
            return False
        return bool(new == held)

    def doubts(self, row: Mapping[str, Any]) -> dict[str, FieldError]:
        """The fields of a row that must not be sent, because their values cannot be converted.

        `convert` returns them as they are in the row, and only for a row with the id of its lead:
        the row is sound as long as the lead has the same values.
        """
        known_lead = self.known_lead(row) is not None
        return self._convert(row, self.columns).doubts if known_lead else {}

    def known_lead(self, row: Mapping[str, Any]) -> int | None:
        """The id of the lead with which the row is compared before it is sent; None for none."""
        return self.lead_id(row) if self._compared else None

    def lead_id(self, row: Mapping[str, Any]) -> int | None:
        """The id of the lead that the row is about, from its column `id`; None without one."""
        for _, target, value in self.columns.fields_in(row) if self.kind == "upsert" else ():
            if target.use == "id" and not values.is_blank(value):
                try:
                    return values.identifier(clean(value, "strict").value)
                except ValueError:
                    return None
        return None

    def problem_of(self, column: str, target: Target) -> FieldError | None:
        """What is wrong with a column, if anything is."""
        if target.problem is None:
            return None
        return FieldError(column, target.problem[0], None, target.problem[1])

    def keys(self, fields: Mapping[str, Any]) -> tuple[str | None, str | None]:
        """What tells the row's lead from others: email and phone in one spelling, if they count.

        A lead to be created without either is recognised by its name.
        """
        by_email, by_phone = self.match_keys
        email = fields["email"].casefold() if by_email and "email" in fields else None
        phone = None
        if by_phone and "phone" in fields:
            phone = phones.phone_key(fields["phone"], self.locale)
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
        self,
        row: Mapping[str, Any],
        columns: ColumnMapping,
        unclear: Mapping[str, Unclear] = NOTHING_UNCLEAR,
    ) -> _Conversion:
        done = _Conversion({}, [], Counter(), {})
        marks = columns.with_joined(row, unclear) if unclear else unclear
        for column, target, value in columns.fields_in(row):
            problem = self.problem_of(column, target)
            if problem is not None:
                done.errors.append(problem)
            elif column in marks and self._refuses(target, marks[column]):
                mark = marks[column]
                done.errors.append(FieldError(column, mark.reason, value, mark.advice))
            elif target.use == "id":
                self._check_id(column, value, done)
            elif target.field is not None and not values.is_blank(value):
                self._take(column, target.field, value, done)
        return done

    def _refuses(self, target: Target, mark: Unclear) -> bool:
        """Whether a field, or the id of a lead, does not take a cell with this mark."""
        field = target.field
        if field is None:
            return target.use == "id" and not (mark.in_text or self._ignore_others)
        if not mark.in_text or field == CUSTOM:
            return True
        if field.startswith(DOTTED):
            # What is not known yet is looked at again when it is.
            name = field.removeprefix(DOTTED)
            return self.definitions is not None and self._custom(name)[0] == "text"
        return _FIELDS[field][0] in {"text", "email"}

    def _check_id(self, column: str, value: Any, done: _Conversion) -> None:
        """Refuse an id of another kind, unless other columns may be ignored."""
        if self._ignore_others or values.is_blank(value):
            return
        try:
            values.identifier(clean(value, "strict").value)
        except ValueError:
            reason = "is no id of a lead"
            done.errors.append(FieldError(column, reason, value, "leave it out with {ignore}"))

    def _take(self, column: str, field: str, value: Any, done: _Conversion) -> None:
        if field == CUSTOM:
            self._take_map(column, value, done)
            return
        custom = field.startswith(DOTTED)
        name = field.removeprefix(DOTTED)
        kind, convert = self._custom(name) if custom else _FIELDS[field]
        cleaned, removed = clean(value, kind)
        if values.is_blank(cleaned):
            return
        done.cleaned.update(removed)
        into = done.fields.setdefault(CUSTOM, {}) if custom else done.fields
        try:
            new = convert(cleaned, self.locale)
        except ValueError as error:
            refused = FieldError(column, str(error), value, getattr(error, "advice", None))
            done.doubts[field] = refused
            new = cleaned
        if name in into and into[name] != new:
            reason = f"says of {name} what another column says otherwise"
            done.errors.append(FieldError(column, reason, value, "leave it out with {ignore}"))
        into[name] = new

    def _take_map(self, column: str, value: Any, done: _Conversion) -> None:
        try:
            items = values.mapping(value).items()
        except ValueError as error:
            advice = getattr(error, "advice", None)
            done.errors.append(FieldError(column, str(error), value, advice))
            return
        for name, item in items:
            if not values.is_blank(item):
                self._take(f"{column}.{name}", DOTTED + name, item, done)

    def _custom(self, name: str) -> tuple[CleaningKind, _Convert]:
        if self.definitions is None:
            return "text", _as_it_is
        known = self.definitions
        field = known.get(name)
        strict = field is not None and field.field_type in _STRICT_CUSTOM
        return "strict" if strict else "text", lambda value, locale: custom_value(
            name, value, known, locale
        )

    def _missing(self, fields: Mapping[str, Any]) -> list[FieldError]:
        if self.kind == "create":
            return [FieldError(name, "is required") for name in self.lacking(fields)]
        keys = MATCH_KEYS[self._match_by]
        if any(key in fields for key in keys):
            return []
        return [FieldError(" or ".join(keys), "is required: leads are matched by it")]

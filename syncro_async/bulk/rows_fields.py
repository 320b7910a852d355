"""Makes a lead's fields of a row's columns, and says what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from syncro_async.bulk import rows_values as values
from syncro_async.bulk.rows import ERROR_COLUMN
from syncro_async.bulk.rows_custom import Definitions, custom_value
from syncro_async.resources.arguments import MATCH_KEYS, MatchBy

Kind = Literal["upsert", "create"]

CUSTOM = "custom_fields"
_DOTTED = f"{CUSTOM}."
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


class Complaint(NamedTuple):
    """What is wrong with one column of a row, or with the whole row (no column)."""

    column: str | None
    reason: str
    value: Any = None


class Fields:
    """The rule by which the columns of an import's rows become fields of a lead.

    - `columns`: a column's name to the field it holds; None leaves the column out. A column that
      is not named in it holds the field of its own name, whatever its capitals and blanks.
    - `defaults`: values of fields for rows that hold none.
    - `definitions`: of the custom fields; None: not known yet, their values are not looked at.

    Raises `ValueError` for a field that is none, and for defaults that cannot be sent.
    """

    def __init__(
        self,
        kind: Kind,
        match_by: MatchBy,
        columns: Mapping[str, str | None] | None,
        defaults: Mapping[str, Any] | None,
        definitions: Definitions | None = None,
    ) -> None:
        self._kind = kind
        if match_by not in MATCH_KEYS:
            raise ValueError(f"match_by must be one of {', '.join(MATCH_KEYS)}, not {match_by!r}")
        self._match_by = match_by
        self.columns = dict(columns or {})
        for column, target in self.columns.items():
            if target is not None and not _is_field(target):
                raise ValueError(f"columns: {column!r} cannot hold {target!r}, which is no field")
        self._targets: dict[str, str | None] = {}
        self._given_defaults = dict(defaults or {})
        self.learn(definitions)

    def learn(self, definitions: Definitions | None) -> None:
        """Know the custom fields from now on. Raises `ValueError` for defaults that do not fit."""
        self.definitions = definitions
        self._defaults, complaints = self._convert(self._given_defaults, self._named_like)
        for complaint in complaints:
            raise ValueError(f"defaults: {complaint.column} {complaint.reason}")

    def of(self, row: Mapping[str, Any]) -> tuple[dict[str, Any], list[Complaint]]:
        """The fields to be sent, and every complaint about the row."""
        fields, complaints = self._convert(row, self._target)
        custom = {**self._defaults.get(CUSTOM, {}), **fields.get(CUSTOM, {})}
        fields = {**self._defaults, **fields}
        if custom:
            fields[CUSTOM] = custom
        if not complaints:
            complaints.extend(self._lacks(fields))
        return fields, complaints

    def complaint_about(self, column: str) -> str | None:
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
        by_email, by_phone = self.told_by
        email = fields["email"].casefold() if by_email and "email" in fields else None
        phone = values.digits(fields["phone"]) if by_phone and "phone" in fields else None
        if self._kind == "create" and email is None and phone is None:
            return f"\0{fields['name'].casefold()}", None
        return email, phone

    @property
    def told_by(self) -> tuple[bool, bool]:
        """Whether email, and whether phone, tells a row's lead from others."""
        if self._kind == "create":
            return True, True
        names = MATCH_KEYS[self._match_by]
        return "email" in names, "phone" in names

    def _convert(
        self, row: Mapping[str, Any], target: Callable[[str], str | None]
    ) -> tuple[dict[str, Any], list[Complaint]]:
        fields: dict[str, Any] = {}
        complaints: list[Complaint] = []
        for column, value in row.items():
            field = target(column)
            if field == "":
                complaints.append(Complaint(column, self.complaint_about(column) or ""))
            elif field is not None and not values.is_blank(value):
                self._take(column, field, value, fields, complaints)
        return fields, complaints

    def _take(
        self,
        column: str,
        field: str,
        value: Any,
        fields: dict[str, Any],
        complaints: list[Complaint],
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
            complaints.append(Complaint(column, str(error), value))

    def _custom(self, name: str, value: Any) -> Any:
        return value if self.definitions is None else custom_value(name, value, self.definitions)

    def _lacks(self, fields: Mapping[str, Any]) -> list[Complaint]:
        if self._kind == "create":
            return [Complaint(name, "is required") for name in _REQUIRED if name not in fields]
        keys = MATCH_KEYS[self._match_by]
        if any(key in fields for key in keys):
            return []
        return [Complaint(" or ".join(keys), "is required: leads are matched by it")]

    def _target(self, column: str) -> str | None:
        """The field a column holds, None for one that is left out, "" where it is none."""
        if column not in self._targets:
            self._targets[column] = self._find_target(column)
        return self._targets[column]

    def _find_target(self, column: str) -> str | None:
        if column == ERROR_COLUMN:
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

"""Finds the field that each column of an import holds."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from syncro_async._internal.argument_text import Argument, ArgumentText
from syncro_async.bulk.files import values
from syncro_async.bulk.files.columns import COLUMNS
from syncro_async.bulk.files.rows import ERROR_COLUMN, RAW_COLUMN, Unclear, repeated_name
from syncro_async.errors import InvalidArgumentError
from syncro_async.models.receipts import ColumnUse

CUSTOM = "custom_fields"
DOTTED = f"{CUSTOM}."
ID = "id"
WRITABLE = (
    *("name", "phone", "email", "value", "source", "tags", "notes"),
    *("pipeline_id", "stage_id", "assigned_to"),
    *("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"),
)
# Fields that an export writes and that no request can change (API reference, 'Leads').
_READ_ONLY = frozenset(column.name for column in COLUMNS) - {*WRITABLE, CUSTOM, ID}
# Of these a file of another program may have a column, too.
_NOT_WRITABLE = {
    "company": ("company", "company name", "empresa", "nome da empresa", "organizacao"),
    "birthday": ("birthday", "birth date", "aniversario", "data de nascimento", "nascimento"),
}
# What only a file has that an export of ours wrote.
_OURS = frozenset({ID, "created_at"})
_KNOWN: Mapping[str, tuple[str, ...]] = {
    "name": (
        *("full name", "lead name", "contact name", "contact full name", "display name"),
        *("nome", "nome completo", "nome do lead", "nome do contato", "nome do cliente"),
        *("cliente", "contato", "razao social"),
    ),
    "email": (
        *("e mail", "email address", "e mail address", "mail", "email 1", "e mail 1 value"),
        *("endereco de email", "endereco de e mail", "correio eletronico"),
        *("e mail do contato", "email do contato", "e mail principal", "email principal"),
    ),
    "phone": (
        *("phone number", "telephone", "tel", "mobile", "mobile phone", "mobile number"),
        *("cell", "cell phone", "phone 1 value", "primary phone", "whatsapp", "whatsapp number"),
        *("telefone", "telefone celular", "telefone 1", "numero de telefone", "fone"),
        *("celular", "celular whatsapp", "telefone whatsapp", "numero do whatsapp"),
        *("telefone do contato", "telefone principal"),
    ),
    "value": (
        *("amount", "deal value", "deal amount", "lead value", "price"),
        *("valor", "valor do negocio", "valor da negociacao", "valor da venda", "preco"),
    ),
    "source": (
        *("lead source", "original source", "origem", "origem do lead", "fonte", "fonte do lead"),
    ),
    "tags": ("tag", "etiqueta", "etiquetas", "marcador", "marcadores"),
    "notes": (
        *("note", "comment", "comments", "remarks", "observacao", "observacoes", "obs"),
        *("nota", "notas", "anotacao", "anotacoes", "comentario", "comentarios"),
    ),
    "pipeline_id": ("id do funil", "funil id"),
    "stage_id": ("id da etapa", "etapa id"),
    "assigned_to": ("id do responsavel", "responsavel id"),
}
_NOT_LETTERS = re.compile(r"[\W_]+")


def plain_name(name: str) -> str:
    """The name without accents, capitals and marks: `E-mail:` and `E_MAIL` are `e mail`."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(_NOT_LETTERS.sub(" ", bare).split())


_FIELD_OF = {name: field for field, names in _KNOWN.items() for name in names} | {
    plain_name(field): field for field in WRITABLE
}
_READ_ONLY_OF = {name: field for field, names in _NOT_WRITABLE.items() for name in names}

Use = Literal["field", "id", "ignored", "read-only", "part", "unknown", "repeated", "not writable"]
_LEFT_OUT = frozenset({"ignored", "read-only", "part"})


class Target(NamedTuple):
    """What becomes of a column.

    - `use`: `"field"`, `"id"` (the lead's id), `"ignored"`, `"read-only"`, `"part"` (it holds a
      part of a field), or why it cannot be used
    - `field`: the field that it holds
    """

    use: Use
    field: str | None = None

    @property
    def problem(self) -> tuple[str, str] | None:
        """Why the column cannot be used, and the advice."""
        return _PROBLEMS.get(self.use)


_LEAVE_OUT = "leave it out with {ignore}"
_PROBLEMS: Mapping[str, tuple[str, str]] = {
    "unknown": (
        "is no field of a lead",
        f"name its field with {{columns}}, {_LEAVE_OUT}, or all such columns: {{ignore_others}}",
    ),
    "repeated": (
        "has the name of a column before it",
        f"{_LEAVE_OUT}; its name without the number leaves both out",
    ),
    "not writable": (
        "is a field that cannot be written",
        f"keep it in a custom field with {{columns}}, FIELD being {DOTTED}NAME, or {_LEAVE_OUT}",
    ),
}


def is_field(name: object) -> bool:
    """Return whether a request can write that field."""
    if not isinstance(name, str):
        return False
    return name in WRITABLE or name == CUSTOM or (name.startswith(DOTTED) and name != DOTTED)


class ColumnMapping:
    """Finds the field of each column.

    - `given`: a column's name, or several with `+` between them, to its field; None leaves it out
    - `ignore_others`: leave out every column that holds no field

    Raises `InvalidArgumentError` for a field that does not exist.
    """

    def __init__(self, given: Mapping[str, str | None], *, ignore_others: bool = False) -> None:
        for column, field in given.items():
            if field is not None and not is_field(field):
                raise InvalidArgumentError(
                    ArgumentText(
                        Argument("columns"),
                        f": {column!r} cannot hold {field!r}, which is no field",
                    ),
                    argument="columns",
                )
        self._given = dict(given)
        self._plain = {plain_name(column): column for column in given}
        self._joined = {
            column: [part.strip() for part in column.split("+")]
            for column in given
            if "+" in column.strip("+")
        }
        self._ignore_others = ignore_others
        self._found: dict[tuple[str, ...], dict[str, Target]] = {}

    def lacking(self, names: Collection[str]) -> list[str]:
        """The names that were given and that are no column of the source."""
        plain = {plain_name(name) for name in names}
        present = {column for column in self._given if plain_name(column) in plain}
        for column, parts in self._joined.items():
            if all(plain_name(part) in plain for part in parts):
                present.add(column)
        return [column for column in self._given if column not in present]

    def targets(self, names: Sequence[str]) -> dict[str, Target]:
        """What becomes of each column of a source, or of a row, with these columns."""
        key = tuple(names)
        if key not in self._found:
            self._found[key] = self._find(names)
        return self._found[key]

    def uses(self, names: Sequence[str]) -> tuple[ColumnUse, ...]:
        """The same for a report."""
        joined = [
            ColumnUse(column, self._given[column], "field") for column, _ in self._joins(names)
        ]
        targets = self.targets(names)
        return (*(ColumnUse(name, one.field, one.use) for name, one in targets.items()), *joined)

    def fields_in(self, row: Mapping[str, Any]) -> Iterator[tuple[str, Target, Any]]:
        """Each column of a row that is not left out, what becomes of it, and its value."""
        names = tuple(row)
        for name, target in self.targets(names).items():
            if target.use not in _LEFT_OUT:
                yield name, target, row[name]
        for column, parts in self._joins(names):
            yield (
                column,
                Target("field", self._given[column]),
                _together(row[part] for part in parts),
            )

    def with_joined(
        self, row: Mapping[str, Any], marks: Mapping[str, Unclear]
    ) -> dict[str, Unclear]:
        """The marks of columns, and for each joined column that of the first part that has one."""
        known = dict(marks)
        for column, parts in self._joins(tuple(row)):
            known.update((column, marks[part]) for part in reversed(parts) if part in marks)
        return known

    def _joins(self, names: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
        by_plain = {plain_name(name): name for name in names}
        for column, parts in self._joined.items():
            present = [by_plain[at] for at in map(plain_name, parts) if at in by_plain]
            if column not in names and present and self._given[column] is not None:
                yield column, present

    def _find(self, names: Sequence[str]) -> dict[str, Target]:
        ours = set(names) >= _OURS
        parts = {part for _, some in self._joins(names) for part in some}
        return {name: self._target(name, names, parts, ours=ours) for name in names}

    def _target(
        self, name: str, names: Sequence[str], parts: Collection[str], *, ours: bool
    ) -> Target:
        chosen = self._chosen(name)
        base = repeated_name(name, names)
        if chosen is not None:
            return chosen
        if base is not None:
            first = self._target(base, names, parts, ours=ours)
            return first if first.use in _LEFT_OUT else Target("repeated")
        if name in parts:
            return Target("part")
        target = self._known(name, ours=ours)
        if target.problem is not None and self._ignore_others:
            return Target("ignored")
        return target

    def _chosen(self, name: str) -> Target | None:
        """What the caller has said about the column."""
        if name in {ERROR_COLUMN, RAW_COLUMN}:
            return Target("ignored")
        given = name if name in self._given else self._plain.get(plain_name(name))
        if given is None or (given in self._joined and given != name):
            return None
        field = self._given[given]
        return Target("ignored") if field is None else Target("field", field)

    @staticmethod
    def _known(name: str, *, ours: bool) -> Target:
        bare = name.strip()
        if bare.startswith(DOTTED) or bare == CUSTOM:
            return Target("field", bare) if is_field(bare) else Target("unknown")
        if bare == ID:
            return Target("id")
        plain = plain_name(bare)
        if plain in _READ_ONLY_OF:
            return Target("read-only" if ours else "not writable", _READ_ONLY_OF[plain])
        if bare in _READ_ONLY:
            return Target("read-only")
        field = _FIELD_OF.get(plain)
        return Target("unknown") if field is None else Target("field", field)


def _together(parts: Iterable[Any]) -> Any:
    """The parts as one text; a part that is no text stands alone, so that its field refuses it."""
    given = []
    for part in parts:
        if not values.is_blank(part):
            try:
                given.append(values.text(part))
            except ValueError:
                return part
    return " ".join(given)

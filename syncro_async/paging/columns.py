"""Finds the columns of a model, for tables, files and data frames alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec
from msgspec import inspect

Kind = Literal["int", "float", "bool", "text", "date", "moment", "texts", "json"]
"""The kind of a column's values: `texts` is a list of str, `json` any other list or object."""

_KINDS: dict[type[inspect.Type], Kind] = {
    inspect.IntType: "int",
    inspect.FloatType: "float",
    inspect.BoolType: "bool",
    inspect.StrType: "text",
    inspect.DateTimeType: "moment",
    inspect.DateType: "date",
    inspect.TimeType: "text",
}


class Field(msgspec.Struct, frozen=True):
    """A field of a model, and the kind of a column for it.

    `fields` are those of a nested model, and `is_map` says that it maps names to values.
    """

    name: str
    kind: Kind
    fields: tuple[Field, ...] = ()
    is_map: bool = False


def fields_of(model: type[msgspec.Struct]) -> tuple[Field, ...]:
    """Return the fields of a model, in their order."""
    return tuple(_fields(inspect.type_info(model)))


def _fields(described: inspect.Type) -> Iterator[Field]:
    for field in described.fields if isinstance(described, inspect.StructType) else ():
        members = field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
        present = [member for member in members if not isinstance(member, inspect.NoneType)]
        is_map = any(isinstance(member, inspect.DictType) for member in present)
        only = present[0] if len(present) == 1 else None
        nested = () if only is None else tuple(_fields(only))
        yield Field(field.encode_name, _kind(only), nested, is_map)


def _kind(only: inspect.Type | None) -> Kind:
    if isinstance(only, inspect.LiteralType) and all(isinstance(word, str) for word in only.values):
        return "text"
    if isinstance(only, inspect.ListType) and isinstance(only.item_type, inspect.StrType):
        return "texts"
    return "json" if only is None else _KINDS.get(type(only), "json")

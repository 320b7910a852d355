"""The columns of a lead, read off its model."""

from __future__ import annotations

from typing import Any, Literal, cast

import msgspec
from msgspec import inspect

from syncro_async.models.lead import Lead

Kind = Literal["integer", "real", "text", "date", "moment", "texts", "json"]


class Column(msgspec.Struct, frozen=True):
    """A column and the kind of its values; `texts` is a list of str, `json` any list or object."""

    name: str
    kind: Kind


_KINDS: dict[type[inspect.Type], Kind] = {
    inspect.IntType: "integer",
    inspect.FloatType: "real",
    inspect.StrType: "text",
    inspect.DateType: "date",
    inspect.DateTimeType: "moment",
}


def _kind(of: Any) -> Kind:
    kinds = [kind for kind in getattr(of, "types", (of,)) if type(kind) is not inspect.NoneType]
    [kind, *others] = kinds
    if others:
        return "json"
    if isinstance(kind, inspect.ListType) and isinstance(kind.item_type, inspect.StrType):
        return "texts"
    return _KINDS.get(type(kind), "json")


COLUMNS: tuple[Column, ...] = tuple(
    Column(field.encode_name, _kind(field.type))
    for field in cast("inspect.StructType", inspect.type_info(Lead)).fields
)
"""Every field of `Lead`, whatever was asked for, in its order."""

"""Accepts what PHP makes of values that its programs mean otherwise.

- A list that lost some of its items is written as an object with their numbers for names.
- An empty object is written as an empty list, which stands for null where no list can stand.
- A date that was never set is `0000-00-00` in MySQL, and -0001-11-30 in what Carbon makes of it.
- What is empty may be `""` where null is meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from msgspec import inspect

_UNSET_DATES = ("0000-00-00", "-0001-11-30")
_DATES = (inspect.DateType, inspect.DateTimeType)
_OBJECTS = (inspect.StructType, inspect.DictType)
_TEXTS = (inspect.StrType, inspect.AnyType)


def as_meant(value: Any, kind: Any) -> Any:
    """Plain objects, decoded from JSON, in the shape that `kind` has."""
    return _fit(value, _described(kind))


@cache
def _described(kind: Any) -> inspect.Type:
    return inspect.type_info(kind)


def _fit(value: Any, kind: inspect.Type) -> Any:
    match kind:
        case inspect.UnionType(types):
            return _fit_one_of(value, types)
        case inspect.StructType() if isinstance(value, Mapping):
            fields = {field.encode_name: field.type for field in kind.fields}
            return {
                name: _fit(part, fields[name]) if name in fields else part
                for name, part in value.items()
            }
        case inspect.ListType(item_type=item) if (listed := _listed(value)) is not None:
            return [_fit(part, item) for part in listed]
        case _:
            return value


def _fit_one_of(value: Any, kinds: tuple[inspect.Type, ...]) -> Any:
    if any(isinstance(kind, inspect.NoneType) for kind in kinds) and _means_null(value, kinds):
        return None
    for kind in kinds:
        if isinstance(kind, _OBJECTS) and isinstance(value, Mapping):
            return _fit(value, kind)
        if isinstance(kind, inspect.ListType) and _listed(value) is not None:
            return _fit(value, kind)
    return value


def _means_null(value: Any, kinds: tuple[inspect.Type, ...]) -> bool:
    if isinstance(value, str):
        is_text = any(isinstance(kind, _TEXTS) for kind in kinds)
        unset = value.startswith(_UNSET_DATES) and any(isinstance(kind, _DATES) for kind in kinds)
        return not is_text and (unset or not value.strip())
    lists = (inspect.ListType, inspect.DictType, inspect.AnyType)
    return value == [] and not any(isinstance(kind, lists) for kind in kinds)


def _listed(value: Any) -> list[Any] | None:
    """The value as a list, or None where it stands for none."""
    if isinstance(value, list):
        return value
    if value is None or value == "":
        return []
    if isinstance(value, Mapping) and all(name.isdigit() for name in value):
        return list(value.values())
    return None

"""Makes a data frame of the items of a list, in polars or in pandas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, Literal

import msgspec
from msgspec import inspect

from syncro_async.errors import InvalidArgumentError
from syncro_async.transport.values import shown

Library = Literal["polars", "pandas"]
MakeFrame = Callable[[Sequence[Any], Any], Any]

_KNOWN: tuple[Library, ...] = ("polars", "pandas")
_PANDAS: Mapping[str, str] = {
    "int": "Int64",
    "float": "Float64",
    "bool": "boolean",
    "text": "string",
    "moment": "datetime64[us, UTC]",
    "date": "datetime64[s]",
    "texts": "object",
    "json": "string",
}
_KINDS: Mapping[type[inspect.Type], str] = {
    inspect.IntType: "int",
    inspect.FloatType: "float",
    inspect.BoolType: "bool",
    inspect.StrType: "text",
    inspect.DateTimeType: "moment",
    inspect.DateType: "date",
    inspect.TimeType: "text",
}


def frame_maker(library: Library | None) -> MakeFrame:
    """What makes a frame of items and the type they have (None: unknown).

    Raises `ModuleNotFoundError` where the library is not installed (None: neither of them), and
    `InvalidArgumentError` for one that is not known.
    """
    if library is not None and library not in _KNOWN:
        raise InvalidArgumentError(
            f"library={shown(library)} must be 'polars' or 'pandas'", argument="library"
        )
    for name in (library,) if library else _KNOWN:
        try:
            module = import_module(name)
        except ModuleNotFoundError:
            continue
        return _Maker(module, in_polars=name == "polars")
    install = library or '"syncro-async[dataframe]", which brings polars'
    raise ModuleNotFoundError(
        f"to_dataframe() needs {library or 'polars or pandas'}: pip install {install}",
        name=library or "polars",
    )


class _Maker:
    def __init__(self, module: Any, *, in_polars: bool) -> None:
        self._module = module
        self._in_polars = in_polars

    def __call__(self, items: Sequence[Any], item: Any) -> Any:
        model = item or (type(items[0]) if items else None)
        if not (isinstance(model, type) and issubclass(model, msgspec.Struct)):
            return self._of_objects(items)
        kinds = column_kinds(model)
        columns = {
            name: [_value(getattr(each, name), kind) for each in items]
            for name, kind in kinds.items()
        }
        return self._polars(columns, kinds) if self._in_polars else self._pandas(columns, kinds)

    def _polars(self, columns: dict[str, list[Any]], kinds: Mapping[str, str]) -> Any:
        polars = self._module
        types = {
            "int": polars.Int64,
            "float": polars.Float64,
            "bool": polars.Boolean,
            "text": polars.String,
            "moment": polars.Datetime("us", "UTC"),
            "date": polars.Date,
            "texts": polars.List(polars.String),
            "json": polars.String,
        }
        return polars.DataFrame(columns, schema={name: types[kind] for name, kind in kinds.items()})

    def _pandas(self, columns: dict[str, list[Any]], kinds: Mapping[str, str]) -> Any:
        series = self._module.Series
        return self._module.DataFrame(
            {
                name: series(values, dtype=_PANDAS[kinds[name]], name=name)
                for name, values in columns.items()
            }
        )

    def _of_objects(self, items: Sequence[Any]) -> Any:
        """Of maps a column for each key; the library finds the types."""
        rows = [each if isinstance(each, Mapping) else {"value": each} for each in items]
        if not self._in_polars:
            return self._module.DataFrame(rows)
        for name in _of_no_one_type(rows):
            rows = [{**row, name: _value(row.get(name), "json")} for row in rows]
        return self._module.DataFrame(rows, infer_schema_length=None)


def _of_no_one_type(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns in which nested values stand beside others; polars has no type for those."""
    types: dict[str, set[type]] = {}
    for row in rows:
        for name, value in row.items():
            if value is not None:
                types.setdefault(name, set()).add(type(value))
    return [name for name, found in types.items() if len(found) > 1 and found & {list, dict}]


def column_kinds(model: type[msgspec.Struct]) -> dict[str, str]:
    """The kind of each field's column, always the same, whatever the data."""
    described = inspect.type_info(model)
    fields = described.fields if isinstance(described, inspect.StructType) else ()
    return {field.name: _kind(field.type) for field in fields}


def _kind(described: inspect.Type) -> str:
    members = described.types if isinstance(described, inspect.UnionType) else (described,)
    present = [each for each in members if not isinstance(each, inspect.NoneType)]
    if len(present) != 1:
        return "json"
    (only,) = present
    if isinstance(only, inspect.LiteralType) and all(isinstance(v, str) for v in only.values):
        return "text"
    if isinstance(only, inspect.ListType) and isinstance(only.item_type, inspect.StrType):
        return "texts"
    return _KINDS.get(type(only), "json")


def _value(value: Any, kind: str) -> Any:
    if value is None or value is msgspec.UNSET:
        return None
    match kind:
        case "json":
            return msgspec.json.encode(value).decode()
        case "moment":
            moment: datetime = value
            return moment.astimezone(UTC)
        case "text":
            return str(value)
        case _:
            return value

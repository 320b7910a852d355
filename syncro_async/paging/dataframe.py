"""Makes a data frame of the items of a list, in polars or in pandas."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, Literal

import msgspec

from syncro_async._internal.plain_text import shown
from syncro_async.errors import InvalidArgumentError
from syncro_async.paging.columns import Field, Kind, fields_of

Library = Literal["polars", "pandas"]
MakeFrame = Callable[[Sequence[Any], Any], Any]

Column = tuple[Kind, list[Any]]
"""The kind of a column and its values."""

_KNOWN: tuple[Library, ...] = ("polars", "pandas")
_PANDAS: Mapping[Kind, str] = {
    "int": "Int64",
    "float": "Float64",
    "bool": "boolean",
    "text": "string",
    "moment": "datetime64[us, UTC]",
    "date": "datetime64[s]",
    "texts": "object",
    "json": "string",
}
_OF_TYPE: Mapping[type, Kind] = {bool: "bool", int: "int", float: "float", str: "text"}
_LARGEST = 2**63  # what a column of integers takes


def frame_maker(wanted: Library | type[Any] | None) -> MakeFrame:
    """Return the function that makes a frame of items and their type (None: unknown).

    - `wanted`: `"polars"`, `"pandas"` or the class of their frames; None: the library that is
      installed, polars before pandas

    Raises `ModuleNotFoundError` when the library is not installed, and `InvalidArgumentError`
    for any other.
    """
    library: Any = wanted.__module__.partition(".")[0] if isinstance(wanted, type) else wanted
    if library is not None and not (isinstance(library, str) and library in _KNOWN):
        raise InvalidArgumentError(
            f"library={shown(wanted)} must be 'polars' or 'pandas'", argument="library"
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
        columns = dict(_columns(fields_of(model), items))
        return self._polars(columns) if self._in_polars else self._pandas(columns)

    def _polars(self, columns: Mapping[str, Column]) -> Any:
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
        return polars.DataFrame(
            {name: values for name, (_, values) in columns.items()},
            schema={name: types[kind] for name, (kind, _) in columns.items()},
        )

    def _pandas(self, columns: Mapping[str, Column]) -> Any:
        series = self._module.Series
        return self._module.DataFrame(
            {
                name: series(values, dtype=_PANDAS[kind], name=name)
                for name, (kind, values) in columns.items()
            }
        )

    def _of_objects(self, items: Sequence[Any]) -> Any:
        """Make a column for each key of the mappings; the library finds the types."""
        rows = [each if isinstance(each, Mapping) else {"value": each} for each in items]
        if not self._in_polars:
            return self._module.DataFrame(rows)
        for name in _of_no_one_type(rows):
            rows = [{**row, name: _value(row.get(name), "json")} for row in rows]
        return self._module.DataFrame(rows, infer_schema_length=None)


def _of_no_one_type(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the columns with nested and other values, for which polars has no type."""
    types: dict[str, set[type]] = {}
    for row in rows:
        for name, value in row.items():
            if value is not None:
                types.setdefault(name, set()).add(type(value))
    return [name for name, found in types.items() if len(found) > 1 and found & {list, dict}]


def _columns(
    fields: Sequence[Field], items: Sequence[Any], prefix: str = ""
) -> Iterator[tuple[str, Column]]:
    """Yield the columns of the items: those of nested models and maps are `stage.name`."""
    for field in fields:
        name = f"{prefix}{field.name}"
        values = [_of_item(item, field.name) for item in items]
        if field.fields:
            yield from _columns(field.fields, values, f"{name}.")
        elif field.is_map:
            maps = [value or {} for value in values]
            for key in dict.fromkeys(key for each in maps for key in each):
                yield f"{name}.{key}", _column_of([each.get(key) for each in maps])
        else:
            yield name, (field.kind, [_value(value, field.kind) for value in values])


def _of_item(item: Any, name: str) -> Any:
    value = None if item is None else getattr(item, name)
    return None if value is msgspec.UNSET else value


def _column_of(values: Sequence[Any]) -> Column:
    """Return the column of values whose kind no model names."""
    kind = _kind_of(values)
    return kind, [_value(value, kind) for value in values]


def _kind_of(values: Sequence[Any]) -> Kind:
    present = [value for value in values if value is not None]
    types = {type(value) for value in present}
    if types <= {int, float} and not all(abs(value) < _LARGEST for value in present):
        return "json"
    if types == {list} and all(isinstance(each, str) for value in present for each in value):
        return "texts"
    if types == {int, float}:
        return "float"
    return _OF_TYPE.get(types.pop(), "json") if len(types) == 1 else "json" if types else "text"


def _value(value: Any, kind: Kind) -> Any:
    if value is None:
        return None
    match kind:
        case "json":
            return msgspec.json.encode(value).decode()
        case "moment":
            moment: datetime = value
            return moment.astimezone(UTC)
        case "text":
            return str(value)
        case "float":
            return float(value)
        case _:
            return value

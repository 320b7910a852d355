"""Makes rows of what programs hold: mappings, structs, and data frames of pandas and polars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from syncro_async.bulk.files.rows import Row, names_of
from syncro_async.errors import ConfigurationError
from syncro_async.models.receipts import RowProblem
from syncro_async.transport.values import unwrapped

_MISSING = frozenset({"NaTType", "NAType"})
# As JSON they would be texts: a decimal in one notation whatever the locale, and bytes in base64.
_KEPT = (Decimal, bytes, bytearray, memoryview)


def frame_rows(source: Any) -> tuple[list[str], Iterable[Any]] | None:
    """The names of the columns and the mappings of a data frame; None for any other source.

    Raises `ConfigurationError` for a lazy frame, whose rows are not there yet.
    """
    library = type(source).__module__.partition(".")[0]
    kind = type(source).__name__
    if library == "polars" and kind == "LazyFrame":
        raise ConfigurationError("rows is a LazyFrame: give rows.collect()")
    if library == "polars" and kind == "DataFrame":
        return list(source.columns), source.iter_rows(named=True)
    if library == "pandas" and kind == "DataFrame":
        names = names_of(source.columns)
        named = [name or f"column {at}" for at, name in enumerate(names, 1)]
        tuples = source.itertuples(index=False, name=None)
        return named, (dict(zip(named, values, strict=True)) for values in tuples)
    if library == "pyarrow" and kind == "Table":
        return list(source.column_names), source.to_pylist()
    return None


def row_from_object(line: int, item: object) -> Row:
    """A mapping, a struct or a dataclass as a row; its scalars may be those of numpy or pandas."""
    try:
        values = msgspec.to_builtins(_plain(item), builtin_types=_KEPT, enc_hook=_scalar)
        columns = _as_json(values)
        msgspec.json.encode(columns)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        return _refused(line, f"cannot be written as JSON: {error}")
    if not isinstance(columns, dict) or not all(isinstance(name, str) for name in columns):
        return _refused(line, "is no mapping from column names to values")
    return Row(line, columns)


def _refused(line: int, reason: str) -> Row:
    return Row(line, {}, (RowProblem(line, None, reason),))


def _plain(item: Any) -> Any:
    """Return the mapping without the values of pandas that mean "missing"."""
    if isinstance(item, Mapping):
        return {name: _scalar(value, refuse=False) for name, value in item.items()}
    return item


def _as_json(value: Any) -> Any:
    """Decimals as numbers, and bytes as the text that they are. Raises `ValueError` for others."""
    if isinstance(value, Decimal):
        is_whole = value.is_finite() and value == value.to_integral_value()
        return int(value) if is_whole else float(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode()
    if isinstance(value, dict):
        return {_as_json(name): _as_json(item) for name, item in value.items()}
    return [_as_json(item) for item in value] if isinstance(value, list | tuple) else value


def _scalar(value: Any, *, refuse: bool = True) -> Any:
    """Return a value of numpy, pandas or polars as one of Python's types.

    Raises `TypeError` for other objects.
    """
    if type(value).__name__ in _MISSING:
        return None
    plain = unwrapped(value)
    if plain is not value:
        return plain
    if hasattr(value, "to_pydatetime"):
        return value.to_pydatetime(warn=False)
    if hasattr(value, "to_list"):
        return value.to_list()
    if hasattr(value, "tolist"):
        return value.tolist()
    if refuse:
        raise TypeError(f"{type(value).__name__} is no value of JSON")
    return value

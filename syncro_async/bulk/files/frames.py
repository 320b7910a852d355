"""Makes rows of what programs hold: mappings, structs, and data frames of pandas and polars."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from syncro_async._internal.plain_text import shown
from syncro_async.bulk.files.arrow_rows import batch_rows
from syncro_async.bulk.files.exact import from_32_bits, number_of, with_nanoseconds
from syncro_async.bulk.files.rows import Row, column_names
from syncro_async.errors import ConfigurationError
from syncro_async.models.receipts import RowProblem
from syncro_async.transport.values import unwrapped

_AT_ONCE = 1000
_BYTES_OF_A_SHORT_FLOAT = 4
_NO_JSON = (TypeError, ValueError, OverflowError, RecursionError)
_AS_JSON = "give it as a text or a number, or leave the column out of the rows"
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
        return list(source.columns), _polars_rows(source)
    if library == "pandas" and kind == "DataFrame":
        named = column_names(source.columns)
        return named, _pandas_rows(source, named)
    if library == "pyarrow" and kind == "Table":
        rows = (row for batch in source.to_batches() for row in batch_rows(batch))
        return column_names(source.column_names), rows
    return None


def _pandas_rows(frame: Any, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    short = [
        name
        for name, dtype in zip(names, frame.dtypes, strict=True)
        if getattr(dtype, "kind", "") == "f" and dtype.itemsize == _BYTES_OF_A_SHORT_FLOAT
    ]
    for values in frame.itertuples(index=False, name=None):
        row = dict(zip(names, values, strict=True))
        yield row | {name: _from_32_bits(row[name]) for name in short}


def _polars_rows(frame: Any) -> Iterator[dict[str, Any]]:
    kinds = {name: str(dtype) for name, dtype in frame.schema.items()}
    short = [name for name, kind in kinds.items() if kind == "Float32"]
    fine = [name for name, kind in kinds.items() if kind.startswith("Datetime(time_unit='ns'")]
    for part in frame.iter_slices(_AT_ONCE):
        counts = {name: part[name].to_physical().to_list() for name in fine}
        for at, row in enumerate(part.iter_rows(named=True)):
            row.update({name: _from_32_bits(row[name]) for name in short})
            row.update({name: with_nanoseconds(row[name], counts[name][at]) for name in fine})
            yield row


def _from_32_bits(value: Any) -> Any:
    return from_32_bits(value) if isinstance(value, float) else value


def row_from_object(line: int, item: object) -> Row:
    """A mapping, a struct or a dataclass as a row; its scalars may be those of numpy or pandas."""
    try:
        columns = _columns_of(item)
    except _NO_JSON as error:
        return _refused_value(line, item) or _refused(line, _reason(error))
    if not isinstance(columns, dict) or not all(isinstance(name, str) for name in columns):
        return _refused(line, "is no mapping from column names to values")
    return Row(line, columns)


def _columns_of(item: object) -> Any:
    values = msgspec.to_builtins(_plain(item), builtin_types=_KEPT, enc_hook=_scalar)
    columns = _as_json(values)
    msgspec.json.encode(columns)
    return columns


def _refused_value(line: int, item: object) -> Row | None:
    """The row with a problem for each value that is none of JSON; None for what is no mapping."""
    if not isinstance(item, Mapping) or not all(isinstance(name, str) for name in item):
        return None
    columns: dict[str, Any] = {}
    problems = []
    for name, value in item.items():
        try:
            columns.update(_columns_of({name: value}))
        except _NO_JSON as error:
            column, text = name.encode("utf-8", "replace").decode(), _shown(value)
            columns[column] = text  # as the failures file can hold them
            problems.append(RowProblem(line, column, _reason(error), text, _AS_JSON))
    return Row(line, columns, tuple(problems)) if problems else None


def _shown(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "replace")
    return shown(value)


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"holds the byte 0x{error.object[error.start]:02X}, which is not UTF-8"
    return f"cannot be written as JSON: {error}"


def _refused(line: int, reason: str) -> Row:
    return Row(line, {}, (RowProblem(line, None, reason),))


def _plain(item: Any) -> Any:
    """Return the mapping without the values of pandas that mean "missing"."""
    if isinstance(item, Mapping):
        return {name: _scalar(value, refuse=False) for name, value in item.items()}
    return item


def _as_json(value: Any) -> Any:
    """Decimals as numbers (as texts where no float keeps them), and bytes as texts.

    Raises `ValueError` for bytes that are no text.
    """
    if isinstance(value, Decimal):
        return number_of(value)
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
        return with_nanoseconds(value.to_pydatetime(warn=False), getattr(value, "nanosecond", 0))
    if hasattr(value, "to_list"):
        return value.to_list()
    if hasattr(value, "tolist"):
        return value.tolist()
    if refuse:
        raise TypeError(f"{type(value).__name__} is no value of JSON")
    return value

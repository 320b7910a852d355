"""Makes rows of the tables of Arrow, which Parquet files hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from syncro_async.bulk.files.exact import from_32_bits, microseconds, with_nanoseconds
from syncro_async.bulk.files.extras import load_extra
from syncro_async.bulk.files.rows import column_names


def batch_rows(batch: Any) -> Iterator[dict[str, Any]]:
    """The rows of a record batch, each from the names of its columns to its values.

    The names are those of `column_names`. Floats of 32 bits are their shortest decimals, and times
    with more digits than Python keeps are texts.
    """
    arrow = load_extra("pyarrow", "parquet", "a .parquet file")
    names = column_names(batch.schema.names)
    columns = [_values(arrow, column) for column in batch.columns]
    for values in zip(*columns, strict=True):
        yield dict(zip(names, values, strict=True))


def _values(arrow: Any, array: Any) -> list[Any]:
    kind, types = array.type, arrow.types
    if types.is_dictionary(kind):
        return _values(arrow, array.dictionary_decode())
    if types.is_float32(kind):
        return [from_32_bits(value) for value in array.to_pylist()]
    if (types.is_timestamp(kind) or types.is_time64(kind)) and kind.unit == "ns":
        counts = array.cast(arrow.int64()).to_pylist()
        short = arrow.timestamp("us", kind.tz) if types.is_timestamp(kind) else arrow.time64("us")
        times = arrow.array(microseconds(counts), arrow.int64()).cast(short).to_pylist()
        return list(map(with_nanoseconds, times, counts))
    if types.is_struct(kind):
        return _structs(arrow, array)
    if types.is_list(kind) or types.is_large_list(kind):
        return [None if one.values is None else _values(arrow, one.values) for one in array]
    return list(array.to_pylist())


def _structs(arrow: Any, array: Any) -> list[Any]:
    names = column_names([field.name for field in array.type])
    fields = [_values(arrow, array.field(at)) for at in range(len(names))]
    return [
        {name: values[at] for name, values in zip(names, fields, strict=True)} if is_there else None
        for at, is_there in enumerate(array.is_valid().to_pylist())
    ]

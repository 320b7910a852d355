"""Reads and writes Parquet files, with the library that the extra `parquet` brings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from syncro_async.errors import ConfigurationError

_AT_ONCE = 1000


def parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows, numbered from 1.

    Raises `OSError`, `ValueError` for what is no such file, and `ConfigurationError` without the
    extra.
    """
    pq = _library()
    number = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_AT_ONCE):
            for row in batch.to_pylist():
                number += 1
                yield number, msgspec.to_builtins(row)


def write_parquet(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows, lacking values as nulls. Raises as `parquet_rows` does."""
    pq = _library()
    import pyarrow as pa  # noqa: PLC0415  # comes with an extra

    content = {}
    for name in columns:
        values = [row.get(name) for row in rows]
        try:
            content[name] = pa.array(values)
        except pa.ArrowException:  # a column of one file has one type
            content[name] = pa.array([None if value is None else str(value) for value in values])
    pq.write_table(pa.table(content), path)


def _library() -> Any:
    try:
        import pyarrow.parquet as pq  # noqa: PLC0415  # comes with an extra
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            'a .parquet file needs its extra: pip install "syncro-async[parquet]"'
        ) from error
    return pq

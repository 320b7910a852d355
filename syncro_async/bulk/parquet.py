"""Reads and writes Parquet files, with the library that the extra `parquet` brings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
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
    _, pq = library()
    number = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_AT_ONCE):
            for row in batch.to_pylist():
                number += 1
                yield number, msgspec.to_builtins(row)


def write_parquet(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows, lacking values as nulls. Raises as `parquet_rows` does."""
    pa, pq = library()
    content = {}
    for name in columns:
        values = [row.get(name) for row in rows]
        try:
            content[name] = pa.array(values)
        except pa.ArrowException:  # a column of one file has one type
            content[name] = pa.array([None if value is None else str(value) for value in values])
    pq.write_table(pa.table(content), path)


def library() -> tuple[Any, Any]:
    """`pyarrow` and `pyarrow.parquet`, loaded only for those who use them.

    Raises `ConfigurationError` where they are not installed.
    """
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            'a .parquet file needs its extra: pip install "syncro-async[parquet]"'
        ) from error

"""Decides what an error means for its row and for the job, and writes the failed rows."""

from __future__ import annotations

import csv
import errno
import os
import re
import secrets
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from syncro_async.bulk.files.formats import (
    ERROR_COLUMN,
    check_suffix,
    columns_of,
    csv_header,
    library,
    write_parquet_table,
)
from syncro_async.bulk.importing.journal import bodies_of
from syncro_async.errors import (
    APIError,
    AuthenticationError,
    BudgetWaitError,
    ConfigurationError,
    ConnectionFailedError,
    PermissionDeniedError,
    PlanLimitError,
    RateLimitedError,
    SyncroError,
    UnexpectedResponseError,
    ValidationError,
)
from syncro_async.retrying.decision import may_have_executed


def write_failures(
    db: sqlite3.Connection, path: Path, states: Collection[str], source: Path | None
) -> None:
    """Write the rows in these states, with their original columns and their errors.

    The file appears when it is complete. Raises `OSError`.
    """
    rows = [
        {**msgspec.json.decode(body), ERROR_COLUMN: error or "was not sent"}
        for body, error in bodies_of(db, states)
    ]
    columns = columns_of(rows)
    if source is not None and source.suffix.lower() == ".csv":
        columns = columns_of([dict.fromkeys(csv_header(source)), dict.fromkeys(columns)])
    columns = [name for name in columns if name != ERROR_COLUMN] + [ERROR_COLUMN]
    with replacing(path) as part:
        match check_suffix(path):
            case ".csv":
                _write_csv(part, columns, rows)
            case ".jsonl":
                part.write_bytes(msgspec.json.Encoder().encode_lines(rows))
            case _:
                write_parquet_table(part, columns, rows)


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(columns)
        lines.writerows([_cell(row.get(name)) for name in columns] for row in rows)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def check_writable(path: Path) -> None:
    """Check before the first row is sent that the file can be written.

    Raises `OSError` when no file can be written, and `ConfigurationError` when an extra is missing.
    """
    if check_suffix(path) == ".parquet":
        library()
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    try:
        part = _new_part(path.resolve())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    part.unlink()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file, which becomes `path` when the block ends without an error."""
    target = path.resolve()
    part = _new_part(target)
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _new_part(target: Path) -> Path:
    """Create an empty temporary file in the folder of the target."""
    part = target.with_name(f".syncro-{secrets.token_hex(8)}.part")
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return part


RowAction = Literal["retry", "wait", "abort", "reconcile", "fail"]

# Every later row fails in the same way; the row itself was not carried out.
_FATAL = (AuthenticationError, PermissionDeniedError, PlanLimitError, ConfigurationError)
# The parts of a message that differ from row to row. Each is bounded, and so is the message, so
# that no text of a server takes long.
_ROW_VALUES = re.compile(r"\S{0,100}@\S*|[\"'“][^\"'”]{0,300}[\"'”]|\d+")
_LONGEST_REASON = 1_000
_MOST_FIELDS = 20
_MIN_FAILURES = 20
_ROWS_PER_FAILURE = 100


def action_for(error: SyncroError) -> RowAction:
    """Return what to do with a row after an error.

    - `"retry"`: the row was not carried out and can be sent now
    - `"wait"`: nothing was sent, because the server cannot be reached now
    - `"abort"`: this row and all later ones would fail in the same way
    - `"reconcile"`: find out whether the row was carried out: its answer was lost or cannot be
      read, or the server failed while it worked on the row
    - `"fail"`: the server refused the row
    """
    if isinstance(error, BudgetWaitError | RateLimitedError):
        return "retry"
    if isinstance(error, ConnectionFailedError):
        return "abort" if error.permanent else "wait"
    if isinstance(error, _FATAL):
        return "abort"
    if isinstance(error, UnexpectedResponseError) or may_have_executed(error):
        return "reconcile"
    return "fail"


def reason_for(error: SyncroError) -> str:
    """Return the error without the values of its row, to group equal failures."""
    kind = type(error).__name__
    if isinstance(error, ValidationError) and error.errors:
        fields = "; ".join(
            f"{name}: {_without_values(messages[0]) if messages else 'refused'}"
            for name, messages in sorted(error.errors.items())[:_MOST_FIELDS]
        )
        return f"{kind}: {fields}"
    if isinstance(error, APIError):
        return f"{kind} {error.status}: {_without_values(error.message)}"
    return kind


def _without_values(message: str) -> str:
    return _ROW_VALUES.sub("…", message[:_LONGEST_REASON])


class FailureLimit:
    """Counts the failures with the same reason.

    `max_failures` is the number that is allowed; None: the larger of 20 and 1 % of `total` rows.
    """

    def __init__(self, max_failures: int | None, total: int) -> None:
        if max_failures is None:
            max_failures = max(_MIN_FAILURES, total // _ROWS_PER_FAILURE)
        self._max_failures = max_failures
        self._counts: Counter[str] = Counter()

    def record(self, reason: str) -> bool:
        """Count a failure; return True when the limit is exceeded."""
        self._counts[reason] += 1
        return self._counts[reason] > self._max_failures

    def all_alike(self, rows: int) -> bool:
        """Return whether that many rows have all failed for the same reason."""
        return rows > 0 and self._counts.total() == rows and len(self._counts) == 1

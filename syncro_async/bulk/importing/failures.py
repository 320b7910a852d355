"""Says what an error means for the row that met it, and when a job has failed often enough."""

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
    NoAnswerError,
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
    """Write the rows in these states, with their columns as they came and what went wrong.

    The file is there when it is whole; without such rows it has none. Raises `OSError`.
    """
    rows = [
        {**msgspec.json.decode(body), ERROR_COLUMN: error or "was not sent"}
        for body, error in bodies_of(db, states)
    ]
    columns = columns_of(rows)
    if source is not None and source.suffix.lower() == ".csv":
        columns = columns_of([dict.fromkeys(csv_header(source)), dict.fromkeys(columns)])
    columns = [name for name in columns if name != ERROR_COLUMN] + [ERROR_COLUMN]
    with _appearing(path) as part:
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
    """Find out before the first row is sent, for after the last one it is too late.

    Raises `OSError` where no file can be written, `ConfigurationError` where the extra is missing.
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
def _appearing(path: Path) -> Iterator[Path]:
    """A name to write to, which becomes `path` when the block ends well."""
    target = path.resolve()
    part = _new_part(target)
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _new_part(target: Path) -> Path:
    """An empty file beside the target, under a name of its own."""
    part = target.with_name(f".syncro-{secrets.token_hex(8)}.part")
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return part


RowAction = Literal["again", "stop", "lost", "unclear", "failed"]

# Every further row would meet them, too; the row itself was not carried out.
_FATAL = (AuthenticationError, PermissionDeniedError, PlanLimitError, ConfigurationError)
# What differs from row to row in a message about the same thing.
_PARTICULAR = re.compile(r"\S*@\S*|[\"'“][^\"'”]*[\"'”]|\d+")
_LEAST = 20
_SHARE = 100


def action_for(error: SyncroError) -> RowAction:
    """What to do with a row after an error.

    - `"again"`: it was not sent, or not counted, and may go now
    - `"stop"`: neither it nor any other row has a chance
    - `"lost"`: the answer was lost; look whether it was carried out, and send it again if not
    - `"unclear"`: the server answered with a failure of its own; look, but do not send it again
    - `"failed"`: the server refused it, or it never left
    """
    if isinstance(error, BudgetWaitError | RateLimitedError):
        return "again"
    if isinstance(error, _FATAL):
        return "stop"
    if isinstance(error, UnexpectedResponseError):
        return "unclear"
    if may_have_executed(error):
        return "lost" if isinstance(error, NoAnswerError) else "unclear"
    return "failed"


def reason_for(error: SyncroError) -> str:
    """What rows that fail alike have in common: the error without what is the row's own."""
    kind = type(error).__name__
    if isinstance(error, ValidationError) and error.errors:
        fields = "; ".join(
            f"{name}: {_general(messages[0]) if messages else 'refused'}"
            for name, messages in sorted(error.errors.items())
        )
        return f"{kind}: {fields}"
    if isinstance(error, APIError):
        return f"{kind} {error.status}: {_general(error.message)}"
    return kind


def _general(message: str) -> str:
    return _PARTICULAR.sub("…", message)


class FailureLimit:
    """Counts failures that are alike, and says when there are too many of one kind.

    `max_failures` None: 20 or one row in a hundred, whichever is more.
    """

    def __init__(self, max_failures: int | None, total: int) -> None:
        self._most = max(_LEAST, total // _SHARE) if max_failures is None else max_failures
        self._alike: Counter[str] = Counter()

    def record(self, reason: str) -> bool:
        """Count a failure; True when it is one too many."""
        self._alike[reason] += 1
        return self._alike[reason] > self._most

    def all_alike(self, rows: int) -> bool:
        """Whether that many rows have all failed for the same reason."""
        return rows > 0 and self._alike.total() == rows and len(self._alike) == 1

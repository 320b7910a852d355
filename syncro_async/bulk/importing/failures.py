"""Decides what an error means for its row and for the job."""

from __future__ import annotations

import re
from collections import Counter
from typing import Literal

from syncro_async.bulk.importing.present import LeadChangedError
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

RowAction = Literal["retry", "wait", "abort", "reconcile", "fail"]

# Every later row fails in the same way; the row itself was not carried out.
_FATAL = (AuthenticationError, PermissionDeniedError, PlanLimitError, ConfigurationError)
# The parts of a message that differ from row to row.
_ROW_VALUES = re.compile(r"\S*@\S*|[\"'“][^\"'”]*[\"'”]|\d+")
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
            for name, messages in sorted(error.errors.items())
        )
        return f"{kind}: {fields}"
    if isinstance(error, APIError):
        return f"{kind} {error.status}: {_without_values(error.message)}"
    return _without_values(error.message) if isinstance(error, LeadChangedError) else kind


def _without_values(message: str) -> str:
    return _ROW_VALUES.sub("…", message)


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

"""Says what an error means for the row that met it, and when a job has failed often enough."""

from __future__ import annotations

import re
from collections import Counter
from typing import Literal

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
from syncro_async.retrying.verdict import may_have_been_done

Verdict = Literal["again", "stop", "lost", "unclear", "failed"]

# Every further row would meet them, too; the row itself was not carried out.
_HOPELESS = (AuthenticationError, PermissionDeniedError, PlanLimitError, ConfigurationError)
# What differs from row to row in a message about the same thing.
_PARTICULAR = re.compile(r"\S*@\S*|[\"'“][^\"'”]*[\"'”]|\d+")
_LEAST = 20
_SHARE = 100


def verdict_on(error: SyncroError) -> Verdict:
    """What to do with a row after an error.

    - `"again"`: it was not sent, or not counted, and may go now
    - `"stop"`: neither it nor any other row has a chance
    - `"lost"`: the answer was lost; look whether it was carried out, and send it again if not
    - `"unclear"`: the server answered with a failure of its own; look, but do not send it again
    - `"failed"`: the server refused it, or it never left
    """
    if isinstance(error, BudgetWaitError | RateLimitedError):
        return "again"
    if isinstance(error, _HOPELESS):
        return "stop"
    if isinstance(error, UnexpectedResponseError):
        return "unclear"
    if may_have_been_done(error):
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


class Fuse:
    """Counts failures that are alike, and says when there are too many of one kind.

    `max_failures` None: 20 or one row in a hundred, whichever is more.
    """

    def __init__(self, max_failures: int | None, total: int) -> None:
        self._most = max(_LEAST, total // _SHARE) if max_failures is None else max_failures
        self._alike: Counter[str] = Counter()

    def burn(self, reason: str) -> bool:
        """Count a failure; True when it is one too many."""
        self._alike[reason] += 1
        return self._alike[reason] > self._most

    def all_alike(self, rows: int) -> bool:
        """Whether that many rows have all failed for the same reason."""
        return rows > 0 and self._alike.total() == rows and len(self._alike) == 1

"""Decides what an error or an incomplete result means for the job of an account."""

from __future__ import annotations

from typing import NamedTuple

from syncro_async.errors import (
    BudgetWaitError,
    ConnectionFailedError,
    ImportStoppedError,
    NoAnswerError,
    RateLimitedError,
    ServerError,
)
from syncro_async.fleet.keys import KeyUnavailableError
from syncro_async.limiting.shared.store import StoreUnreachableError
from syncro_async.models.receipts import ExportReceipt, ImportSummary, SyncReceipt

# When a store of the limiter that is out of reach is tried again (s).
STORE_INTERVAL = 30.0

Result = ExportReceipt | SyncReceipt | ImportSummary


class Verdict(NamedTuple):
    """What happens to a job.

    - `retry`: whether it is worth another run
    - `wait`: the time that the error names until then (s), None where it names none: then the
      attempt counts, and the wait grows with each
    """

    retry: bool
    wait: float | None = None


FOR_GOOD = Verdict(retry=False)
_AGAIN = Verdict(retry=True)


def verdict_on(error: BaseException) -> Verdict:
    """What an error means for the job.

    A refused key, a suspended account and wrong options fail it for good. A full budget and
    `Retry-After` name a time. The network, the server and the key source may work next time.
    """
    if isinstance(error, ImportStoppedError) and error.__cause__ is not None:
        return verdict_on(error.__cause__)
    wait = _named_wait(error)
    if wait is not None:
        return Verdict(retry=True, wait=wait)
    return _AGAIN if _is_passing(error) else FOR_GOOD


def _named_wait(error: BaseException) -> float | None:
    """How long the error says to wait (s); None where it does not say it."""
    match error:
        case BudgetWaitError(wait_needed=wait):
            return wait
        case RateLimitedError():
            return max(error.pause, error.retry_after or 0.0)
        case ServerError(retry_after=wait):
            return wait
        case StoreUnreachableError() | ConnectionFailedError(of_limiter=True):
            return STORE_INTERVAL
    return None


def _is_passing(error: BaseException) -> bool:
    """Whether the same job can succeed later although nothing is changed."""
    if isinstance(error, ConnectionFailedError):
        return not error.permanent
    return isinstance(error, NoAnswerError | ServerError | KeyUnavailableError)


def verdict_on_result(result: Result) -> tuple[Verdict, str] | None:
    """What an incomplete result means for the job, and why it is incomplete; None: it is done."""
    if isinstance(result, ImportSummary):
        if not result.failed and not result.in_doubt:
            return None
        reason = f"{result.failed} rows failed and {result.in_doubt} are in doubt"
        place = f"; they are in {result.failures_file}" if result.failures_file else ""
        return FOR_GOOD, reason + place
    truncated = isinstance(result, ExportReceipt) and result.truncated and not result.unreadable
    if result.complete or truncated:
        return None
    reason = result.reason or "it is not proved that every lead is there"
    # Another run reads the same records again, and cannot read them either.
    return (FOR_GOOD if result.unreadable else _AGAIN), reason

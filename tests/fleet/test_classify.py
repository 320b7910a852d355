"""What each error and each incomplete result means for the job of an account."""

from __future__ import annotations

from typing import Any

import pytest

from syncro_async import ExportReceipt, ImportSummary, SyncReceipt
from syncro_async import errors as e
from syncro_async.fleet.classify import FOR_GOOD, Verdict, verdict_on, verdict_on_result
from syncro_async.fleet.keys import KeyUnavailableError
from syncro_async.limiting.shared.store import StoreUnreachableError

AGAIN = Verdict(retry=True)
SUMMARY = ImportSummary(3, 1, 1, 1, 0, 0, 5, 1.0)


def in_seconds(wait: float) -> Verdict:
    return Verdict(retry=True, wait=wait)


def stopped(cause: Exception | None) -> e.ImportStoppedError:
    error = e.ImportStoppedError("it stopped", summary=SUMMARY)
    error.__cause__ = cause
    return error


def throttled(retry_after: float | None, pause: float) -> e.RateLimitedError:
    error = e.RateLimitedError("slow", status=429, retry_after=retry_after)
    error.pause = pause
    return error


def api(kind: type[e.APIError], status: int, **facts: Any) -> e.APIError:
    return kind("no", status=status, **facts)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (api(e.AuthenticationError, 401), FOR_GOOD),
        (api(e.AccountSuspendedError, 403), FOR_GOOD),
        (api(e.PermissionDeniedError, 403), FOR_GOOD),
        (api(e.ReauthenticationRequiredError, 403), FOR_GOOD),
        (api(e.NotFoundError, 404), FOR_GOOD),
        (api(e.PlanLimitError, 422), FOR_GOOD),
        (e.ConfigurationError("wrong"), FOR_GOOD),
        (e.InvalidArgumentError("wrong", argument="x"), FOR_GOOD),
        (e.BadRowsError("wrong", problems=()), FOR_GOOD),
        (OSError(28, "No space left on device"), FOR_GOOD),
        (RuntimeError("a bug"), FOR_GOOD),
        (e.BudgetWaitError("full", wait_needed=90.0), in_seconds(90.0)),
        (throttled(3600.0, 0.0), in_seconds(3600.0)),
        (throttled(None, 61.0), in_seconds(61.0)),
        (api(e.ServiceUnavailableError, 503, retry_after=120.0), in_seconds(120.0)),
        (api(e.ServerError, 500), AGAIN),
        (e.RequestTimeoutError("slow"), AGAIN),
        (e.OutcomeUnknownError("lost"), AGAIN),
        (e.ConnectionFailedError("away"), AGAIN),
        (e.ConnectionFailedError("a wrong certificate", permanent=True), FOR_GOOD),
        (e.ConnectionFailedError("Redis", permanent=True, of_limiter=True), in_seconds(30.0)),
        (StoreUnreachableError("Redis"), in_seconds(30.0)),
        (KeyUnavailableError("OSError"), AGAIN),
        (stopped(None), FOR_GOOD),
        (stopped(api(e.AuthenticationError, 401)), FOR_GOOD),
        (stopped(throttled(700.0, 0.0)), in_seconds(700.0)),
    ],
    ids=lambda value: f"{type(value).__name__} {value}" if isinstance(value, Exception) else "",
)
def test_an_error(error: Exception, verdict: Verdict) -> None:
    assert verdict_on(error) == verdict


EXPORT = ExportReceipt(2, 2, 0, 2, 2, complete=True)


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        (EXPORT, None),
        (SyncReceipt(2, 2, 0), None),
        (SUMMARY, None),
        (ExportReceipt(2, 2, 0, 9, 9, complete=False, truncated=True, reason="2"), None),
        (ExportReceipt(2, 2, 0, 3, 3, complete=False, reason="moving"), (AGAIN, "moving")),
        (SyncReceipt(2, 2, 0, complete=False, reason="moving"), (AGAIN, "moving")),
        (
            SyncReceipt(2, 2, 0, complete=False),
            (AGAIN, "it is not proved that every lead is there"),
        ),
        (
            SyncReceipt(2, 2, 0, complete=False, reason="1 is broken", unreadable=1),
            (FOR_GOOD, "1 is broken"),
        ),
        (
            ImportSummary(3, 1, 0, 0, 1, 1, 5, 1.0, failures_file="f.csv"),
            (FOR_GOOD, "1 rows failed and 1 are in doubt; they are in f.csv"),
        ),
        (
            ImportSummary(3, 2, 0, 0, 0, 1, 5, 1.0),
            (FOR_GOOD, "0 rows failed and 1 are in doubt"),
        ),
    ],
)
def test_a_result(result: Any, verdict: object) -> None:
    assert verdict_on_result(result) == verdict

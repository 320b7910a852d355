"""Which failures are tried again, for calls that may be repeated and for those that may not."""

from __future__ import annotations

from typing import Any

import pytest

from syncro_async.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    CircuitOpenError,
    ConfigurationError,
    ConflictError,
    ConnectionFailedError,
    NoAnswerError,
    NotFoundError,
    OutcomeUnknownError,
    ProviderAuthenticationError,
    ProviderError,
    ReauthenticationRequiredError,
    RequestTimeoutError,
    ServerError,
    ServiceUnavailableError,
    SyncroError,
    UnexpectedResponseError,
    ValidationError,
)
from syncro_async.retrying.decision import (
    RetryContext,
    leaves_outcome_unknown,
    may_have_executed,
    retry_delay,
)
from syncro_async.retrying.policy import RetryPolicy

POLICY = RetryPolicy(attempts=4, base_delay=2.0, max_elapsed=300.0, random=lambda: 0.5)


def trial(
    *,
    repeatable: bool = True,
    attempts: int = 1,
    elapsed: float = 0.0,
    max_wait: float | None = None,
    policy: RetryPolicy = POLICY,
) -> RetryContext:
    return RetryContext(policy, repeatable, attempts, elapsed, max_wait)


def answered(status: int, kind: type[APIError] = APIError, **more: Any) -> APIError:
    return kind("no", status=status, **more)


def not_processed(status: int, kind: type[APIError] = APIError, **more: Any) -> APIError:
    error = answered(status, kind, **more)
    error.not_processed = True
    return error


def server_error(status: int) -> APIError:
    return answered(status, ServerError)


BACKOFF, RAISE, UNKNOWN = 1.0, "raise", "outcome unknown"
# What happened; what becomes of a call that may be repeated; and of one that may not.
TABLE: list[tuple[str, SyncroError, float | str, float | str]] = [
    ("connection never made", ConnectionFailedError("no"), BACKOFF, BACKOFF),
    ("certificate invalid", ConnectionFailedError("no", permanent=True), RAISE, RAISE),
    ("503 with a time", answered(503, ServiceUnavailableError, retry_after=7.0), 7.0, RAISE),
    ("503 with a time of 0", answered(503, ServiceUnavailableError, retry_after=0.0), 0.0, RAISE),
    ("503 without a time", answered(503, ServiceUnavailableError), BACKOFF, RAISE),
    ("open circuit with a time", not_processed(503, CircuitOpenError, retry_after=7.0), 7.0, 7.0),
    ("open circuit without a time", not_processed(503, CircuitOpenError), RAISE, RAISE),
    ("a code that may mean anything", answered(503, CircuitOpenError, retry_after=7.0), 7.0, RAISE),
    ("503, not processed", not_processed(503, ServiceUnavailableError), BACKOFF, BACKOFF),
    ("408", answered(408), BACKOFF, UNKNOWN),
    ("408 with a time", answered(408, retry_after=7.0), 7.0, UNKNOWN),
    ("408 before the body was sent", not_processed(408), BACKOFF, BACKOFF),
    ("425", answered(425), BACKOFF, BACKOFF),
    ("425 with a time", answered(425, retry_after=7.0), 7.0, 7.0),
    (
        "500 with a time shorter than the backoff",
        answered(500, ServerError, retry_after=0.1),
        BACKOFF,
        RAISE,
    ),
    ("timeout", RequestTimeoutError("no"), BACKOFF, UNKNOWN),
    ("broken connection after sending", NoAnswerError("no"), BACKOFF, UNKNOWN),
    *((str(status), server_error(status), BACKOFF, RAISE) for status in (500, 502, 504)),
    *((str(status), server_error(status), BACKOFF, RAISE) for status in range(520, 528)),
    *((str(status), server_error(status), RAISE, RAISE) for status in (501, 505, 507, 511, 529)),
    *(
        (f"{status} with a time", answered(status, ServerError, retry_after=7.0), 7.0, RAISE)
        for status in (500, 502, 504, 520)
    ),
    ("a provider's refusal", answered(502, ProviderError), BACKOFF, RAISE),
    ("a provider's tokens", answered(502, ProviderAuthenticationError), RAISE, RAISE),
    ("400", answered(400, BadRequestError), RAISE, RAISE),
    ("401", answered(401, AuthenticationError), RAISE, RAISE),
    ("403", answered(403, ReauthenticationRequiredError), RAISE, RAISE),
    ("404", answered(404, NotFoundError), RAISE, RAISE),
    ("405", answered(405), RAISE, RAISE),
    ("409", answered(409, ConflictError), RAISE, RAISE),
    ("422", answered(422, ValidationError), RAISE, RAISE),
    ("success: false", answered(200), RAISE, RAISE),
    (
        "an answer that cannot be understood",
        UnexpectedResponseError("no", status=200, content_type=None, excerpt=""),
        RAISE,
        RAISE,
    ),
    ("a mistake of the caller", ConfigurationError("no"), RAISE, RAISE),
]


def verdict(error: SyncroError, *, repeatable: bool) -> float | str:
    wait = retry_delay(error, trial(repeatable=repeatable))
    if wait is not None:
        return wait
    return UNKNOWN if not repeatable and leaves_outcome_unknown(error) else RAISE


@pytest.mark.parametrize(
    ("error", "repeatable", "expected"),
    [
        pytest.param(error, repeatable, expected, id=f"{what}, {calls}")
        for what, error, may_repeat, may_not in TABLE
        for repeatable, expected, calls in (
            (True, may_repeat, "repeatable"),
            (False, may_not, "not repeatable"),
        )
    ],
)
def test_the_table_of_retries_holds(
    *,
    error: SyncroError,
    repeatable: bool,
    expected: float | str,
) -> None:
    assert verdict(error, repeatable=repeatable) == expected


@pytest.mark.parametrize("attempts", [1, 2, 3, 4, 5])
def test_a_call_is_not_sent_more_often_than_the_policy_says(attempts: int) -> None:
    error = server_error(500)
    wait = retry_delay(error, trial(attempts=attempts))
    assert wait == (2.0 ** (attempts - 1) if attempts < 4 else None)
    asked = answered(503, ServiceUnavailableError, retry_after=7.0)
    assert (retry_delay(asked, trial(attempts=attempts)) is None) == (attempts >= 4)


def test_a_policy_of_one_attempt_never_tries_again() -> None:
    once = trial(policy=RetryPolicy(attempts=1))
    assert retry_delay(ConnectionFailedError("no"), once) is None


@pytest.mark.parametrize(("elapsed", "wait"), [(299.0, 1.0), (299.1, None), (1000.0, None)])
def test_a_wait_that_would_not_fit_max_elapsed_is_not_begun(
    elapsed: float, wait: float | None
) -> None:
    assert retry_delay(server_error(500), trial(elapsed=elapsed)) == wait
    asked = answered(503, ServiceUnavailableError, retry_after=301.0 - 300.0)
    assert retry_delay(asked, trial(elapsed=elapsed)) == wait


@pytest.mark.parametrize("repeatable", [True, False])
def test_a_503_that_asks_for_more_than_max_wait_is_raised(*, repeatable: bool) -> None:
    error = not_processed(503, ServiceUnavailableError, retry_after=3600.0)
    patient = RetryPolicy(max_elapsed=10_000.0)
    within = trial(repeatable=repeatable, max_wait=3600.0, policy=patient)
    beyond = trial(repeatable=repeatable, max_wait=3599.0, policy=patient)
    assert retry_delay(error, within) == 3600.0
    assert retry_delay(error, beyond) is None
    assert retry_delay(error, trial(repeatable=repeatable)) is None


@pytest.mark.parametrize(
    ("error", "may_be"),
    [
        (ConnectionFailedError("no"), False),
        (RequestTimeoutError("no"), True),
        (NoAnswerError("no"), True),
        (OutcomeUnknownError("no"), True),
        (UnexpectedResponseError("no", status=200, content_type=None, excerpt=""), False),
        (server_error(500), True),
        (answered(502, ProviderError), True),
        (answered(503, ServiceUnavailableError), True),
        (not_processed(503, ServiceUnavailableError), False),
        (answered(408), True),
        (not_processed(408), False),
        (answered(425), False),
        (answered(404, NotFoundError), False),
        (ConfigurationError("no"), False),
    ],
)
def test_what_a_failed_attempt_may_have_done_all_the_same(
    *, error: SyncroError, may_be: bool
) -> None:
    assert may_have_executed(error) is may_be

"""Whether a failed call is tried again, and after how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard

from syncro_async.errors import (
    CircuitOpenError,
    ConnectionFailedError,
    NoAnswerError,
    OutcomeUnknownError,
    ProviderAuthenticationError,
    ProviderRateLimitedError,
    RateLimitedError,
    ServerError,
    ServiceUnavailableError,
    SyncroError,
    UnexpectedResponseError,
)
from syncro_async.retrying.policy import RetryPolicy, backoff

# Statuses that another attempt may cure. 520-527 are a proxy's words for a broken origin.
_TRANSIENT = frozenset({500, 502, 503, 504, *range(520, 528)})
# A person has to act, the answer would be the same again, or we were told not to knock.
_FINAL = (ProviderAuthenticationError, UnexpectedResponseError, CircuitOpenError)


@dataclass(frozen=True, slots=True)
class RetryContext:
    """How far a call has come: attempts charged, and seconds since it was first sent."""

    policy: RetryPolicy
    idempotent: bool
    attempts: int
    elapsed: float
    max_wait: float | None


def retry_delay(error: SyncroError, context: RetryContext) -> float | None:
    """Seconds until the next attempt, or None: raise the error now.

    A wait that would not fit `max_elapsed` is not begun.
    """
    if context.attempts >= context.policy.attempts:
        return None
    wait = _asked_wait(error, context)
    if wait is None and _may_help(error, repeatable=context.idempotent):
        wait = backoff(context.policy, context.attempts)
    if wait is None or context.elapsed + wait > context.policy.max_elapsed:
        return None
    return wait


def throttles_key(error: SyncroError) -> TypeGuard[RateLimitedError]:
    """Whether no call of the key may be sent for a while; a provider's 429 stops one call only."""
    return isinstance(error, RateLimitedError) and not isinstance(error, ProviderRateLimitedError)


def may_have_executed(error: SyncroError) -> bool:
    """Whether the server may have carried the request out although it did not say so."""
    if isinstance(error, NoAnswerError):
        return not isinstance(error, ConnectionFailedError | UnexpectedResponseError)
    return isinstance(error, ServerError) and not isinstance(error, ServiceUnavailableError)


def leaves_outcome_unknown(error: SyncroError) -> bool:
    """Whether a call that must not be repeated has to stop here, its fate unknown."""
    return may_have_executed(error) and not isinstance(error, ServerError | OutcomeUnknownError)


def _asked_wait(error: SyncroError, trial: RetryContext) -> float | None:
    """The time a 503 or a provider's 429 named: no work was done, every call may come again."""
    wait = None
    if isinstance(error, ServiceUnavailableError):
        wait = error.retry_after
    elif isinstance(error, ProviderRateLimitedError):
        wait = error.pause
    if wait is not None and trial.max_wait is not None and wait > trial.max_wait:
        return None
    return wait


def _may_help(error: SyncroError, *, repeatable: bool) -> bool:
    if isinstance(error, ConnectionFailedError):
        return not error.permanent
    if not repeatable or isinstance(error, _FINAL):
        return False
    if isinstance(error, ServiceUnavailableError) and error.retry_after is not None:
        return False  # a time too long for the caller: waiting less would only knock again
    if isinstance(error, ServerError):
        return error.status in _TRANSIENT
    return isinstance(error, NoAnswerError)

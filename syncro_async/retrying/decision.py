"""Decides whether a failed call is tried again, and after which delay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard

from syncro_async.errors import (
    APIError,
    CircuitOpenError,
    ConnectionFailedError,
    NoAnswerError,
    OutcomeUnknownError,
    ProviderAuthenticationError,
    ProviderError,
    ProviderRateLimitedError,
    RateLimitedError,
    ServerError,
    ServiceUnavailableError,
    SyncroError,
    UnexpectedResponseError,
)
from syncro_async.retrying.policy import RetryPolicy, backoff

# Statuses after which another attempt can succeed. A proxy sends 520-527 for a broken origin.
_TRANSIENT = frozenset({408, 425, 500, 502, 503, 504, *range(520, 528)})
# The request was refused before it was processed (RFC 8470, section 5.2).
_TOO_EARLY = 425
# The server did not receive the request in time; what it did with the part it has is not defined.
_REQUEST_TIMEOUT = 408
# A person has to act, or the answer would be the same.
_FINAL = (ProviderAuthenticationError, UnexpectedResponseError)


@dataclass(frozen=True, slots=True)
class RetryContext:
    """The state of a call: attempts charged so far, and seconds since it was first sent."""

    policy: RetryPolicy
    idempotent: bool
    attempts: int
    elapsed: float
    max_wait: float | None


def retry_delay(error: SyncroError, context: RetryContext) -> float | None:
    """Return the seconds until the next attempt; None: raise the error now.

    A `Retry-After` is never shortened. When the wait is longer than `max_elapsed` or `max_wait`
    allows, there is no further attempt.
    """
    if context.attempts >= context.policy.attempts or not _can_retry(error, context):
        return None
    requested = _requested_wait(error)
    if requested is None:
        wait = backoff(context.policy, context.attempts)
    elif context.max_wait is not None and requested > context.max_wait:
        return None
    elif isinstance(error, ServiceUnavailableError | ProviderRateLimitedError):
        wait = requested
    else:
        wait = max(requested, backoff(context.policy, context.attempts))
    return None if context.elapsed + wait > context.policy.max_elapsed else wait


def draws_quota(error: SyncroError) -> bool:
    """Return whether a retry after this failure counts against the retry quota.

    It counts when the server may be down. An answer that the API itself wrote proves that the
    server works: a 4xx, and a 5xx about a connected provider.
    """
    if not isinstance(error, ServerError):
        return isinstance(error, NoAnswerError)
    if isinstance(error, CircuitOpenError) or (error.code or "").startswith("PROVIDER_"):
        return False
    # The documented body of a 502 has the provider's own answer (API reference, "Errors and
    # limits"). The page of a gateway does not.
    body = error.body
    return not (isinstance(error, ProviderError) and isinstance(body, dict) and "raw" in body)


def throttles_key(error: SyncroError) -> TypeGuard[RateLimitedError]:
    """Return whether all calls of the key must wait; a provider's 429 delays one call only."""
    return isinstance(error, RateLimitedError) and not isinstance(error, ProviderRateLimitedError)


def may_have_executed(error: SyncroError) -> bool:
    """Return whether the server may have processed the request although the call failed.

    It is False only for a failure that proves that the server did not. A 503 proves nothing: a
    gateway also sends it when the service behind it has processed the request.
    """
    if isinstance(error, NoAnswerError):
        return not isinstance(error, ConnectionFailedError | UnexpectedResponseError)
    if isinstance(error, APIError) and not error.not_processed:
        return isinstance(error, ServerError) or error.status == _REQUEST_TIMEOUT
    return False


def leaves_outcome_unknown(error: SyncroError) -> bool:
    """Return whether a call that must not be repeated ends with an unknown outcome."""
    return may_have_executed(error) and not isinstance(error, ServerError | OutcomeUnknownError)


def _requested_wait(error: SyncroError) -> float | None:
    """Return the seconds that the server asks the caller to wait."""
    if isinstance(error, ProviderRateLimitedError):
        return error.pause
    return error.retry_after if isinstance(error, APIError) else None


def _can_retry(error: SyncroError, context: RetryContext) -> bool:
    if isinstance(error, ConnectionFailedError):
        return not error.permanent
    if isinstance(error, ProviderRateLimitedError):
        return True
    if isinstance(error, _FINAL) or not (context.idempotent or _is_not_processed(error)):
        return False
    if isinstance(error, CircuitOpenError):
        # The circuit closes at the time that the answer names; without one it is not known when.
        return error.retry_after is not None
    if isinstance(error, APIError):
        return error.status in _TRANSIENT
    return isinstance(error, NoAnswerError)


def _is_not_processed(error: SyncroError) -> bool:
    return isinstance(error, APIError) and (error.not_processed or error.status == _TOO_EARLY)

"""What a web service answers its own callers when a call to the API failed.

`WORDINGS` is the table that decides; `docs/fastapi.md` prints it.

The key is the service's own, so what it may not do is never the caller's 401 or 403. The words are
ours; of what the API said only a validation's fields and a stage's tasks are passed on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from syncro_async.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    BudgetWaitError,
    ConflictError,
    ConnectionFailedError,
    MessagingWindowClosedError,
    NoAnswerError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    PlanLimitError,
    ProviderAuthenticationError,
    ProviderError,
    RateLimitedError,
    ReauthenticationRequiredError,
    RequestTimeoutError,
    ServerError,
    ServiceUnavailableError,
    StageBlockedError,
    SyncroError,
    UnexpectedResponseError,
    UnprocessableError,
    ValidationError,
)


class ErrorText(NamedTuple):
    """How one kind of error is told to a caller."""

    status: int
    code: str
    message: str


class ErrorResponse(NamedTuple):
    """A whole answer: its status, its headers and its body, still to be encoded."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]


_BUSY = ErrorText(503, "busy", "Too many requests are waiting; please come back later.")
_NO_ACCESS = ErrorText(
    502, "upstream_access", "This service has no access to what it needs; its operator must act."
)
_DISCONNECTED = ErrorText(
    502, "provider_disconnected", "The connected provider must be reconnected by a person first."
)
_FAILED = ErrorText(502, "upstream_failed", "The service behind this one failed.")
_UNREACHABLE = ErrorText(
    502, "upstream_unreachable", "The service behind this one could not be reached."
)

# The nearest class in an error's family decides.
ERROR_RESPONSES: Mapping[type[SyncroError], ErrorText] = MappingProxyType(
    {
        BudgetWaitError: _BUSY,
        RateLimitedError: _BUSY,
        ServiceUnavailableError: ErrorText(
            503, "upstream_unavailable", "The service behind this one is down for the moment."
        ),
        NotFoundError: ErrorText(404, "not_found", "There is no such thing."),
        ConflictError: ErrorText(
            409, "conflict", "It exists already, or its state forbids the change."
        ),
        BadRequestError: ErrorText(400, "bad_request", "The request was not understood."),
        ValidationError: ErrorText(422, "invalid", "Some of the data is missing or wrong."),
        StageBlockedError: ErrorText(
            422, "stage_blocked", "Tasks that have to be done first keep it in its stage."
        ),
        PlanLimitError: ErrorText(422, "plan_limit", "The account's plan holds no more of these."),
        MessagingWindowClosedError: ErrorText(
            422, "messaging_window_closed", "Only a template can be sent to this contact now."
        ),
        UnprocessableError: ErrorText(422, "refused", "The request was understood and refused."),
        AuthenticationError: _NO_ACCESS,
        PermissionDeniedError: _NO_ACCESS,
        ReauthenticationRequiredError: _DISCONNECTED,
        ProviderAuthenticationError: _DISCONNECTED,
        ProviderError: ErrorText(502, "provider_failed", "The connected provider failed."),
        ServerError: _FAILED,
        UnexpectedResponseError: _FAILED,
        APIError: _FAILED,
        ConnectionFailedError: _UNREACHABLE,
        NoAnswerError: _UNREACHABLE,
        OutcomeUnknownError: ErrorText(
            502,
            "outcome_unknown",
            "The change was sent and its answer got lost: it may have been made."
            " Look before you send it again.",
        ),
        RequestTimeoutError: ErrorText(
            504, "upstream_timeout", "The service behind this one did not answer in time."
        ),
    }
)


def error_response(error: SyncroError) -> ErrorResponse:
    """The answer for an error, `{"error": {"code": …, "message": …, …}}`, as the table has it.

    `Retry-After` is in whole seconds, rounded up, 1 at least. Raises `LookupError` for an error
    that is none of a call, such as `ConfigurationError`.
    """
    status, code, message = _error_text(type(error))
    wait = _seconds_to_wait(error)
    headers = {} if wait is None else {"Retry-After": str(wait)}
    return ErrorResponse(
        status, headers, {"error": {"code": code, "message": message, **_details(error)}}
    )


def _error_text(kind: type[SyncroError]) -> ErrorText:
    for parent in kind.__mro__:
        if parent in ERROR_RESPONSES:
            return ERROR_RESPONSES[parent]
    raise LookupError(f"{kind.__name__} is no error of a call")


def _seconds_to_wait(error: SyncroError) -> int | None:
    match error:
        case BudgetWaitError(wait_needed=seconds):
            pass
        case RateLimitedError(retry_after=asked, pause=pause):
            seconds = max(asked or 0.0, pause)
        case ServiceUnavailableError(retry_after=float() | int() as seconds):
            pass
        case _:
            return None
    return max(1, math.ceil(seconds))


def _details(error: SyncroError) -> dict[str, Any]:
    match error:
        case ValidationError(errors=fields):
            return {"fields": fields}
        case StageBlockedError(pending_tasks=tasks):
            return {"pending_tasks": [task._asdict() for task in tasks]}
        case _:
            return {}

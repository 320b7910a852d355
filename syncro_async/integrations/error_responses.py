"""The response of a web service to its clients after a failed call of the API.

`ERROR_TEXTS` is the table; `docs/fastapi.md` shows it, and `ERROR_RESPONSES` gives it to OpenAPI.
The key belongs to the service, so a 401 or 403 of the API is never a 401 or 403 of the service. The
texts are written here; of the API's response only the fields of a validation error and the tasks of
a blocked stage are passed on, and of an argument that the client refuses its name and message.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from syncro_async.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    BudgetWaitError,
    ConflictError,
    ConnectionFailedError,
    InvalidArgumentError,
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
from syncro_async.models import base


class BlockingTask(base.Model, frozen=True):
    """A mandatory task that keeps a lead in its stage."""

    id: int | None = None
    subject: str | None = None
    type: str | None = None


class ErrorDetails(base.Model, frozen=True):
    """The error of a response.

    - `code`: a word for programs
    - `message`: a sentence for people
    - `fields`: the messages of each field that is not valid, with `invalid` and `invalid_argument`
    - `pending_tasks`: the mandatory tasks that are not done, with `stage_blocked`
    """

    code: str
    message: str
    fields: dict[str, list[str]] | None = None
    pending_tasks: list[BlockingTask] | None = None


class ErrorBody(base.Model, frozen=True):
    """The body of every response of the error handlers."""

    error: ErrorDetails


class RequestProblem(base.Model, frozen=True):
    """A part of a request that FastAPI does not accept."""

    loc: list[str | int]
    msg: str
    type: str


class RequestProblems(base.Model, frozen=True):
    """FastAPI's own body of a 422: the request does not fit the parameters of the route."""

    detail: list[RequestProblem]


class ErrorText(NamedTuple):
    """Status, code and text for one class of errors."""

    status: int
    code: str
    message: str


class ErrorResponse(NamedTuple):
    """A complete response: status, headers, and the body before encoding."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]


_BUSY = ErrorText(503, "busy", "Too many requests are waiting; please try again later.")
_NO_ACCESS = ErrorText(
    502,
    "upstream_access",
    "This service has no access to the service behind it; its operator must fix this.",
)
_DISCONNECTED = ErrorText(
    502, "provider_disconnected", "The provider is disconnected; a person must reconnect it first."
)
_FAILED = ErrorText(502, "upstream_failed", "The service behind this one failed.")
_UNREACHABLE = ErrorText(
    502, "upstream_unreachable", "The service behind this one could not be reached."
)

# The nearest class in the method resolution order of an error decides.
ERROR_TEXTS: Mapping[type[SyncroError], ErrorText] = MappingProxyType(
    {
        BudgetWaitError: _BUSY,
        RateLimitedError: _BUSY,
        ServiceUnavailableError: ErrorText(
            503, "upstream_unavailable", "The service behind this one is temporarily not available."
        ),
        NotFoundError: ErrorText(404, "not_found", "The requested object does not exist."),
        ConflictError: ErrorText(
            409, "conflict", "The object exists already, or its state does not allow the change."
        ),
        InvalidArgumentError: ErrorText(
            422, "invalid_argument", "A value of the request is not allowed."
        ),
        BadRequestError: ErrorText(400, "bad_request", "The request is not valid."),
        ValidationError: ErrorText(422, "invalid", "Some fields are missing or not valid."),
        StageBlockedError: ErrorText(
            422,
            "stage_blocked",
            "The lead cannot leave its stage before its mandatory tasks are done.",
        ),
        PlanLimitError: ErrorText(422, "plan_limit", "The limit of the account's plan is reached."),
        MessagingWindowClosedError: ErrorText(
            422,
            "messaging_window_closed",
            "Only a template message can be sent to this contact now.",
        ),
        UnprocessableError: ErrorText(
            422, "refused", "The service behind this one rejected the request."
        ),
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
            "The change was sent and its response was lost: it may have been made."
            " Check before you send it again.",
        ),
        RequestTimeoutError: ErrorText(
            504, "upstream_timeout", "The service behind this one did not answer in time."
        ),
    }
)


def _openapi_response(status: int, texts: Sequence[ErrorText]) -> dict[str, Any]:
    described: dict[str, Any] = {
        # FastAPI answers 422 as well, when the request does not fit the parameters of the route.
        "model": ErrorBody | RequestProblems if status == 422 else ErrorBody,
        "description": _described(texts),
        "content": {"application/json": {"examples": {t.code: _example(t) for t in texts}}},
    }
    if status == 503:
        described["headers"] = {"Retry-After": _RETRY_AFTER}
    return described


def _described(texts: Sequence[ErrorText]) -> str:
    """The messages of a status. Swagger and Redoc show Markdown, so several are a list."""
    if len(texts) == 1:
        return texts[0].message
    return "\n".join(f"- `{text.code}`: {text.message}" for text in texts)


def _example(text: ErrorText) -> dict[str, Any]:
    return {
        "summary": text.code,
        "value": {"error": {"code": text.code, "message": text.message}},
    }


_RETRY_AFTER = {"description": "The seconds to wait, where known.", "schema": {"type": "integer"}}

ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: _openapi_response(
        status, [text for text in dict.fromkeys(ERROR_TEXTS.values()) if text.status == status]
    )
    for status in sorted({text.status for text in ERROR_TEXTS.values()})
}
"""What the error handlers answer, for OpenAPI: `FastAPI(responses=ERROR_RESPONSES)`.

It says also that a 422 may be FastAPI's own, for a request that does not fit the route.
"""


def error_response(error: SyncroError) -> ErrorResponse:
    """The response to an error, with the body `{"error": {"code": …, "message": …, …}}`.

    `error`: an error of a call. `Retry-After` is in whole seconds, rounded up, at least 1. Raises
    `LookupError` for an error that does not come from a call, such as `ConfigurationError`.
    """
    status, code, message = _error_text(type(error))
    wait = _seconds_to_wait(error)
    headers = {} if wait is None else {"Retry-After": str(wait)}
    return ErrorResponse(
        status, headers, {"error": {"code": code, "message": message, **_details(error)}}
    )


def _error_text(kind: type[SyncroError]) -> ErrorText:
    for parent in kind.__mro__:
        if parent in ERROR_TEXTS:
            return ERROR_TEXTS[parent]
    raise LookupError(f"{kind.__name__} does not come from a call, so it has no response")


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
        case InvalidArgumentError(argument=argument, message=message):
            return {"fields": {argument: [message]}}
        case StageBlockedError(pending_tasks=tasks):
            return {"pending_tasks": [task._asdict() for task in tasks]}
        case _:
            return {}

"""The family of errors: its tree, what survives pickling, what `str()` says."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import syncro_async
from syncro_async import errors
from syncro_async.errors import (
    AccountSuspendedError,
    APIError,
    AuthenticationError,
    BadRequestError,
    BadRowsError,
    BudgetWaitError,
    CircuitOpenError,
    ConfigurationError,
    ConflictError,
    ConnectionFailedError,
    ImportStoppedError,
    InvalidArgumentError,
    MessagingWindowClosedError,
    MissingResourceError,
    NoAnswerError,
    NotFoundError,
    OutcomeUnknownError,
    PendingTask,
    PermissionDeniedError,
    PlanLimitError,
    ProviderAuthenticationError,
    ProviderError,
    ProviderRateLimitedError,
    RateLimitedError,
    ReauthenticationRequiredError,
    RequestTimeoutError,
    ServerError,
    ServiceUnavailableError,
    StageBlockedError,
    SyncroError,
    UnexpectedResponseError,
    UnknownArgumentError,
    UnprocessableError,
    ValidationError,
)
from syncro_async.models.raw_result import Headers
from syncro_async.models.receipts import ImportSummary, RowProblem

TREE: dict[type[SyncroError], tuple[type[BaseException], ...]] = {
    SyncroError: (Exception,),
    ConfigurationError: (SyncroError, ValueError),
    MissingResourceError: (ConfigurationError, AttributeError),
    InvalidArgumentError: (SyncroError, ValueError),
    UnknownArgumentError: (InvalidArgumentError, TypeError),
    BadRowsError: (SyncroError, ValueError),
    ImportStoppedError: (SyncroError,),
    BudgetWaitError: (SyncroError,),
    NoAnswerError: (SyncroError,),
    ConnectionFailedError: (NoAnswerError,),
    RequestTimeoutError: (NoAnswerError, TimeoutError),
    OutcomeUnknownError: (NoAnswerError,),
    UnexpectedResponseError: (NoAnswerError,),
    APIError: (SyncroError,),
    BadRequestError: (APIError,),
    AuthenticationError: (APIError,),
    PermissionDeniedError: (APIError,),
    AccountSuspendedError: (PermissionDeniedError,),
    ReauthenticationRequiredError: (PermissionDeniedError,),
    NotFoundError: (APIError,),
    ConflictError: (APIError,),
    UnprocessableError: (APIError,),
    ValidationError: (UnprocessableError,),
    StageBlockedError: (UnprocessableError,),
    PlanLimitError: (UnprocessableError,),
    MessagingWindowClosedError: (UnprocessableError,),
    RateLimitedError: (APIError,),
    ProviderRateLimitedError: (RateLimitedError,),
    ServerError: (APIError,),
    ProviderError: (ServerError,),
    ProviderAuthenticationError: (ProviderError,),
    ServiceUnavailableError: (ServerError,),
    CircuitOpenError: (ServiceUnavailableError,),
}

CALL: dict[str, Any] = {"method": "PUT", "path": "/leads/7/stage", "attempts": 3}


def answer(status: int, code: str | None = None, **more: Any) -> dict[str, Any]:
    body = {"success": False, "message": "No."}
    return {**CALL, "status": status, "code": code, "body": body, "retry_after": 12.5, **more}


# One of each kind, every attribute set to something of its own, and what `str()` makes of it.
SAMPLES: list[tuple[SyncroError, str]] = [
    (SyncroError("No.", **CALL), "PUT /leads/7/stage: No. (3 attempts)"),
    (ConfigurationError("No key."), "No key."),
    (MissingResourceError("No leads."), "No leads."),
    (
        InvalidArgumentError("name must be a str, not 5", argument="name"),
        "name must be a str, not 5",
    ),
    (
        UnknownArgumentError("unknown argument 'tag' for list", argument="tag"),
        "unknown argument 'tag' for list",
    ),
    (
        BadRowsError("2 of 9 rows", problems=(RowProblem(3, "value", "must be a number", "x"),)),
        "2 of 9 rows: value must be a number (line 3: 'x')",
    ),
    (
        ImportStoppedError("Stopped.", summary=ImportSummary(9, 1, 0, 0, 8, 0, 9, 1.5)),
        "Stopped.",
    ),
    (
        BudgetWaitError("The queue is too long.", wait_needed=61.5, method="GET", path="/leads"),
        "GET /leads: The queue is too long.",
    ),
    (NoAnswerError("Nothing.", **CALL), "PUT /leads/7/stage: Nothing. (3 attempts)"),
    (ConnectionFailedError("Refused.", **CALL), "PUT /leads/7/stage: Refused. (3 attempts)"),
    (RequestTimeoutError("Late.", **CALL), "PUT /leads/7/stage: Late. (3 attempts)"),
    (OutcomeUnknownError("Perhaps.", **CALL), "PUT /leads/7/stage: Perhaps. (3 attempts)"),
    (
        UnexpectedResponseError(
            "A web page.", status=302, content_type="text/html", excerpt="<html>", **CALL
        ),
        "PUT /leads/7/stage → 302: A web page. (3 attempts)",
    ),
    (APIError("No.", **answer(418)), "PUT /leads/7/stage → 418: No. (3 attempts)"),
    (
        BadRequestError("No.", **answer(400, "bad_request")),
        "PUT /leads/7/stage → 400 bad_request: No. (3 attempts)",
    ),
    (
        AuthenticationError("No.", **answer(401, reason="expired")),
        "PUT /leads/7/stage → 401: No. (3 attempts)",
    ),
    (
        PermissionDeniedError("No.", **answer(403, required_permission="leads.write")),
        "PUT /leads/7/stage → 403: No. [needs leads.write] (3 attempts)",
    ),
    (
        AccountSuspendedError("No.", **answer(403, required_permission="any")),
        "PUT /leads/7/stage → 403: No. [needs any] (3 attempts)",
    ),
    (
        ReauthenticationRequiredError("No.", **answer(403, "NEEDS_REAUTH")),
        "PUT /leads/7/stage → 403 NEEDS_REAUTH: No. (3 attempts)",
    ),
    (NotFoundError("No.", **answer(404)), "PUT /leads/7/stage → 404: No. (3 attempts)"),
    (ConflictError("No.", **answer(409)), "PUT /leads/7/stage → 409: No. (3 attempts)"),
    (UnprocessableError("No.", **answer(422)), "PUT /leads/7/stage → 422: No. (3 attempts)"),
    (
        ValidationError("No.", **answer(422, errors={"email": ["Too short.", "No @."]})),
        "PUT /leads/7/stage → 422: No. [email] (3 attempts)",
    ),
    (
        StageBlockedError("No.", **answer(422, pending_tasks=(PendingTask(1, "Call", "call"),))),
        "PUT /leads/7/stage → 422: No. [Call] (3 attempts)",
    ),
    (PlanLimitError("No.", **answer(422)), "PUT /leads/7/stage → 422: No. (3 attempts)"),
    (
        MessagingWindowClosedError("No.", **answer(422, skip_reason="window")),
        "PUT /leads/7/stage → 422: No. (3 attempts)",
    ),
    (
        RateLimitedError("No.", **answer(429)),
        "PUT /leads/7/stage → 429: No. [asks to wait 12.5 s] (3 attempts)",
    ),
    (
        ProviderRateLimitedError("No.", **answer(429)),
        "PUT /leads/7/stage → 429: No. [asks to wait 12.5 s] (3 attempts)",
    ),
    (ServerError("No.", **answer(500)), "PUT /leads/7/stage → 500: No. (3 attempts)"),
    (
        ProviderError("No.", **answer(502, raw={"code": 131047})),
        "PUT /leads/7/stage → 502: No. (3 attempts)",
    ),
    (
        ProviderAuthenticationError("No.", **answer(502, "PROVIDER_AUTH_FAILED", raw="denied")),
        "PUT /leads/7/stage → 502 PROVIDER_AUTH_FAILED: No. (3 attempts)",
    ),
    (
        ServiceUnavailableError("No.", **answer(503)),
        "PUT /leads/7/stage → 503: No. [asks to wait 12.5 s] (3 attempts)",
    ),
    (
        CircuitOpenError("No.", **answer(503, "CIRCUIT_OPEN")),
        "PUT /leads/7/stage → 503 CIRCUIT_OPEN: No. [asks to wait 12.5 s] (3 attempts)",
    ),
]


def kind_of(value: object) -> str | None:
    return type(value).__name__ if isinstance(value, SyncroError) else None


def test_the_tree_is_the_one_the_contract_draws() -> None:
    kinds = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, BaseException)
    }
    assert {kind: kind.__bases__ for kind in kinds} == TREE


def test_the_drawing_names_every_kind_once() -> None:
    drawn = [word for word in (errors.__doc__ or "").split() if word.endswith("Error")]
    parents = {"ValueError)", "TimeoutError)"}
    assert sorted(set(drawn) - parents) == sorted(kind.__name__ for kind in TREE)
    assert len(drawn) == len(set(drawn))


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_each_kind_can_be_imported_from_the_package_itself(kind: type[SyncroError]) -> None:
    assert getattr(syncro_async, kind.__name__) is kind
    assert kind.__name__ in syncro_async.__all__


def test_there_is_a_sample_of_each_kind() -> None:
    assert [type(error) for error, _ in SAMPLES] == list(TREE)


@pytest.mark.parametrize(("error", "text"), SAMPLES, ids=kind_of)
def test_its_text_says_the_call_the_status_the_code_the_message_and_the_attempts(
    error: SyncroError, text: str
) -> None:
    assert str(error) == text


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("error", [error for error, _ in SAMPLES], ids=kind_of)
def test_pickling_keeps_kind_text_and_every_attribute(error: SyncroError, protocol: int) -> None:
    error.add_note("seen by a worker")
    error.headers = Headers([("Retry-After", "5")])
    revived = pickle.loads(pickle.dumps(error, protocol))
    assert type(revived) is type(error)
    assert vars(revived) == vars(error)
    assert revived.args == error.args
    assert str(revived) == str(error)


def test_the_message_alone_is_kept_apart_from_the_text() -> None:
    error = NotFoundError("No such lead.", **answer(404))
    assert error.message == "No such lead."
    assert error.args == ("No such lead.",)


def test_a_single_attempt_is_not_worth_a_word() -> None:
    error = NotFoundError("No such lead.", method="GET", path="/leads/7", attempts=1, status=404)
    assert str(error) == "GET /leads/7 → 404: No such lead."


def test_what_happened_outside_a_call_names_none() -> None:
    error = ConfigurationError("No key.")
    assert (error.method, error.path, error.attempts) == (None, None, 0)


def test_what_the_server_did_not_say_is_empty_and_not_missing() -> None:
    plain: dict[str, Any] = {"status": 422}
    assert ValidationError("No.", **plain).errors == {}
    assert StageBlockedError("No.", **plain).pending_tasks == ()
    assert MessagingWindowClosedError("No.", **plain).skip_reason is None
    assert AuthenticationError("No.", **plain).reason is None
    assert PermissionDeniedError("No.", **plain).required_permission is None
    assert ProviderError("No.", **plain).raw is None
    error = APIError("No.", **plain)
    assert (error.code, error.body, error.retry_after) == (None, None, None)


def test_two_errors_never_share_their_empty_dictionary_of_fields() -> None:
    first, second = ValidationError("No.", status=422), ValidationError("No.", status=422)
    first.errors["name"] = ["Missing."]
    assert second.errors == {}

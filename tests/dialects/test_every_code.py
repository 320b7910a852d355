"""Every code of the siblings' references becomes its exception, and is tried again or not."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from syncro_async import Dialect
from syncro_async.dialects import ROUTEMCP, WOLFEO
from syncro_async.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    CircuitOpenError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    ProviderAuthenticationError,
    ProviderError,
    ProviderRateLimitedError,
    RateLimitedError,
    ReauthenticationRequiredError,
    ServerError,
    ServiceUnavailableError,
    UnprocessableError,
    ValidationError,
)
from tests.transport.scripted_app import Answer, App, at_once, client_of

GUIDE = Path(__file__).parent.parent.parent / "docs" / "dialects.md"
NEVER, READS, ALL = "never", "reads", "all"


class Said(NamedTuple):
    """A row of a reference: the code, its status, our exception, and what is tried again."""

    service: Dialect
    code: str | None
    status: int
    kind: type[APIError]
    again: str = NEVER
    details: Any = None
    asks: str | None = None

    @property
    def answer(self) -> Answer:
        headers = () if self.asks is None else (("retry-after", self.asks),)
        if self.code is None:
            return Answer(self.status, {"message": self.message}, headers)
        said = {"code": self.code, "message": self.message}
        if self.service is WOLFEO:
            error = said if self.details is None else said | {"details": self.details}
            return Answer(self.status, {"success": False, "error": error}, headers)
        body = {"success": False, "statusCode": self.status, **said}
        if self.details is not None:
            body["errors"] = self.details
        return Answer(self.status, body, headers)

    @property
    def message(self) -> str:
        return "Too Many Attempts." if self.code is None else f"About {self.code}"

    def __str__(self) -> str:
        return f"{self.service.name}-{self.code}-{self.status}"


LISTS = {"email": ["The email field is required."], "per_page": ["Too many.", "Really."]}
TEXTS = {"email": "Required", "name": "Too long"}

WOLFEO_CODES = [
    Said(WOLFEO, "UNAUTHORIZED", 401, AuthenticationError),
    Said(WOLFEO, "FORBIDDEN", 403, PermissionDeniedError),
    Said(WOLFEO, "NOT_FOUND", 404, NotFoundError),
    Said(WOLFEO, "CONTACT_EXISTS", 409, ConflictError),
    Said(WOLFEO, "TAG_EXISTS", 409, ConflictError),
    Said(WOLFEO, "WEBHOOK_EXISTS", 409, ConflictError),
    Said(WOLFEO, "PATH_TAKEN", 409, ConflictError),
    Said(WOLFEO, "CAMPAIGN_SCHEDULED", 409, ConflictError),
    Said(WOLFEO, "INVALID_STATUS", 400, BadRequestError),
    Said(WOLFEO, "INVALID_PERIOD", 400, BadRequestError),
    Said(WOLFEO, "INVALID_DATE", 400, BadRequestError),
    Said(WOLFEO, "NO_SUBDOMAIN", 400, BadRequestError),
    Said(WOLFEO, "STAGE_NOT_EMAIL", 422, UnprocessableError),
    Said(WOLFEO, "SEQUENCE_HAS_NO_STAGES", 422, UnprocessableError),
    Said(WOLFEO, "VALIDATION_ERROR", 400, ValidationError),
    Said(WOLFEO, "VALIDATION_ERROR", 422, ValidationError, details=LISTS),
    Said(WOLFEO, "SERVER_ERROR", 500, ServerError, READS),
    Said(WOLFEO, None, 429, RateLimitedError, ALL),
]
ROUTEMCP_CODES = [
    Said(ROUTEMCP, "INVALID_API_KEY", 401, AuthenticationError),
    Said(ROUTEMCP, "FORBIDDEN", 403, PermissionDeniedError),
    Said(ROUTEMCP, "CONTACT_NOT_FOUND", 404, NotFoundError),
    Said(ROUTEMCP, "LEAD_NOT_FOUND", 404, NotFoundError),
    Said(ROUTEMCP, "MEETING_NOT_FOUND", 404, NotFoundError),
    Said(ROUTEMCP, "PROVIDER_NOT_FOUND", 404, NotFoundError),
    Said(ROUTEMCP, "CONNECTION_NOT_FOUND", 404, NotFoundError),
    Said(ROUTEMCP, "END_USER_NOT_FOUND", 404, NotFoundError),
    Said(ROUTEMCP, "CONNECTION_ALREADY_EXISTS", 409, ConflictError),
    Said(ROUTEMCP, "INVALID_INPUT", 400, ValidationError, details=TEXTS),
    Said(ROUTEMCP, "MISSING_REQUIRED", 400, BadRequestError),
    Said(ROUTEMCP, "MISSING_PROVIDER", 400, BadRequestError),
    Said(ROUTEMCP, "UNSUPPORTED_RESOURCE", 400, BadRequestError),
    Said(ROUTEMCP, "INVALID_DATE_RANGE", 400, BadRequestError),
    Said(ROUTEMCP, "PROVIDER_ERROR", 502, ProviderError, READS),
    Said(ROUTEMCP, "PROVIDER_RATE_LIMITED", 429, ProviderRateLimitedError, ALL, asks="7"),
    Said(ROUTEMCP, "PROVIDER_UNAVAILABLE", 503, ServiceUnavailableError, READS),
    Said(ROUTEMCP, "CIRCUIT_OPEN", 503, CircuitOpenError, ALL, asks="30"),
    Said(ROUTEMCP, "PROVIDER_AUTH_FAILED", 502, ProviderAuthenticationError),
    Said(ROUTEMCP, "NEEDS_REAUTH", 403, ReauthenticationRequiredError),
    Said(ROUTEMCP, "INTERNAL_ERROR", 500, ServerError, READS),
    Said(ROUTEMCP, "SERVICE_UNAVAILABLE", 503, ServiceUnavailableError, READS),
]
CODES = WOLFEO_CODES + ROUTEMCP_CODES
# What is waited before it is tried again; the others come after a random backoff, here none.
WAITS = {"PROVIDER_RATE_LIMITED": 8.0, "CIRCUIT_OPEN": 30.0, None: 60.0}

every_code = pytest.mark.parametrize("said", CODES, ids=str)


async def raised(said: Said, app: App, method: str = "GET") -> APIError:
    # A wait the server asks for does not fit, so that what can be waited out is raised too.
    options: dict[str, Any] = {"dialect": said.service, "retry": at_once(1), "max_wait": 1.0}
    async with client_of(app, **options) as client:
        with pytest.raises(APIError) as caught:
            await client.request(method, "/things/1")
    return caught.value


@every_code
async def test_it_becomes_its_exception_with_all_that_was_said(said: Said) -> None:
    error = await raised(said, App(said.answer))
    assert type(error) is said.kind
    assert (error.status, error.code, error.message) == (said.status, said.code, said.message)
    assert (error.method, error.path, error.attempts) == ("GET", "/things/1", 1)
    if isinstance(error, ValidationError):
        lists = LISTS if said.details is LISTS else {name: [TEXTS[name]] for name in TEXTS}
        assert error.errors == ({} if said.details is None else lists)


@every_code
async def test_its_text_says_what_to_do(said: Said) -> None:
    error = await raised(said, App(said.answer))
    if said.code is None:
        assert error.advice is None
        assert str(error) == "GET /things/1 → 429: Too Many Attempts. [asks to wait 60 s]"
    else:
        assert error.advice == said.service.advice[said.code]
        text = rf"{said.message}( \[[^\]]+\])? \(advice: {re.escape(error.advice)}\)"
        assert re.search(rf"→ {said.status} {said.code}: {text}$", str(error))
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@every_code
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_it_is_tried_again_or_not_as_the_reference_says(said: Said, method: str) -> None:
    app = App(said.answer, Answer())
    again = said.again == ALL or (said.again == READS and method == "GET")
    async with client_of(app, dialect=said.service, retry=at_once()) as client:
        call = client.request(method, "/things/1")
        if again:
            assert await call == {"success": True}
        else:
            with pytest.raises(said.kind):
                await call
    assert app.times == ([0.0, WAITS.get(said.code, 0.0)] if again else [0.0])


async def test_an_open_circuit_without_a_time_is_final() -> None:
    said = Said(ROUTEMCP, "CIRCUIT_OPEN", 503, CircuitOpenError)
    app = App(said.answer, Answer())
    async with client_of(app, dialect=ROUTEMCP, retry=at_once()) as client:
        with pytest.raises(CircuitOpenError):
            await client.request("GET", "/contacts")
    assert len(app.asked) == 1


@pytest.mark.parametrize("code", ["NEEDS_REAUTH", "PROVIDER_AUTH_FAILED", "CIRCUIT_OPEN"])
async def test_a_code_under_another_status_does_not_hide_the_status(code: str) -> None:
    error = await raised(Said(ROUTEMCP, code, 404, NotFoundError), App(Answer(404, {"code": code})))
    assert type(error) is NotFoundError
    assert error.code == code


async def test_a_code_under_a_200_that_is_none_is_known_too() -> None:
    body = {"success": False, "statusCode": 403, "code": "NEEDS_REAUTH", "message": "No"}
    error = await raised(Said(ROUTEMCP, "NEEDS_REAUTH", 200, APIError), App(Answer(200, body)))
    assert type(error) is ReauthenticationRequiredError
    assert error.status == 200


async def test_the_other_service_s_codes_mean_nothing_special() -> None:
    body = {"success": False, "error": {"code": "PROVIDER_AUTH_FAILED", "message": "No"}}
    error = await raised(
        Said(WOLFEO, "PROVIDER_AUTH_FAILED", 502, ProviderError), App(Answer(502, body))
    )
    assert type(error) is ProviderError
    assert error.advice is None


def test_the_guide_s_table_says_the_same_of_every_code() -> None:
    row = re.compile(r"^\| `(\w+)` \| (\d+) \| `(\w+)` \| (\w+) \| (.+) \|$", re.MULTILINE)
    assert sorted(row.findall(GUIDE.read_text("utf-8"))) == sorted(
        (
            said.code,
            str(said.status),
            said.kind.__name__,
            said.again,
            said.service.advice[said.code],
        )
        for said in CODES
        if said.code is not None
    )

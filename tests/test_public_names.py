"""The names programs may rely on: exactly these, no more and no fewer."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import syncro_async
from syncro_async import errors

CLIENT = {"AsyncClient", "Paginator", "SYNCRO", "Dialect", "UNSET", "__version__"}
BUDGET = {"Budget", "Lane", "lane", "Limiter", "RateLimit", "RetryPolicy", "Clock", "SystemClock"}
MODELS = {
    "Enrollment",
    "Lead",
    "Page",
    "PageMeta",
    "SentMessage",
    "UnreadableItem",
    "UpsertResult",
}
ERRORS = {
    "APIError",
    "AccountSuspendedError",
    "AuthenticationError",
    "BadRequestError",
    "BudgetWaitError",
    "CircuitOpenError",
    "ConfigurationError",
    "ConflictError",
    "ConnectionFailedError",
    "MessagingWindowClosedError",
    "NoAnswerError",
    "NotFoundError",
    "OutcomeUnknownError",
    "PendingTask",
    "PermissionDeniedError",
    "PlanLimitError",
    "ProviderAuthenticationError",
    "ProviderError",
    "ProviderRateLimitedError",
    "RateLimitedError",
    "ReauthenticationRequiredError",
    "RequestTimeoutError",
    "ServerError",
    "ServiceUnavailableError",
    "StageBlockedError",
    "SyncroError",
    "UnexpectedResponseError",
    "UnprocessableError",
    "ValidationError",
}


def test_the_package_offers_exactly_these_names() -> None:
    assert set(syncro_async.__all__) == CLIENT | BUDGET | MODELS | ERRORS
    assert len(syncro_async.__all__) == len(set(syncro_async.__all__))


def test_every_name_it_offers_is_there() -> None:
    for name in syncro_async.__all__:
        assert getattr(syncro_async, name) is not None


def test_the_errors_are_the_same_objects_in_their_own_module() -> None:
    for name in ERRORS:
        assert getattr(errors, name) is getattr(syncro_async, name)


def test_the_version_is_that_of_the_installed_package() -> None:
    assert syncro_async.__version__ == importlib.metadata.version("syncro-async")


def test_importing_the_package_loads_nothing_of_its_extras() -> None:
    look = (
        "import sys, syncro_async; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "httpx" in loaded
    assert not {
        "starlette",
        "uvicorn",
        "typer",
        "pytest",
        "opentelemetry",
        "polars",
        "pandas",
    } & set(loaded)  # httpx itself loads rich

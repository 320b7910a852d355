"""The names programs may rely on: exactly these, no more and no fewer."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from typing import get_type_hints

import syncro_async
from syncro_async import dialects, errors
from syncro_async.integrations import fastapi

CLIENT = {"AsyncClient", "Paginator", "SYNCRO", "Dialect", "UNSET", "__version__"}
BUDGET = {"Budget", "Lane", "lane", "Limiter", "RateLimit", "RetryPolicy", "Clock", "SystemClock"}
BULK = {
    "Bulk",
    "ExportReceipt",
    "Failed",
    "FailureGroup",
    "ImportSummary",
    "OnProgress",
    "Outcomes",
    "Plan",
    "Progress",
    "ProgressBar",
    "RowChange",
    "RowProblem",
    "Succeeded",
    "SyncReceipt",
}
MODELS = {
    "Account",
    "CustomField",
    "Enrollment",
    "Lead",
    "LostReason",
    "NewWebhook",
    "Page",
    "PageMeta",
    "Pipeline",
    "Pipelines",
    "SentMessage",
    "Stage",
    "Task",
    "UnreadableItem",
    "UpsertResult",
    "User",
    "Webhook",
    "Webhooks",
    "WhatsAppInstance",
    "WhatsAppTemplate",
}
ERRORS = {
    "APIError",
    "AccountSuspendedError",
    "AuthenticationError",
    "BadRequestError",
    "BadRowsError",
    "BudgetWaitError",
    "CircuitOpenError",
    "ConfigurationError",
    "ConflictError",
    "ConnectionFailedError",
    "ImportStoppedError",
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
    assert set(syncro_async.__all__) == CLIENT | BUDGET | BULK | MODELS | ERRORS
    assert len(syncro_async.__all__) == len(set(syncro_async.__all__))


def test_every_name_it_offers_is_there() -> None:
    for name in syncro_async.__all__:
        assert getattr(syncro_async, name) is not None


def test_the_bridge_to_fastapi_offers_exactly_these_names() -> None:
    assert set(fastapi.__all__) == {
        "StructResponse",
        "SyncroDep",
        "add_error_handlers",
        "client_named",
        "get_syncro",
        "syncro_lifespan",
    }


def test_the_errors_are_the_same_objects_in_their_own_module() -> None:
    for name in ERRORS:
        assert getattr(errors, name) is getattr(syncro_async, name)


def test_the_services_and_what_describes_one_are_in_a_module_of_their_own() -> None:
    assert set(dialects.__all__) == {
        *("SYNCRO", "WOLFEO", "ROUTEMCP"),
        *("Dialect", "PageNumbers", "Cursor"),
    }
    assert dialects.SYNCRO is syncro_async.SYNCRO
    assert dialects.Dialect is syncro_async.Dialect


def test_the_version_is_that_of_the_installed_package() -> None:
    assert syncro_async.__version__ == importlib.metadata.version("syncro-async")


def test_importing_the_package_loads_nothing_of_its_extras() -> None:
    look = (
        "import sys, syncro_async; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "syncro_async" in loaded
    extras = {"fastapi", "starlette", "uvicorn", "typer", "pytest", "pyarrow", "duckdb"}
    extras |= {"opentelemetry", "polars", "pandas"}
    assert not extras & set(loaded)  # httpx itself loads rich
    # Those who make a client import it, and no call waits for it.
    assert not {"httpx", "aiolimiter", "sqlite3", "csv"} & set(loaded)


def test_what_a_client_is_made_of_can_be_looked_up_while_the_program_runs() -> None:
    hints = get_type_hints(syncro_async.AsyncClient.__init__)
    assert (hints["timeout"], hints["dialect"]) == (float, syncro_async.Dialect)

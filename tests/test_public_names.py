"""The names programs may rely on: exactly these, no more and no fewer."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from typing import get_type_hints

import pytest

import syncro_async
from syncro_async import dialects, errors, fleet
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
    "ColumnUse",
    "SourceReport",
    "Succeeded",
    "SyncReceipt",
    "UndoSummary",
    "UndoneRow",
}
MODELS = {
    "Account",
    "CustomField",
    "Enrollment",
    "Headers",
    "Lead",
    "LeadFields",
    "LeadFilters",
    "LostReason",
    "NewWebhook",
    "Page",
    "PageMeta",
    "RawResult",
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
    "InvalidArgumentError",
    "MessagingWindowClosedError",
    "MissingResourceError",
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
    "UnknownArgumentError",
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
        "ERROR_RESPONSES",
        "StructResponse",
        "SyncroDep",
        "add_error_handlers",
        "client_named",
        "get_syncro",
        "syncro_lifespan",
    }


def test_the_fleets_offer_exactly_these_names() -> None:
    assert set(fleet.__all__) == {
        *("Account", "AccountJob", "Accounts", "JobReceipt", "Kind", "Outcome"),
        *("EnvironmentKeys", "FileKeys", "KeySource"),
        *("run_account_job", "run_fleet"),
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


def test_importing_the_client_loads_neither_extras_nor_what_comes_on_first_use() -> None:
    look = (
        "import sys; before = set(sys.modules); from syncro_async import AsyncClient;"
        " print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "syncro_async" in loaded
    extras = {"fastapi", "starlette", "uvicorn", "typer", "pytest", "pyarrow", "duckdb"}
    extras |= {"opentelemetry", "polars", "pandas"}
    assert not extras & set(loaded)
    # Those who make a client import it, and no call waits for it.
    assert not {"httpx", "aiolimiter", "sqlite3", "csv"} & set(loaded)


def test_names_are_imported_when_they_are_asked_for() -> None:
    look = (
        "import sys, syncro_async as s;"
        "before = {name for name in sys.modules if name.startswith('syncro_async')};"
        "assert s.events.__name__ == 'syncro_async.events';"
        "found = [getattr(s, name) for name in s.__all__];"
        "assert set(s.__all__) <= set(dir(s));"
        "print(*sorted(before))"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["syncro_async", "syncro_async.version"]


def test_there_are_no_others() -> None:
    assert set(syncro_async.__all__) <= set(dir(syncro_async))
    with pytest.raises(AttributeError, match="module 'syncro_async' has no attribute 'Lead5'"):
        syncro_async.Lead5  # noqa: B018 - asking is the point


def test_what_a_client_is_made_of_can_be_looked_up_while_the_program_runs() -> None:
    hints = get_type_hints(syncro_async.AsyncClient.__init__)
    assert (hints["timeout"], hints["dialect"]) == (float, syncro_async.Dialect)

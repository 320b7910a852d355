"""The asyncio client for the Syncro CRM API.

A name is imported on its first use, so that a program loads only what it needs:
pytest, for one, loads its plugin, and with it this module, in every project.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from syncro_async.version import __version__

if TYPE_CHECKING:
    from msgspec import UNSET

    from syncro_async.bulk.api import Bulk
    from syncro_async.bulk.concurrent_map import Failed, Outcomes, Succeeded
    from syncro_async.bulk.estimates import Plan
    from syncro_async.bulk.progress import OnProgress, Progress, ProgressBar
    from syncro_async.client import AsyncClient
    from syncro_async.clock import Clock, SystemClock
    from syncro_async.dialects import SYNCRO, Dialect
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
    from syncro_async.limiting.context import lane
    from syncro_async.limiting.protocol import Budget, Lane, Limiter
    from syncro_async.limiting.rate_limit import RateLimit
    from syncro_async.models.account import Account, User
    from syncro_async.models.custom_field import CustomField
    from syncro_async.models.lead import Enrollment, Lead, SentMessage, UpsertResult
    from syncro_async.models.page import Page, PageMeta, UnreadableItem
    from syncro_async.models.pipeline import LostReason, Pipeline, Pipelines, Stage
    from syncro_async.models.raw_result import Headers, RawResult
    from syncro_async.models.receipts import (
        ColumnUse,
        ExportReceipt,
        FailureGroup,
        ImportSummary,
        RowChange,
        RowProblem,
        SourceReport,
        SyncReceipt,
        UndoneRow,
        UndoSummary,
    )
    from syncro_async.models.task import Task
    from syncro_async.models.webhook import NewWebhook, Webhook, Webhooks
    from syncro_async.models.whatsapp import WhatsAppInstance, WhatsAppTemplate
    from syncro_async.paging.paginator import Paginator
    from syncro_async.resources.arguments import LeadFields, LeadFilters
    from syncro_async.retrying.policy import RetryPolicy

__all__ = [
    "SYNCRO",
    "UNSET",
    "APIError",
    "Account",
    "AccountSuspendedError",
    "AsyncClient",
    "AuthenticationError",
    "BadRequestError",
    "BadRowsError",
    "Budget",
    "BudgetWaitError",
    "Bulk",
    "CircuitOpenError",
    "Clock",
    "ColumnUse",
    "ConfigurationError",
    "ConflictError",
    "ConnectionFailedError",
    "CustomField",
    "Dialect",
    "Enrollment",
    "ExportReceipt",
    "Failed",
    "FailureGroup",
    "Headers",
    "ImportStoppedError",
    "ImportSummary",
    "InvalidArgumentError",
    "Lane",
    "Lead",
    "LeadFields",
    "LeadFilters",
    "Limiter",
    "LostReason",
    "MessagingWindowClosedError",
    "MissingResourceError",
    "NewWebhook",
    "NoAnswerError",
    "NotFoundError",
    "OnProgress",
    "OutcomeUnknownError",
    "Outcomes",
    "Page",
    "PageMeta",
    "Paginator",
    "PendingTask",
    "PermissionDeniedError",
    "Pipeline",
    "Pipelines",
    "Plan",
    "PlanLimitError",
    "Progress",
    "ProgressBar",
    "ProviderAuthenticationError",
    "ProviderError",
    "ProviderRateLimitedError",
    "RateLimit",
    "RateLimitedError",
    "RawResult",
    "ReauthenticationRequiredError",
    "RequestTimeoutError",
    "RetryPolicy",
    "RowChange",
    "RowProblem",
    "SentMessage",
    "ServerError",
    "ServiceUnavailableError",
    "SourceReport",
    "Stage",
    "StageBlockedError",
    "Succeeded",
    "SyncReceipt",
    "SyncroError",
    "SystemClock",
    "Task",
    "UndoSummary",
    "UndoneRow",
    "UnexpectedResponseError",
    "UnknownArgumentError",
    "UnprocessableError",
    "UnreadableItem",
    "UpsertResult",
    "User",
    "ValidationError",
    "Webhook",
    "Webhooks",
    "WhatsAppInstance",
    "WhatsAppTemplate",
    "__version__",
    "lane",
]

_NAMES_IN = {
    "msgspec": "UNSET",
    "syncro_async.bulk.api": "Bulk",
    "syncro_async.bulk.estimates": "Plan",
    "syncro_async.bulk.progress": "OnProgress Progress ProgressBar",
    "syncro_async.bulk.concurrent_map": "Failed Outcomes Succeeded",
    "syncro_async.client": "AsyncClient",
    "syncro_async.clock": "Clock SystemClock",
    "syncro_async.dialects": "Dialect SYNCRO",
    "syncro_async.errors": (
        "AccountSuspendedError APIError AuthenticationError BadRequestError BadRowsError "
        "BudgetWaitError CircuitOpenError ConfigurationError ConflictError "
        "ConnectionFailedError ImportStoppedError InvalidArgumentError "
        "MessagingWindowClosedError MissingResourceError UnknownArgumentError "
        "NoAnswerError NotFoundError OutcomeUnknownError PendingTask "
        "PermissionDeniedError PlanLimitError ProviderAuthenticationError ProviderError "
        "ProviderRateLimitedError RateLimitedError ReauthenticationRequiredError "
        "RequestTimeoutError ServerError ServiceUnavailableError StageBlockedError "
        "SyncroError UnexpectedResponseError UnprocessableError ValidationError "
    ),
    "syncro_async.limiting.context": "lane",
    "syncro_async.limiting.protocol": "Budget Lane Limiter",
    "syncro_async.limiting.rate_limit": "RateLimit",
    "syncro_async.models.account": "Account User",
    "syncro_async.models.custom_field": "CustomField",
    "syncro_async.models.lead": "Enrollment Lead SentMessage UpsertResult",
    "syncro_async.models.page": "Page PageMeta UnreadableItem",
    "syncro_async.models.pipeline": "LostReason Pipeline Pipelines Stage",
    "syncro_async.models.raw_result": "Headers RawResult",
    "syncro_async.models.task": "Task",
    "syncro_async.models.webhook": "NewWebhook Webhook Webhooks",
    "syncro_async.models.whatsapp": "WhatsAppInstance WhatsAppTemplate",
    "syncro_async.paging.paginator": "Paginator",
    "syncro_async.models.receipts": (
        "ColumnUse ExportReceipt FailureGroup ImportSummary RowChange RowProblem SourceReport "
        "SyncReceipt UndoneRow UndoSummary"
    ),
    "syncro_async.resources.arguments": "LeadFields LeadFilters",
    "syncro_async.retrying.policy": "RetryPolicy",
}
_HOME = {name: home for home, names in _NAMES_IN.items() for name in names.split()}
_MODULES = frozenset({"bulk", "dialects", "errors", "events", "fleet"})


def __getattr__(name: str) -> Any:
    """Import what is asked for (PEP 562)."""
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(home), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

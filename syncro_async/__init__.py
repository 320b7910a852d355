"""The asyncio client for the Syncro CRM API."""

from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from syncro_async.bulk.plan import Plan
from syncro_async.bulk.progress import OnProgress, Progress
from syncro_async.bulk.progress_bar import ProgressBar
from syncro_async.bulk.runner import Failed, Outcomes, Succeeded
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
    MessagingWindowClosedError,
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
    UnprocessableError,
    ValidationError,
)
from syncro_async.limiting.lanes import lane
from syncro_async.limiting.limiter import Budget, Lane, Limiter
from syncro_async.limiting.rate_limit import RateLimit
from syncro_async.models.account import Account
from syncro_async.models.custom_field import CustomField
from syncro_async.models.enrollment import Enrollment
from syncro_async.models.lead import Lead
from syncro_async.models.message import SentMessage
from syncro_async.models.page import Page, PageMeta, UnreadableItem
from syncro_async.models.pipeline import LostReason, Pipeline, Pipelines, Stage
from syncro_async.models.task import Task
from syncro_async.models.upsert import UpsertResult
from syncro_async.models.user import User
from syncro_async.models.webhook import NewWebhook, Webhook, Webhooks
from syncro_async.models.whatsapp import WhatsAppInstance, WhatsAppTemplate
from syncro_async.paging.paginator import Paginator
from syncro_async.receipts import (
    ExportReceipt,
    FailureGroup,
    ImportSummary,
    RowChange,
    RowProblem,
    SyncReceipt,
)
from syncro_async.retrying.policy import RetryPolicy
from syncro_async.version import __version__

if TYPE_CHECKING:
    from syncro_async.bulk.bulk import Bulk

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
    "ConfigurationError",
    "ConflictError",
    "ConnectionFailedError",
    "CustomField",
    "Dialect",
    "Enrollment",
    "ExportReceipt",
    "Failed",
    "FailureGroup",
    "ImportStoppedError",
    "ImportSummary",
    "Lane",
    "Lead",
    "Limiter",
    "LostReason",
    "MessagingWindowClosedError",
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
    "ReauthenticationRequiredError",
    "RequestTimeoutError",
    "RetryPolicy",
    "RowChange",
    "RowProblem",
    "SentMessage",
    "ServerError",
    "ServiceUnavailableError",
    "Stage",
    "StageBlockedError",
    "Succeeded",
    "SyncReceipt",
    "SyncroError",
    "SystemClock",
    "Task",
    "UnexpectedResponseError",
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


def __getattr__(name: str) -> Any:
    """Get what takes long to import and most programs never name."""
    if name == "Bulk":
        from syncro_async.bulk.bulk import Bulk  # noqa: PLC0415

        return Bulk
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

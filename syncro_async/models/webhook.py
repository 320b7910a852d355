"""The webhook: an address that the server calls when something happens."""

from __future__ import annotations

from typing import Any

from syncro_async._internal.html import rows_table
from syncro_async.models import base
from syncro_async.models.types import Moment, WebhookEvent, WebhookSource


class Webhook(base.Model, frozen=True, kw_only=True):
    """A subscription (API reference, 'Webhook subscriptions').

    `target_url` is called for each of `events`. `failure_count` and the three after it tell how
    the deliveries went; moments are aware. The secret is in the answer to its creation only.
    """

    id: int
    target_url: str | None = None
    events: list[WebhookEvent] | None = None
    source: WebhookSource | None = None
    is_active: bool | None = None
    failure_count: int | None = None
    last_success_at: Moment | None = None
    last_failure_at: Moment | None = None
    last_failure_reason: str | None = None
    created_at: Moment | None = None


class Webhooks(base.Model, frozen=True):
    """The account's subscriptions, and the events one can subscribe to."""

    webhooks: list[Webhook]
    supported_events: list[WebhookEvent]


class NewWebhook(base.Model, frozen=True, kw_only=True):
    """A subscription just created, with the `secret` that its deliveries are signed with.

    The secret is the one given or one that the server made, and no later answer has it; it is in no
    `repr`. (API reference, 'Webhook subscriptions'.)
    """

    id: int
    secret: str | None = None
    events: list[WebhookEvent] | None = None

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"NewWebhook({shown})"

    def _repr_html_(self) -> str:
        return rows_table([dict(self.__rich_repr__())], "NewWebhook")

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("id", self.id), ("secret", self.secret and "***"), ("events", self.events)]

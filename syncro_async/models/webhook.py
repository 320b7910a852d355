"""The webhook: an address that the server calls when something happens."""

from __future__ import annotations

from typing import Any

from syncro_async._internal.html import rows_table
from syncro_async.models import base
from syncro_async.models.types import Moment, WebhookEvent, WebhookSource


class Webhook(base.Model, frozen=True, kw_only=True):
    """A subscription (API reference, 'Webhook subscriptions').

    - `id`: its id; `target_url`: the URL that the server calls for each of the `events`.
    - `source`: `api` or `n8n`; `is_active`: whether deliveries are sent.
    - `failure_count`, `last_success_at`, `last_failure_at`, `last_failure_reason`: how the
      deliveries went; times are aware.
    - `created_at`: aware.

    The secret is in the answer to `webhooks.create` only.
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
    """The account's subscriptions.

    - `webhooks`: all of them.
    - `supported_events`: the events that one can subscribe to.
    """

    webhooks: list[Webhook]
    supported_events: list[WebhookEvent]


class NewWebhook(base.Model, frozen=True, kw_only=True):
    """A subscription that was just created (API reference, 'Webhook subscriptions').

    - `id`: its id; `events`: what it is about.
    - `secret`: what its deliveries are signed with: the secret that was given, or one that the
      server made. No later answer has it, and no `repr` shows it.
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

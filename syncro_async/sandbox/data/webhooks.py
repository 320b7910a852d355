"""The stored webhook subscriptions."""

from __future__ import annotations

from itertools import count
from typing import Any

from syncro_async.sandbox.responses import id_from_path, not_found

WEBHOOK_ID = 1
FAILING_WEBHOOK_ID = 2

WebhookRecord = dict[str, Any]


class WebhookTable:
    """The subscriptions by id: an active one, and one that is disabled after failures."""

    def __init__(self) -> None:
        self.all: dict[int, WebhookRecord] = {}
        self._ids = count(1)
        at = "2026-06-01T09:00:00Z"
        self.add("https://example.com/syncro", ["lead.created", "lead.won"], "api", at)
        self.all[WEBHOOK_ID]["last_success_at"] = "2026-06-29T18:30:00Z"
        self.add("https://n8n.example.com/webhook/1", ["lead.updated"], "n8n", at)
        self.all[FAILING_WEBHOOK_ID].update(
            is_active=False,
            failure_count=10,
            last_failure_at="2026-06-15T04:10:00Z",
            last_failure_reason="HTTP 500",
        )

    def add(self, target_url: str, events: list[str], source: str, at: str) -> WebhookRecord:
        """Store a new subscription."""
        webhook_id = next(self._ids)
        webhook = self.all[webhook_id] = {
            "id": webhook_id,
            "target_url": target_url,
            "events": events,
            "source": source,
            "is_active": True,
            "failure_count": 0,
            "last_success_at": None,
            "last_failure_at": None,
            "last_failure_reason": None,
            "created_at": at,
        }
        return webhook

    def find(self, webhook_id: str) -> WebhookRecord:
        """The subscription with the id from a path. Raises `RequestRejected` (404)."""
        webhook = self.all.get(id_from_path(webhook_id))
        if webhook is None:
            raise not_found("Webhook")
        return webhook

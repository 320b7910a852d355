"""The calls about webhook subscriptions (API reference); nothing is ever delivered to them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from syncro_async.sandbox.responses import Response, json_response

if TYPE_CHECKING:
    from syncro_async.sandbox.data.webhooks import WebhookRecord
    from syncro_async.sandbox.request import ApiRequest
    from syncro_async.sandbox.validation import Form

# Those that the reference names.
SUPPORTED_EVENTS = (
    *("lead.created", "lead.updated", "lead.stage_changed", "lead.won", "task.completed"),
)


def list_webhooks(asked: ApiRequest) -> Response:
    """`GET /webhooks`."""
    data = [_written(asked, webhook) for webhook in asked.store.webhooks.all.values()]
    return json_response({"success": True, "data": data, "supported_events": SUPPORTED_EVENTS})


def create_webhook(asked: ApiRequest) -> Response:
    """`POST /webhooks`: the only answer that shows the secret, sent or made."""
    form = asked.form()
    form.require("target_url")
    form.require("events")
    target_url, events = form.url("target_url"), _events(form)
    source = form.choice("source", ("api", "n8n")) or "api"
    secret = form.text("secret")
    webhook = asked.store.webhooks.add(form.validated(target_url), events or [], source, asked.at)
    made = hashlib.sha256(f"{webhook['id']} {asked.at}".encode()).hexdigest()
    answer = {"id": webhook["id"], "secret": secret or made, "events": webhook["events"]}
    return json_response({"success": True, **answer, **asked.wire.undocumented_fields()}, 201)


def get_webhook(asked: ApiRequest) -> Response:
    """`GET /webhooks/{id}`."""
    webhook = asked.store.webhooks.find(asked.parts[0])
    return json_response({"success": True, **_written(asked, webhook)})


def update_webhook(asked: ApiRequest) -> Response:
    """`PUT /webhooks/{id}`: what is not sent stays."""
    webhook = asked.store.webhooks.find(asked.parts[0])
    form = asked.form()
    sent = {
        "target_url": form.url("target_url"),
        "events": _events(form) or None,
        "is_active": form.flag("is_active"),
    }
    form.validate()
    webhook.update({name: value for name, value in sent.items() if value is not None})
    return json_response({"success": True})


def delete_webhook(asked: ApiRequest) -> Response:
    """`DELETE /webhooks/{id}`."""
    webhook = asked.store.webhooks.find(asked.parts[0])
    del asked.store.webhooks.all[webhook["id"]]
    return json_response({"success": True})


def _events(form: Form) -> list[str] | None:
    events = form.texts("events")
    for index, event in enumerate(events or ()):
        if event not in SUPPORTED_EVENTS:
            form.unknown(f"events.{index}")
    return events


def _written(asked: ApiRequest, webhook: WebhookRecord) -> dict[str, Any]:
    moments = ("last_success_at", "last_failure_at", "created_at")
    written = {name: asked.wire.moment(webhook[name]) for name in moments}
    return {**webhook, **written, **asked.wire.undocumented_fields()}

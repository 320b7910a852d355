"""The endpoints for webhook subscriptions; the sandbox delivers no events."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from syncro_async.sandbox.responses import Response, json_response

if TYPE_CHECKING:
    from syncro_async.sandbox.data.webhooks import WebhookRecord
    from syncro_async.sandbox.request import ApiRequest

# The events of the API reference.
SUPPORTED_EVENTS = (
    *("lead.created", "lead.updated", "lead.stage_changed", "lead.won", "task.completed"),
)


def list_webhooks(request: ApiRequest) -> Response:
    """`GET /webhooks`."""
    data = [_to_json(request, webhook) for webhook in request.store.webhooks.all.values()]
    return json_response({"success": True, "data": data, "supported_events": SUPPORTED_EVENTS})


def create_webhook(request: ApiRequest) -> Response:
    """`POST /webhooks`: the only response with the secret, sent or generated."""
    form = request.form()
    form.require("target_url")
    form.require("events")
    target_url = form.url("target_url")
    events = form.texts("events", among=SUPPORTED_EVENTS)
    source = form.choice("source", ("api", "n8n")) or "api"
    secret = form.text("secret")
    webhook = request.store.webhooks.add(
        form.validated(target_url), events or [], source, request.at
    )
    made = hashlib.sha256(f"{webhook['id']} {request.at}".encode()).hexdigest()
    answer = {"id": webhook["id"], "secret": secret or made, "events": webhook["events"]}
    return json_response({"success": True, **answer, **request.wire.undocumented_fields()}, 201)


def get_webhook(request: ApiRequest) -> Response:
    """`GET /webhooks/{id}`."""
    webhook = request.store.webhooks.find(request.parts[0])
    return json_response({"success": True, **_to_json(request, webhook)})


def update_webhook(request: ApiRequest) -> Response:
    """`PUT /webhooks/{id}`: absent fields keep their values."""
    webhook = request.store.webhooks.find(request.parts[0])
    form = request.form()
    sent = {
        "target_url": form.url("target_url"),
        "events": form.texts("events", among=SUPPORTED_EVENTS) or None,
        "is_active": form.flag("is_active"),
    }
    form.validate()
    webhook.update({name: value for name, value in sent.items() if value is not None})
    return json_response({"success": True})


def delete_webhook(request: ApiRequest) -> Response:
    """`DELETE /webhooks/{id}`."""
    webhook = request.store.webhooks.find(request.parts[0])
    del request.store.webhooks.all[webhook["id"]]
    return json_response({"success": True})


def _to_json(request: ApiRequest, webhook: WebhookRecord) -> dict[str, Any]:
    moments = ("last_success_at", "last_failure_at", "created_at")
    written = {name: request.wire.moment(webhook[name]) for name in moments}
    return {**webhook, **written, **request.wire.undocumented_fields()}

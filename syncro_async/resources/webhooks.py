"""What the API can do with webhooks: the calls of its reference, "Webhook subscriptions"."""

from __future__ import annotations

from collections.abc import Iterable

from syncro_async.errors import InvalidArgumentError
from syncro_async.models import webhook
from syncro_async.models.types import WebhookEvent, WebhookSource
from syncro_async.paging.page_decoding import envelope, item_decoder, items_under
from syncro_async.resources.arguments import filled, optional, required
from syncro_async.resources.listing import readable
from syncro_async.resources.resource import Resource, raw
from syncro_async.transport.json_codec import decode_none, decoder_for, encode_body
from syncro_async.transport.messages import Call
from syncro_async.transport.urls import path_segment

_PATH = "/webhooks"


_read_item = item_decoder(webhook.Webhook)
_read_event = item_decoder(str)
_read_webhook = decoder_for(webhook.Webhook)
_read_new_webhook = decoder_for(webhook.NewWebhook)


class Webhooks(Resource):
    """The calls about webhook subscriptions, `client.webhooks`.

        made = await syncro.webhooks.create(target_url="https://example.com/in", events="lead.won")
        print(made.secret)

    Arguments that are None are not sent. Every call raises `InvalidArgumentError`, naming the
    argument and sending nothing, for an argument that the reference rules out, and the other errors
    of `syncro_async.errors`: `NotFoundError` where there is no such subscription, `ValidationError`
    where the server refuses a field.
    """

    @property
    def with_raw_response(self) -> RawWebhooks:
        """The same calls; each returns a `RawResult` with the status, headers and body."""
        return RawWebhooks(self)

    async def list(self) -> webhook.Webhooks:
        """Fetch every subscription, and the events that one can subscribe to.

        A subscription that cannot be read is left out, logged at WARNING, and reported to the
        observers as `ItemUnreadable`.
        """
        return await self._send(Call("GET", _PATH, self._read, idempotent=True))

    async def create(
        self,
        *,
        target_url: str,
        events: WebhookEvent | Iterable[WebhookEvent],
        source: WebhookSource | None = None,
        secret: str | None = None,
    ) -> webhook.NewWebhook:
        """Subscribe a URL to events. The call is never sent twice by itself.

        - `target_url`: an http(s) URL, which the server calls.
        - `events`: at least one event by name, such as `lead.won`; a text is one event.
        - `source`: `api` (the server's default) or `n8n`.
        - `secret`: the secret that deliveries are signed with (None: the server makes one). The
          result has it, and no later answer does.
        """
        fields = required(target_url=target_url, events=events) | optional(secret=secret)
        if source is not None:
            fields["source"] = filled("source", source)
        body = encode_body(fields)
        return await self._send(Call("POST", _PATH, _read_new_webhook, idempotent=False, body=body))

    async def get(self, id: int) -> webhook.Webhook:
        """Fetch one subscription.

        - `id`: the subscription's id.
        """
        return await self._send(Call("GET", _path(id), _read_webhook, idempotent=True))

    async def update(
        self,
        id: int,
        *,
        target_url: str | None = None,
        events: WebhookEvent | Iterable[WebhookEvent] | None = None,
        is_active: bool | None = None,
    ) -> None:
        """Change a subscription; at least one change must be given.

        - `id`: the subscription's id.
        - `target_url`: the new http(s) URL.
        - `events`: the new events, in place of all earlier ones; a text is one event.
        - `is_active`: whether deliveries are sent.
        """
        path = _path(id)
        changes = optional(target_url=target_url, events=events, is_active=is_active)
        if not changes:
            raise InvalidArgumentError(
                "target_url, events or is_active is required", argument="target_url"
            )
        await self._send(Call("PUT", path, decode_none, idempotent=True, body=encode_body(changes)))

    async def delete(self, id: int) -> None:
        """End a subscription.

        - `id`: the subscription's id. When an earlier attempt was lost, one that is gone counts as
          ended.
        """
        await self._send(
            Call("DELETE", _path(id), decode_none, idempotent=True, not_found_is_success=True)
        )

    def _read(self, raw: bytes) -> webhook.Webhooks:
        fields = envelope(raw)
        found = readable(_PATH, self._emit, items_under(fields, "data"), _read_item)
        events = items_under(fields, "supported_events", optional=True)
        return webhook.Webhooks(found, readable(_PATH, self._emit, events, _read_event))


class RawWebhooks:
    """The calls of `client.webhooks`; each returns a `RawResult`."""

    def __init__(self, webhooks: Webhooks) -> None:
        self.list = raw(webhooks.list)
        self.create = raw(webhooks.create)
        self.get = raw(webhooks.get)
        self.update = raw(webhooks.update)
        self.delete = raw(webhooks.delete)


def _path(id: int) -> str:
    return f"{_PATH}/{path_segment('id', id)}"

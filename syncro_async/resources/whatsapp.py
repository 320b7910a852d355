"""What the API tells about WhatsApp: the calls of its reference, "WhatsApp"."""

from __future__ import annotations

from typing import Any

import msgspec

from syncro_async.models.types import TemplateStatus
from syncro_async.models.whatsapp import WhatsAppInstance, WhatsAppTemplate
from syncro_async.paging.page_decoding import item_decoder
from syncro_async.resources.arguments import filled, optional
from syncro_async.resources.listing import whole_list
from syncro_async.resources.resource import Resource, raw
from syncro_async.transport.messages import Call
from syncro_async.transport.urls import query_string

_INSTANCES = "/whatsapp/instances"
_TEMPLATES = "/whatsapp/templates"


class _Certain(msgspec.Struct, frozen=True):
    id: int
    name: str | None = None


_read_certain = item_decoder(_Certain)
_read_fields = item_decoder(dict[str, Any])


class WhatsApp(Resource):
    """The calls about WhatsApp, `client.whatsapp`; messages are sent by `client.leads`.

        for number in await syncro.whatsapp.instances():
            print(number.display_name, number.status)

    What cannot be read is left out of a list, logged at WARNING, and reported to the observers as
    `ItemUnreadable`. Both calls raise the errors of `syncro_async.errors`.
    """

    @property
    def with_raw_response(self) -> RawWhatsApp:
        """The same calls; each returns a `RawResult` with the status, headers and body."""
        return RawWhatsApp(self)

    async def instances(self) -> list[WhatsAppInstance]:
        """Fetch the account's connected numbers."""
        read = whole_list(_INSTANCES, self._emit, WhatsAppInstance)
        return await self._send(Call("GET", _INSTANCES, read, idempotent=True))

    async def templates(
        self,
        *,
        instance_id: int | None = None,
        status: TemplateStatus | None = None,
        language: str | None = None,
    ) -> list[WhatsAppTemplate]:
        """Fetch the message templates, or those that pass every filter.

        Raises `InvalidArgumentError`, naming the argument and sending nothing, for an argument that
        the reference rules out.

        - `instance_id`: templates of this number.
        - `status`: `APPROVED` (those that can be sent), `PENDING`, `REJECTED`, `PAUSED` or
          `DISABLED`.
        - `language`: such as `pt_BR`.
        """
        if status is not None:
            filled("status", status)
        filters = optional(instance_id=instance_id, status=status, language=language)
        read = whole_list(_TEMPLATES, self._emit, WhatsAppTemplate, _template)
        return await self._send(
            Call("GET", _TEMPLATES, read, idempotent=True, query=query_string(filters))
        )


class RawWhatsApp:
    """The calls of `client.whatsapp`; each returns a `RawResult`."""

    def __init__(self, whatsapp: WhatsApp) -> None:
        self.instances = raw(whatsapp.instances)
        self.templates = raw(whatsapp.templates)


def _template(raw: Any) -> WhatsAppTemplate:
    certain = _read_certain(raw)
    more = {name: value for name, value in _read_fields(raw).items() if name not in {"id", "name"}}
    return WhatsAppTemplate(id=certain.id, name=certain.name, more=more)

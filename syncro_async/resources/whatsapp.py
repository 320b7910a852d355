"""What may be asked about WhatsApp: the two calls of the API reference, 'WhatsApp'."""

from __future__ import annotations

from typing import Any

import msgspec

from syncro_async.models.whatsapp import WhatsAppInstance, WhatsAppTemplate
from syncro_async.models.words import TemplateStatus
from syncro_async.paging.one_by_one import item_reader
from syncro_async.resources.arguments import filled, optional
from syncro_async.resources.listing import Tell, whole_list
from syncro_async.transport.addressing import query_string
from syncro_async.transport.exchange import Call, Perform

_INSTANCES = "/whatsapp/instances"
_TEMPLATES = "/whatsapp/templates"


class _Certain(msgspec.Struct, frozen=True):
    id: int
    name: str | None = None


_read_certain = item_reader(_Certain)
_read_fields = item_reader(dict[str, Any])


class WhatsApp:
    """The calls about WhatsApp, `client.whatsapp`; messages are sent by `client.leads`.

    What cannot be read is left out of a list, logged at WARNING, and told to the observers as
    `ItemUnreadable`. Both calls raise the errors of `syncro_async.errors`.
    """

    def __init__(self, perform: Perform, tell: Tell) -> None:
        self._perform = perform
        self._tell = tell

    async def instances(self) -> list[WhatsAppInstance]:
        """Fetch the account's connected numbers."""
        read = whole_list(_INSTANCES, self._tell, WhatsAppInstance)
        return await self._perform(Call("GET", _INSTANCES, read, repeatable=True))

    async def templates(
        self,
        *,
        instance_id: int | None = None,
        status: TemplateStatus | None = None,
        language: str | None = None,
    ) -> list[WhatsAppTemplate]:
        """Fetch the message templates, or those that pass every filter given.

        `instance_id` is the number they belong to; `status` is APPROVED (those that can be sent),
        PENDING, REJECTED, PAUSED or DISABLED; `language` such as `pt_BR`. Raises `ValueError`,
        naming the argument and sending nothing, for an argument the reference rules out.
        """
        if status is not None:
            filled("status", status)
        filters = optional(instance_id=instance_id, status=status, language=language)
        read = whole_list(_TEMPLATES, self._tell, WhatsAppTemplate, _template)
        return await self._perform(
            Call("GET", _TEMPLATES, read, repeatable=True, query=query_string(filters))
        )


def _template(raw: Any) -> WhatsAppTemplate:
    certain = _read_certain(raw)
    more = {name: value for name, value in _read_fields(raw).items() if name not in {"id", "name"}}
    return WhatsAppTemplate(id=certain.id, name=certain.name, more=more)

"""What may be asked about custom fields: the call of the API reference, 'Custom fields'."""

from __future__ import annotations

import builtins

from syncro_async.models.custom_field import CustomField
from syncro_async.resources.arguments import flag
from syncro_async.resources.listing import Emit, whole_list
from syncro_async.transport.messages import Call, SendCall
from syncro_async.transport.urls import query_string

_PATH = "/custom-fields"


class CustomFields:
    """The call about custom fields, `client.custom_fields`."""

    def __init__(self, send: SendCall, emit: Emit) -> None:
        self._send = send
        self._emit = emit

    async def list(self, *, active_only: bool = False) -> builtins.list[CustomField]:
        """Fetch the definitions of the account's custom fields; `active_only`: those in use.

        One that cannot be read is left out, logged at WARNING, and reported to the observers as
        `ItemUnreadable`. Raises `InvalidArgumentError` for what is no bool, and the other errors
        of `syncro_async.errors`.
        """
        query = query_string({"active_only": flag("active_only", active_only) or None})
        read = whole_list(_PATH, self._emit, CustomField)
        return await self._send(Call("GET", _PATH, read, idempotent=True, query=query))

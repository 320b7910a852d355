"""What the API tells about custom fields: the call of its reference, "Custom fields"."""

from __future__ import annotations

import builtins

from syncro_async.models.custom_field import CustomField
from syncro_async.models.page import Rows
from syncro_async.resources.arguments import flag
from syncro_async.resources.listing import whole_list
from syncro_async.resources.resource import Resource, raw
from syncro_async.transport.messages import Call
from syncro_async.transport.urls import query_string

_PATH = "/custom-fields"


class CustomFields(Resource):
    """The call about the definitions of custom fields, `client.custom_fields`.

        for field in await syncro.custom_fields.list():
            print(field.name, field.field_type)

    It raises the errors of `syncro_async.errors`.
    """

    @property
    def with_raw_response(self) -> RawCustomFields:
        """The same calls; each returns a `RawResult` with the status, headers and body."""
        return RawCustomFields(self)

    async def list(
        self, *, active_only: bool = False, refresh: bool = False
    ) -> builtins.list[CustomField]:
        """The definitions of the account's custom fields, at most 60 s old.

        A definition that cannot be read is left out, logged at WARNING, and reported to the
        observers as `ItemUnreadable`. Raises `InvalidArgumentError` for what is no bool, and the
        other errors of `syncro_async.errors`.

        - `active_only`: leave out the fields that are not in use (default False).
        - `refresh`: send a request in any case (default False).
        """
        query = query_string({"active_only": flag("active_only", active_only) or None})
        read = whole_list(_PATH, self._emit, CustomField)
        call = Call("GET", _PATH, read, idempotent=True, query=query)
        kind = f"{_PATH}?{query}"
        return await self._names.look_up(kind, lambda: self._send(call), Rows, refresh=refresh)


class RawCustomFields:
    """The calls of `client.custom_fields`; each returns a `RawResult`."""

    def __init__(self, custom_fields: CustomFields) -> None:
        self.list = raw(custom_fields.list)

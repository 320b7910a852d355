"""The calls of an import that write leads.

They differ from `client.leads` in two ways. Of an answer they read only the id of the lead, so
that a field that cannot be read does not hide that the row was carried out. And an upsert that may
create a lead is not repeated by itself: a server that changes the spelling of its key would make
two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from syncro_async.bulk.job import JobContext
from syncro_async.errors import ValidationError
from syncro_async.models.envelope import Envelope
from syncro_async.resources.arguments import MatchBy
from syncro_async.transport.json_codec import decoder_for, encode_body
from syncro_async.transport.messages import Call


class _Id(msgspec.Struct):
    id: int


class _Written(Envelope, frozen=True, kw_only=True):
    lead: _Id
    created: bool = False


_read_written = decoder_for(_Written)


class LeadCalls:
    """Creates and updates leads. The methods raise what `client.leads` raises."""

    def __init__(self, context: JobContext) -> None:
        self._send = context.send
        self._leads = context.leads
        # The reference does not say whether an update may leave out the lead's name and stage.
        self._repeats_present = False

    async def create(self, fields: Mapping[str, Any]) -> int:
        """Create a lead and return its id."""
        return (await self._post("/leads", fields, idempotent=False)).lead.id

    async def upsert(
        self, fields: Mapping[str, Any], match_by: MatchBy, *, idempotent: bool = False
    ) -> tuple[bool, int]:
        """Update the lead that has the key, or create one; return whether it is new, and its id.

        `idempotent`: the key is that of an existing lead as the server spells it, so that a lost
        attempt can be repeated.
        """
        body = {**fields, "match_by": match_by}
        written = await self._post("/leads/upsert", body, idempotent=idempotent)
        return written.created, written.lead.id

    async def update(
        self, lead_id: int, fields: Mapping[str, Any], key: MatchBy, present: Mapping[str, Any]
    ) -> tuple[bool, int]:
        """Update a lead that is there; return whether another one was created, and the id.

        `fields` contain the key of the lead as the server spells it. `present`: what a lead is
        created with, as this one has it; it is sent only to a server that wants it. A lead that is
        deleted at the same time can be created again by such a server.
        """
        present = {name: value for name, value in present.items() if value is not None}
        if not self._repeats_present:
            try:
                return await self.upsert(fields, key, idempotent=True)
            except ValidationError as error:
                left_out = present.keys() - fields.keys()
                if not error.errors or not error.errors.keys() <= left_out:
                    raise
            # The server wants them also for a lead that is gone, and would create another one.
            await self._leads.get(lead_id)
            self._repeats_present = True
        return await self.upsert({**present, **fields}, key, idempotent=True)

    async def _post(self, path: str, body: Mapping[str, Any], *, idempotent: bool) -> _Written:
        call = Call("POST", path, _read_written, idempotent=idempotent, body=encode_body(body))
        return await self._send(call)

"""The calls of an import that write leads.

They differ from `client.leads` in two ways. Of an answer they read only the id of the lead, so
that a field that cannot be read does not hide that the row was carried out. And an upsert that may
create a lead is not repeated by itself: a server that changes the spelling of its key would make
two.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext, suppress
from typing import Any, NamedTuple

import msgspec

from syncro_async.bulk.importing.plan import Key
from syncro_async.bulk.importing.present import (
    LeadChangedError,
    lacks_pipeline,
    newly_wanted,
    present_of,
    spelled_now,
)
from syncro_async.bulk.importing.reading import lead_of
from syncro_async.bulk.job import JobContext
from syncro_async.errors import PermissionDeniedError, ValidationError
from syncro_async.limiting.context import TooLateError, sent_until
from syncro_async.models.envelope import Envelope
from syncro_async.models.lead import Lead
from syncro_async.resources.arguments import MatchBy
from syncro_async.transport.json_codec import decoder_for, encode_body
from syncro_async.transport.messages import Call


class _Id(msgspec.Struct):
    id: int


# An update that repeats what a lead has is sent so long after its reading was asked for (s), or the
# lead is read again.
_FRESH = 3.0


_ASK_AGAIN = "import the row again later; ask the vendor if the server shows another lead then too"


class _Written(Envelope, frozen=True, kw_only=True):
    lead: _Id
    created: bool = False


class _Shown(Envelope, frozen=True, kw_only=True):
    lead: msgspec.Raw


class _Pipeline(msgspec.Struct):
    id: int
    stages: list[_Id] = []


class _Pipelines(msgspec.Struct):
    pipelines: list[_Pipeline]


_read_written = decoder_for(_Written)
_read_shown = decoder_for(_Shown)


class Update(NamedTuple):
    """An update of a lead that is there.

    - `lead_id`: the lead
    - `fields`: what is sent, with the key of the lead as the server spells it
    - `key`: by which of them the server finds the lead
    - `place`: a stage and its pipeline, which save a request; they are never sent for another stage
    - `is_own`: the import has made the lead, and the key is the one that it has now, whatever the
      server made of the one that was sent
    - `check`: is given the lead where it is read before the update, and raises `LeadChangedError`
      when it must not be changed any more
    """

    lead_id: int
    fields: Mapping[str, Any]
    key: Key
    place: Mapping[str, Any]
    is_own: bool = False
    check: Callable[[Lead], None] = lambda _: None


class LeadCalls:
    """Creates and updates leads. The methods raise what `client.leads` raises."""

    def __init__(self, context: JobContext) -> None:
        self._send = context.send
        self._clock = context.clock
        self._request = context.request
        # The reference does not say whether an update may leave out the lead's name and stage.
        self._wanted: frozenset[str] = frozenset()
        self._pipelines: Mapping[int, int] | None = None
        self._reading = asyncio.Lock()

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

    async def update(self, change: Update) -> tuple[bool, int]:
        """Update a lead that is there; return whether another one was created, and the id.

        What a lead is created with is repeated, as the lead has it at this moment, only to a server
        that wants it. A lead that is deleted at the same time can be created again by such a
        server. Raises `LeadChangedError` for a lead that cannot be updated safely any more.
        """
        while True:
            # Other rows may find out meanwhile what the server wants.
            wanted = self._wanted - change.fields.keys()
            try:
                return await self._update(change, wanted)
            except ValidationError as error:
                missing = newly_wanted(error, change.fields, wanted)
                if not missing:
                    raise
                self._wanted |= missing

    async def _update(self, change: Update, wanted: Collection[str]) -> tuple[bool, int]:
        if not wanted and not change.is_own:
            return await self.upsert(change.fields, change.key, idempotent=True)
        # One lead at a time: the update must not wait behind the readings of other leads.
        async with self._reading if wanted else nullcontext():
            # The budget may keep the update waiting, and the process may be stopped. Where that
            # comes twice the budget is short, and further readings would use it up.
            with suppress(TooLateError):
                return await self._update_as_read(change, wanted, latest=_FRESH)
            return await self._update_as_read(change, wanted)

    async def _update_as_read(
        self, change: Update, wanted: Collection[str], latest: float = math.inf
    ) -> tuple[bool, int]:
        """Read the lead, and update it at most `latest` seconds later, or raise `TooLateError`."""
        asked_at = self._clock.monotonic()
        lead = await self._read(change.lead_id)
        if lacks_pipeline(lead, wanted, change.place) and self._pipelines is None:
            self._pipelines = await self._read_pipelines()
            asked_at = self._clock.monotonic()
            lead = await self._read(change.lead_id)
        change.check(lead)
        key = change.fields[change.key]
        key = spelled_now(lead, change.key, key, is_own=change.is_own)
        present = present_of(lead, wanted, change.place, self._pipelines or {})
        body = {**present, **change.fields, change.key: key}
        with sent_until(asked_at + latest, self._clock):
            return await self.upsert(body, change.key, idempotent=True)

    async def _read(self, lead_id: int) -> Lead:
        call = Call("GET", f"/leads/{lead_id}", _read_shown, idempotent=True)
        lead = lead_of(bytes((await self._send(call)).lead)) or Lead(id=lead_id)
        if lead.id != lead_id:
            # Its name and stage would be written to the lead of the row.
            raise LeadChangedError(
                f"the server showed lead {lead.id} when lead {lead_id} was asked for", _ASK_AGAIN
            )
        return lead

    async def _read_pipelines(self) -> Mapping[int, int]:
        """Return the pipeline of each stage; empty where the key may not read them."""
        try:
            answer = await self._request("GET", "/pipelines", type=_Pipelines)
        except PermissionDeniedError:
            return {}
        return {stage.id: one.id for one in answer.pipelines for stage in one.stages}

    async def _post(self, path: str, body: Mapping[str, Any], *, idempotent: bool) -> _Written:
        call = Call("POST", path, _read_written, idempotent=idempotent, body=encode_body(body))
        return await self._send(call)

"""What may be asked about pipelines: the call of the API reference, 'Pipelines'."""

from __future__ import annotations

from typing import Any

import msgspec

from syncro_async.models import pipeline as models
from syncro_async.models.envelope import Envelope
from syncro_async.paging.page_decoding import item_decoder
from syncro_async.resources.listing import readable
from syncro_async.resources.resource import Resource, raw
from syncro_async.transport.json_codec import decoder_for
from syncro_async.transport.messages import Call

_PATH = "/pipelines"


class _Body(Envelope, frozen=True, kw_only=True):
    pipelines: list[msgspec.Raw]
    lost_reasons: list[msgspec.Raw] | None = None


class _Pipeline(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    name: str | None = None
    stages: list[msgspec.Raw] | None = None


_read_body = decoder_for(_Body)
_read_pipeline = item_decoder(_Pipeline)


class Pipelines(Resource):
    """The call about pipelines, `client.pipelines`."""

    @property
    def with_raw_response(self) -> RawPipelines:
        """The same calls; each returns a `RawResult` with the status, headers and body."""
        return RawPipelines(self)

    async def list(self) -> models.Pipelines:
        """Fetch every pipeline with its stages, and the lost reasons.

        What they are called leads to their ids: see `Pipelines.find`, `.stage` and `.reason`. A
        pipeline, stage or reason that cannot be read is left out, logged at WARNING, and reported
        to the observers as `ItemUnreadable`. Raises the errors of `syncro_async.errors`.
        """
        return await self._send(Call("GET", _PATH, self._read, idempotent=True))

    async def find(self, name: str) -> models.Pipeline:
        """Fetch the pipeline of that name: one request; who needs several names keeps the list.

        Raises `LookupError` where none or several are called so.
        """
        return (await self.list()).find(name)

    async def stage(self, pipeline: str, name: str) -> models.Stage:
        """Fetch the stage of that name in the pipeline of that name, as `find` does."""
        return (await self.list()).stage(pipeline, name)

    def _read(self, raw: bytes) -> models.Pipelines:
        body = _read_body(raw)
        reasons = body.lost_reasons or ()
        return models.Pipelines(
            readable(_PATH, self._emit, body.pipelines, self._pipeline),
            readable(_PATH, self._emit, reasons, item_decoder(models.LostReason)),
        )

    def _pipeline(self, raw: Any) -> models.Pipeline:
        sent = _read_pipeline(raw)
        stages = readable(_PATH, self._emit, sent.stages or (), item_decoder(models.Stage))
        return models.Pipeline(id=sent.id, name=sent.name, stages=stages)


class RawPipelines:
    """The calls of `client.pipelines`; each returns a `RawResult`."""

    def __init__(self, pipelines: Pipelines) -> None:
        self.list = raw(pipelines.list)
        self.find = raw(pipelines.find)
        self.stage = raw(pipelines.stage)

"""The call of the API reference, "Pipelines", and look-ups of pipelines and stages by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from syncro_async.models import pipeline as models
from syncro_async.models.page import Rows
from syncro_async.paging.page_decoding import envelope, fields_of, item_decoder, items_under
from syncro_async.resources.listing import readable
from syncro_async.resources.resource import Resource, raw
from syncro_async.transport.messages import Call

R = TypeVar("R")

_PATH = "/pipelines"
_OWN = frozenset({"id", "name"})


_read_reason = item_decoder(models.LostReason)
_read_stage = item_decoder(models.Stage)
_read_pipeline = item_decoder(models.Pipeline)


class Pipelines(Resource):
    """The calls about pipelines, `client.pipelines`.

        stage = await syncro.pipelines.stage("Vendas", "Proposta")
        async for lead in syncro.leads.list(stage_id=stage.id):
            print(lead.name)

    The pipelines are cached for 60 s: calls within that time, and calls at the same time, share one
    request. When the cache does not have a name, the pipelines are requested again. The calls
    raise the errors of `syncro_async.errors`.
    """

    @property
    def with_raw_response(self) -> RawPipelines:
        """The same calls; each returns a `RawResult` with the status, headers and body."""
        return RawPipelines(self)

    async def list(self, *, refresh: bool = False) -> models.Pipelines:
        """Every pipeline with its stages, and the lost reasons.

        The result finds ids by names: see its `find`, `stage` and `reason`. A pipeline, stage or
        reason that cannot be read is left out, logged at WARNING, and reported to the observers as
        `ItemUnreadable`. Raises the errors of `syncro_async.errors`.

        - `refresh`: send a request in any case (default False).
        """
        return await self._look_up(_copy, refresh=refresh)

    async def find(self, name: str, *, refresh: bool = False) -> models.Pipeline:
        """The pipeline of that name.

        Raises `LookupError` when no pipeline or several have the name.

        - `name`: the name as the app shows it; case, accents and spaces do not matter.
        - `refresh`: send a request in any case (default False).
        """
        return await self._look_up(lambda found: found.find(name), refresh=refresh)

    async def stage(self, pipeline: str, name: str, *, refresh: bool = False) -> models.Stage:
        """The stage of that name.

        Raises `LookupError` when no stage or several have the name.

        - `pipeline`: the name of the stage's pipeline.
        - `name`: the name of the stage, as for `find`.
        - `refresh`: send a request in any case (default False).
        """
        return await self._look_up(lambda found: found.stage(pipeline, name), refresh=refresh)

    async def _look_up(self, find: Callable[[models.Pipelines], R], *, refresh: bool) -> R:
        call = Call("GET", _PATH, self._read, idempotent=True)
        return await self._names.look_up(_PATH, lambda: self._send(call), find, refresh=refresh)

    def _read(self, raw: bytes) -> models.Pipelines:
        fields = envelope(raw)
        pipelines = items_under(fields, "pipelines")
        reasons = items_under(fields, "lost_reasons", optional=True)
        return models.Pipelines(
            readable(_PATH, self._emit, pipelines, self._pipeline),
            readable(_PATH, self._emit, reasons, _read_reason),
        )

    def _pipeline(self, raw: bytes) -> models.Pipeline:
        fields = fields_of(raw)
        stages = items_under(fields, "stages", optional=True)
        own = b",".join(
            b'"%s":%s' % (name.encode(), fields[name]) for name in fields if name in _OWN
        )
        pipeline = _read_pipeline(b"{%s}" % own)
        return msgspec.structs.replace(
            pipeline, stages=readable(_PATH, self._emit, stages, _read_stage)
        )


def _copy(found: models.Pipelines) -> models.Pipelines:
    """Return a copy, because a caller must not change the cached lists."""
    return models.Pipelines(Rows(found.pipelines), Rows(found.lost_reasons))


class RawPipelines:
    """The calls of `client.pipelines`; each returns a `RawResult`."""

    def __init__(self, pipelines: Pipelines) -> None:
        self.list = raw(pipelines.list)
        self.find = raw(pipelines.find)
        self.stage = raw(pipelines.stage)

"""The short forms in which a lead names its pipeline and its stage."""

from __future__ import annotations

import msgspec


class PipelineReference(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A pipeline by id and name."""

    id: int
    name: str | None = None


class StageReference(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A stage of a pipeline by id and name."""

    id: int
    name: str | None = None

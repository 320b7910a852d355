"""The pipelines of an account, their stages and the reasons for which deals are lost."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Protocol, TypeVar

import msgspec

from syncro_async._internal.html import rows_table
from syncro_async.models import base


class Stage(base.Model, frozen=True, kw_only=True, gc=False):
    """A stage of a pipeline.

    - `id`, `name`: its id and name; `color`: as the server sends it.
    - `is_won`, `is_lost`: a lead that enters this stage becomes a sale or a loss.
    """

    id: int
    name: str | None = None
    color: str | None = None
    is_won: bool | None = None
    is_lost: bool | None = None


class Pipeline(base.Model, frozen=True, kw_only=True):
    """A pipeline.

    - `id`, `name`: its id and name.
    - `stages`: its stages, in the server's order.
    """

    id: int
    name: str | None = None
    stages: list[Stage] = msgspec.field(default_factory=list)


class LostReason(base.Model, frozen=True, kw_only=True, gc=False):
    """A reason for which deals are lost.

    - `id`: what `leads.mark_lost` takes as `reason_id`; `name`: what people see.
    """

    id: int
    name: str | None = None


class Pipelines(base.Model, frozen=True):
    """The account's pipelines and lost reasons (API reference, 'Pipelines').

    The names that people see lead to the ids that calls take:

        found = await syncro.pipelines.list()
        proposal = found.stage("Vendas", "Proposta")

    A name is looked for as it is written, and then without regard to capitals and spaces. Each of
    the methods raises `LookupError` when no name fits, with the names that exist, and when several
    fit, with their ids.

    - `pipelines`, `lost_reasons`: all of them, in the server's order.
    """

    pipelines: list[Pipeline]
    lost_reasons: list[LostReason]

    def _repr_html_(self) -> str:
        reasons = f"{len(self.lost_reasons):,} lost reasons"
        return rows_table(self.pipelines, f"{len(self.pipelines):,} pipelines") + rows_table(
            self.lost_reasons, reasons
        )

    def find(self, name: str) -> Pipeline:
        """The pipeline of this name. Raises `LookupError`.

        - `name`: the name as people see it.
        """
        return _find_by_name("pipeline", name, self.pipelines)

    def stage(self, pipeline: Pipeline | str, name: str) -> Stage:
        """The stage of this name. Raises `LookupError`.

        - `pipeline`: the stage's pipeline, or its name.
        - `name`: the name of the stage as people see it.
        """
        home = self.find(pipeline) if isinstance(pipeline, str) else pipeline
        return _find_by_name(f"stage of {home.name!r}", name, home.stages)

    def reason(self, name: str) -> LostReason:
        """The lost reason of this name. Raises `LookupError`.

        - `name`: the name as people see it.
        """
        return _find_by_name("lost reason", name, self.lost_reasons)


class _Named(Protocol):
    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str | None: ...


_N = TypeVar("_N", bound=_Named)


def _find_by_name(what: str, name: str, among: Sequence[_N]) -> _N:
    named = [(one, one.name) for one in among if one.name is not None]
    for spelling in (str, _normalize_name):
        found = [one for one, own in named if spelling(own) == spelling(name)]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(str(one.id) for one in found)
            raise LookupError(f"more than one {what} is called {name!r}: the ids are {ids}")
    known = ", ".join(repr(own) for _, own in named) or "none at all"
    raise LookupError(f"no {what} is called {name!r}; there is {known}")


def _normalize_name(name: str) -> str:
    """The name without capitals, spare spaces and ways to write an accent."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())

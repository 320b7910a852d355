"""Counts the rows that would record a sale or a loss, because their stage is a won or lost one."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from syncro_async._internal.error_text import counted
from syncro_async.bulk.importing.diff import plan_of
from syncro_async.bulk.importing.fields import FieldMapping
from syncro_async.bulk.job import JobContext
from syncro_async.errors import APIError, AuthenticationError, UnexpectedResponseError

logger = logging.getLogger("syncro_async")

_LINES = 5


class Deals(NamedTuple):
    """How many rows would record a sale or a loss, and the lines of the first of them."""

    sales: int = 0
    losses: int = 0
    lines: tuple[int, ...] = ()

    def __str__(self) -> str:
        lines = ", ".join(map(str, self.lines))
        more = ", …" if self.sales + self.losses > len(self.lines) else ""
        label = "line" if self.sales + self.losses == 1 else "lines"
        losses = counted(self.losses, "loss", "losses")
        return f"{counted(self.sales, 'sale')} and {losses} ({label} {lines}{more})"


class _Stage(msgspec.Struct):
    id: int
    is_won: bool | None = None
    is_lost: bool | None = None


class _Pipeline(msgspec.Struct):
    stages: list[_Stage] = []


class _Answer(msgspec.Struct):
    pipelines: list[_Pipeline]


async def read_final_stages(context: JobContext) -> Mapping[int, bool]:
    """Return the stages that end a deal: True for a won one, False for a lost one. One request.

    Empty, with a warning in the log, where the key may not read the pipelines.
    """
    try:
        answer = await context.request("GET", "/pipelines", type=_Answer)
    except AuthenticationError:
        raise
    except (APIError, UnexpectedResponseError) as error:
        logger.warning("rows may record sales and losses: the stages cannot be read: %s", error)
        return {}
    stages = [stage for pipeline in answer.pipelines for stage in pipeline.stages]
    return {stage.id: bool(stage.is_won) for stage in stages if stage.is_won or stage.is_lost}


def stages_entered(db: sqlite3.Connection, fields: FieldMapping) -> dict[int, list[int]]:
    """Return the stages that leads would enter, each with the lines of the rows."""
    entered: dict[int, list[int]] = {}
    query = "SELECT line, body, plan, after_a, after_b FROM rows WHERE state = 'pending'"
    for line, body, blob, after_a, after_b in db.execute(f"{query} ORDER BY idx"):
        plan = plan_of(blob)
        if plan is not None:
            stage = plan.changes.get("stage_id", (None, None))[1]
        elif after_a is not None or after_b is not None:
            stage = fields.own(msgspec.json.decode(body)).get("stage_id")
        else:
            stage = fields.convert(msgspec.json.decode(body))[0].get("stage_id")
        if stage is not None:
            entered.setdefault(stage, []).append(line)
    return entered


def deals_of(entered: Mapping[int, list[int]], final: Mapping[int, bool]) -> Deals:
    """Return how many of the rows would record a sale or a loss."""
    sales = [line for stage, lines in entered.items() if final.get(stage) is True for line in lines]
    losses = [
        line for stage, lines in entered.items() if final.get(stage) is False for line in lines
    ]
    return Deals(len(sales), len(losses), tuple(sorted([*sales, *losses])[:_LINES]))

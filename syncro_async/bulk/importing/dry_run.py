"""Tells what the rows of an import would change, from the plans in its journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import msgspec

from syncro_async.bulk.importing.diff import plan_of
from syncro_async.bulk.importing.fields import FieldMapping
from syncro_async.models.receipts import RowChange


def changes_in(db: sqlite3.Connection, fields: FieldMapping) -> Iterator[RowChange]:
    """Yield the change that each pending row would make."""
    query = (
        "SELECT line, body, plan, COALESCE(after_a, after_b) FROM rows"
        " WHERE state = 'pending' ORDER BY idx"
    )
    creating = fields.kind == "create"
    for line, body, blob, before in db.execute(query):
        plan = plan_of(blob)
        if plan is not None:
            yield RowChange(line, "update", plan.lead_id, plan.changes)
        elif before is not None and not creating:
            yield RowChange(line, "update", None, {})  # the lead of a row before it
        else:
            given, _ = fields.convert(msgspec.json.decode(body))
            yield RowChange(line, "create", None, {name: (None, given[name]) for name in given})


def emptied_cells(db: sqlite3.Connection) -> int:
    """Return how many empty cells belong to fields that have a value at the server."""
    plans = db.execute("SELECT plan FROM rows WHERE plan IS NOT NULL")
    return sum(plan.emptied for (blob,) in plans if (plan := plan_of(blob)) is not None)

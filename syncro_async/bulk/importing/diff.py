"""Compares the rows of an import with the current leads, so that only changes are sent."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from math import ceil
from typing import Any

import msgspec

from syncro_async.bulk.files import values
from syncro_async.bulk.importing.fields import CUSTOM, FieldMapping
from syncro_async.bulk.importing.journal import Journal, read_meta, write_meta
from syncro_async.bulk.progress import ProgressReporter
from syncro_async.models.lead import Lead
from syncro_async.models.receipts import RowChange
from syncro_async.paging.paginator import Paginator

Changes = dict[str, tuple[Any, Any]]

PAGE_SIZE = 200
_AHEAD = 4
_PENDING = "SELECT idx, body FROM rows WHERE state = 'pending' AND {key} = ?"
# A row must be sent when an earlier row of the same lead is sent.
_UNCHANGED = """
UPDATE rows SET state = 'unchanged' WHERE idx = ? AND NOT EXISTS (
    SELECT 1 FROM rows AS before
    WHERE before.idx IN (rows.after_a, rows.after_b) AND before.state <> 'unchanged'
)
"""


def changes_of(fields: Mapping[str, Any], lead: Lead) -> Changes:
    """Return the fields that a send would change, each with its old and its new value."""
    changes: Changes = {}
    for name, new in fields.items():
        if name == CUSTOM:
            held = lead.custom_fields or {}
            for field, value in new.items():
                if not _same(field, held.get(field), value):
                    changes[f"{CUSTOM}.{field}"] = (held.get(field), value)
        elif not _same(name, getattr(lead, name), new):
            changes[name] = (getattr(lead, name), new)
    return changes


def _same(name: str, old: Any, new: Any) -> bool:
    if isinstance(new, list):
        return isinstance(old, list) and sorted(map(str, old)) == sorted(map(str, new))
    if isinstance(new, int | float) and not isinstance(new, bool):
        return _number(old) == new
    if not isinstance(old, str) or not isinstance(new, str):
        return bool(old == new)
    if name == "phone":
        return values.digits(old) == values.digits(new)
    if name == "email":
        return old.strip().casefold() == new.casefold()
    return old.strip() == new


def _number(value: Any) -> float | None:
    """Return the value as a number: the server may send decimals as text."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


class Comparison:
    """Reads the account's leads once, page by page, and marks the rows that change nothing.

    A lead can be missing in the list while other clients change leads. Its row is then sent, as it
    is without a comparison.
    """

    def __init__(self, journal: Journal, fields: FieldMapping, progress: ProgressReporter) -> None:
        self._journal = journal
        self._fields = fields
        self._progress = progress
        self.seen: set[int] = set()
        self.answered_at: datetime | None = None
        self.read = False

    async def run(self, leads: Paginator[Lead]) -> None:
        """Compare the rows, unless an earlier run with this journal has finished it."""
        if await self._journal.run(_is_done):
            return
        self.read = True
        self._progress.phase("comparing", None)
        async with leads.prefetch(pages=_AHEAD) as ahead:
            async for page in ahead.pages():
                fresh = [lead for lead in page.items if lead.id not in self.seen]
                self.seen.update(lead.id for lead in fresh)
                await self._journal.run(lambda db, fresh=fresh: self._match(db, fresh))  # type: ignore[misc]
                self.answered_at = self.answered_at or page.answered_at
                left = page.meta.last_page - page.meta.current_page
                count = len(page.items) + len(page.unreadable)
                self._progress.advance(count, total=page.meta.total, requests_left=max(0, left))
        await self._journal.run(_conclude)

    def _match(self, db: sqlite3.Connection, leads: Sequence[Lead]) -> None:
        for lead in leads:
            for idx, body in self._rows_of(db, lead):
                fields, _ = self._fields.convert(msgspec.json.decode(body))
                changes = changes_of(fields, lead)
                change = msgspec.json.encode((lead.id, changes)) if changes else None
                db.execute(
                    "UPDATE rows SET matches = matches + 1, change = COALESCE(?, change)"
                    " WHERE idx = ?",
                    (change, idx),
                )

    def _rows_of(self, db: sqlite3.Connection, lead: Lead) -> Sequence[tuple[int, bytes]]:
        """Return the rows that the server may match with this lead."""
        known = {"email": lead.email, "phone": lead.phone}
        keys = self._fields.keys({name: value for name, value in known.items() if value})
        rows: dict[int, bytes] = {}
        for name, key in zip(("key_a", "key_b"), keys, strict=True):
            if key is not None:
                rows.update(db.execute(_PENDING.format(key=name), (key,)))
        return list(rows.items())


def pages_of(leads: int) -> int:
    """Return the number of requests that read that many leads."""
    return max(1, ceil(leads / PAGE_SIZE))


def _is_done(db: sqlite3.Connection) -> bool:
    done = "compared" in read_meta(db)
    if not done:
        db.execute("UPDATE rows SET matches = 0, change = NULL")
    return done


def _conclude(db: sqlite3.Connection) -> None:
    same = "SELECT idx FROM rows WHERE state = 'pending' AND matches > 0 AND change IS NULL"
    for (idx,) in db.execute(f"{same} ORDER BY idx").fetchall():
        db.execute(_UNCHANGED, (idx,))
    write_meta(db, {"compared": "yes"})


def changes_in(db: sqlite3.Connection, fields: FieldMapping) -> Iterator[RowChange]:
    """Yield the change that each pending row would make."""
    query = (
        "SELECT line, body, matches, change, COALESCE(after_a, after_b) FROM rows"
        " WHERE state = 'pending' ORDER BY idx"
    )
    for line, body, matches, change, before in db.execute(query):
        lead_id, changed = msgspec.json.decode(change) if change else (None, {})
        if matches or before is not None:
            changes = {name: (old, new) for name, (old, new) in changed.items()}
            yield RowChange(line, "update", lead_id, changes)
        else:
            given, _ = fields.convert(msgspec.json.decode(body))
            yield RowChange(line, "create", None, {name: (None, given[name]) for name in given})

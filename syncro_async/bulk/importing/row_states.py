"""Reads and changes the states of the rows in a journal, in the journal's thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable
from typing import Literal, NamedTuple

from syncro_async.bulk.importing.journal import HALF_MADE, NOT_MADE, QueuedRow, link
from syncro_async.models.receipts import RowProblem

_SUPERSEDED = """
WITH RECURSIVE resent (idx, key_a, key_b) AS (
    SELECT idx, key_a, key_b FROM rows WHERE state = 'stale'
    UNION
    SELECT later.idx, later.key_a, later.key_b FROM resent
    JOIN rows AS later ON later.key_a = resent.key_a AND later.idx > resent.idx
    UNION
    SELECT later.idx, later.key_a, later.key_b FROM resent
    JOIN rows AS later ON later.key_b = resent.key_b AND later.idx > resent.idx
)
UPDATE rows SET state = 'pending'
WHERE state IN ('created', 'updated') AND idx IN (SELECT idx FROM resent)
"""
_FOLLOWERS = """
WITH RECURSIVE held (idx, line, key_a, key_b) AS (
    SELECT idx, line, key_a, key_b FROM rows WHERE state = 'doubt' AND sends > 0
    UNION
    SELECT later.idx, held.line, later.key_a, later.key_b FROM held
    JOIN rows AS later ON later.key_a = held.key_a AND later.idx > held.idx
    UNION
    SELECT later.idx, held.line, later.key_a, later.key_b FROM held
    JOIN rows AS later ON later.key_b = held.key_b AND later.idx > held.idx
)
UPDATE rows SET state = 'doubt', reason = 'an earlier row of its lead is in doubt', error =
    'was not sent: line ' || (SELECT MIN(line) FROM held WHERE held.idx = rows.idx)
    || ' is about the same lead and is in doubt'
WHERE state = 'pending' AND idx IN (SELECT idx FROM held)
"""
_ROW = "idx, line, body, state, sends, after_a, after_b, key_a, key_b, plan, lead_id, made"
_OPEN = "state IN ('pending', 'unknown')"


def begin_run(db: sqlite3.Connection) -> bool:
    """Prepare a new run; return whether an earlier run has sent a row.

    Rows that were being sent become unknown, and so do rows in doubt: what the server shows may
    decide them now. Failed rows wait (`stale`) until everything else is sent (`retry_failed`).
    """
    db.execute("UPDATE rows SET state = 'stale' WHERE state = 'failed'")
    db.execute(
        "UPDATE rows SET reason = NULL, error = NULL,"
        " state = CASE WHEN sends > 0 AND made = ? THEN 'unknown' ELSE 'pending' END"
        " WHERE state IN ('sent', 'doubt')",
        (NOT_MADE,),
    )
    # A run that was killed marked rows that it never sent. Each run has its own tries.
    db.execute(f"UPDATE rows SET sends = 1 WHERE sends > 1 AND {_OPEN}")  # noqa: S608  # a constant
    link(db, _OPEN)
    return db.execute("SELECT 1 FROM rows WHERE sends > 0 LIMIT 1").fetchone() is not None


def retry_failed(db: sqlite3.Connection, *, in_order: bool) -> int:
    """Make the failed rows of earlier runs pending again; return their number.

    With `in_order` the later rows of the same leads become pending too; else the older row would
    overwrite what they sent.
    """
    if in_order:
        db.execute(_SUPERSEDED)
    query = (
        "UPDATE rows SET state = 'pending', sends = 0, reason = NULL, error = NULL"
        " WHERE state = 'stale'"
    )
    count = db.execute(query).rowcount
    link(db, _OPEN)
    return count


def has_open_pools(db: sqlite3.Connection) -> bool:
    """Return whether any row is still to be sent."""
    query = f"SELECT 1 FROM rows WHERE {_OPEN} OR state = 'stale' LIMIT 1"  # noqa: S608  # a constant
    return db.execute(query).fetchone() is not None


def hold_followers(db: sqlite3.Connection) -> None:
    """Mark the unsent rows as in doubt that follow a row in doubt of the same lead."""
    db.execute(_FOLLOWERS)


def rows_after(db: sqlite3.Connection, idx: int, limit: int) -> list[QueuedRow]:
    """Return the next pending rows behind `idx`, at most `limit`."""
    query = f"SELECT {_ROW} FROM rows WHERE state = 'pending' AND idx > ? ORDER BY idx LIMIT ?"  # noqa: S608  # constants
    return [QueuedRow(*row) for row in db.execute(query, (idx, limit))]


def rows_at(db: sqlite3.Connection, indexes: Collection[int]) -> list[QueuedRow]:
    """Return the rows with these indexes."""
    query = f"SELECT {_ROW} FROM rows WHERE idx = ?"  # noqa: S608  # a constant
    return [QueuedRow(*row) for idx in indexes for row in db.execute(query, (idx,))]


def rows_in(db: sqlite3.Connection, state: str) -> list[QueuedRow]:
    """Return the rows in this state."""
    query = f"SELECT {_ROW} FROM rows WHERE state = ? ORDER BY idx"  # noqa: S608  # a constant
    return [QueuedRow(*row) for row in db.execute(query, (state,))]


def mark_sending(db: sqlite3.Connection, indexes: Collection[int]) -> None:
    """Mark these pending rows as being sent."""
    db.executemany(
        "UPDATE rows SET state = 'sent', sends = sends + 1 WHERE idx = ?",
        [(idx,) for idx in indexes],
    )


def revert_unsent(db: sqlite3.Connection, on_the_wire: Collection[int]) -> None:
    """Mark rows that are being sent as pending, except those that were on the wire: unknown."""
    db.executemany(
        "UPDATE rows SET state = 'unknown' WHERE idx = ? AND state = 'sent' AND made = ?",
        [(at, NOT_MADE) for at in on_the_wire],
    )
    db.execute("UPDATE rows SET state = 'pending', sends = sends - 1 WHERE state = 'sent'")


def mark_half_made(db: sqlite3.Connection, idx: int, lead_id: int) -> None:
    """Record the lead that a row has made, before its tags are added."""
    query = "UPDATE rows SET lead_id = ?, made = ? WHERE idx = ?"
    db.execute(query, (lead_id, HALF_MADE, idx))


class KnownLead(NamedTuple):
    """The lead of an earlier row, the key that both rows have, and the columns of that row."""

    lead_id: int
    key: Literal["email", "phone"]
    body: bytes


def lead_before(db: sqlite3.Connection, row: QueuedRow) -> KnownLead | None:
    """Return the lead of the first row with the same key, as far as one was sent before."""
    query = "SELECT lead_id, body FROM rows WHERE {} = ? AND idx < ? AND lead_id IS NOT NULL"
    order = "ORDER BY idx LIMIT 1"
    by_email = f"{query.format('key_a')} {order}"
    found = db.execute(by_email, (row.key_a, row.idx)).fetchone()
    if found is not None:
        return KnownLead(found[0], "email", found[1])
    found = db.execute(f"{query.format('key_b')} {order}", (row.key_b, row.idx)).fetchone()
    return None if found is None else KnownLead(found[0], "phone", found[1])


def add_known(db: sqlite3.Connection, leads: Iterable[int]) -> None:
    """Record leads that were at the server before the first row was sent."""
    db.executemany("INSERT OR IGNORE INTO known VALUES (?)", ((lead,) for lead in leads))


def explained(db: sqlite3.Connection) -> set[int]:
    """Return the leads that are older than the import, or that its rows have made or changed."""
    query = "SELECT lead_id FROM known UNION SELECT lead_id FROM rows WHERE lead_id IS NOT NULL"
    return {lead for (lead,) in db.execute(query)}


def doubts(db: sqlite3.Connection) -> tuple[RowProblem, ...]:
    """Return the rows in doubt, each with the reason and the leads that may be its own."""
    query = "SELECT line, error FROM rows WHERE state IN ('doubt', 'unknown') ORDER BY idx"
    return tuple(
        RowProblem(line, None, error or "it was being sent when the run ended")
        for line, error in db.execute(query)
    )


def requests_left(db: sqlite3.Connection, requests_for: Callable[[QueuedRow], int]) -> int:
    """Return how many requests the rows need that are not done."""
    done = "('created', 'updated', 'unchanged', 'repeat', 'set aside')"
    query = f"SELECT {_ROW} FROM rows WHERE state NOT IN {done}"  # noqa: S608  # constants
    return sum(requests_for(QueuedRow(*row)) for row in db.execute(query))

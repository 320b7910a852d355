"""Finds rows of different people that the server would make one lead of."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from syncro_async.bulk.importing.columns import plain_name
from syncro_async.models.receipts import RowProblem

_SHARED = """
SELECT {key}, idx, line, name, key_a FROM incoming WHERE lead IS NULL AND {key} IN (
    SELECT {key} FROM incoming WHERE {key} IS NOT NULL GROUP BY {key} HAVING COUNT(*) > 1
) ORDER BY {key}, idx
"""
_ADVICE = "leave one of them in the file, or tell them apart with {match_by}"


class Conflict(NamedTuple):
    """The index of a row, and what is wrong with it beside another row."""

    idx: int
    problem: RowProblem


def two_people(db: sqlite3.Connection) -> Iterator[Conflict]:
    """Both rows of every two that have the same email or phone and are about different people.

    Different people have names of which neither contains the other, or the same phone and
    different emails. Rows with the ids of their leads are left out: they are compared with these.
    """
    for key, what in (("key_a", "email"), ("key_b", "phone")):
        rows = db.execute(_SHARED.format(key=key)).fetchall()
        for _, same in groupby(rows, itemgetter(0)):
            yield from _conflicts(list(same), what)


def _conflicts(
    rows: list[tuple[str, int, int, str | None, str | None]], what: str
) -> Iterator[Conflict]:
    reported: set[int] = set()
    _, first, first_line, first_name, first_email = rows[0]
    for _, idx, line, name, email in rows[1:]:
        if not _same_name(first_name, name):
            reason = f"has the {what} of line {{}}, and another name"
        elif what == "phone" and None not in (first_email, email) and first_email != email:
            reason = "has the phone of line {}, and another email"
        else:
            continue
        for at, of, beside, value in (
            (first, first_line, line, first_name),
            (idx, line, first_line, name),
        ):
            if at not in reported:
                reported.add(at)
                problem = RowProblem(of, None, reason.format(beside), value, _ADVICE)
                yield Conflict(at, problem)


def _same_name(one: str | None, other: str | None) -> bool:
    """Whether two names can be those of one person: `Ana` and `Ana Prado`."""
    if one is None or other is None:
        return True
    words, others = set(plain_name(one).split()), set(plain_name(other).split())
    return words <= others or others <= words

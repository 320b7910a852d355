"""Takes all rows of an import into its journal, once every one of them is known to be sound."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from syncro_async.bulk.files.formats import (
    RowOrProblem,
    as_path,
    csv_header,
    file_rows,
    row_from_object,
)
from syncro_async.bulk.importing.account import differences
from syncro_async.bulk.importing.fields import CUSTOM, FieldMapping, Kind, read_definitions
from syncro_async.bulk.importing.journal import Journal, link, read_meta, write_meta
from syncro_async.clock import Clock
from syncro_async.errors import BadRowsError, ConfigurationError, InvalidArgumentError
from syncro_async.models.receipts import RowProblem

Source = str | Path | Iterable[Any] | AsyncIterable[Any]

_AT_ONCE = 500
_INCOMING = """
CREATE TEMP TABLE incoming (
    idx INTEGER PRIMARY KEY, line INTEGER, hash BLOB, body BLOB, key_a TEXT, key_b TEXT,
    custom INTEGER
)
"""
# A row that says once more what the last one of its lead said has nothing left to do.
_REPEATS = """
UPDATE rows SET state = 'repeat' FROM rows AS before
WHERE before.idx = COALESCE(rows.after_a, rows.after_b) AND before.hash = rows.hash
    AND (rows.after_a IS NULL OR rows.after_b IS NULL OR rows.after_a = rows.after_b)
"""
_TWICE = """
SELECT line, first_line FROM (
    SELECT line, idx, FIRST_VALUE(line) OVER alike AS first_line,
        ROW_NUMBER() OVER alike AS place
    FROM incoming WINDOW alike AS (PARTITION BY hash ORDER BY idx)
) WHERE place > 1 ORDER BY idx
"""
_TWO_PEOPLE = """
SELECT line, first_line FROM (
    SELECT line, idx, key_a, FIRST_VALUE(line) OVER same AS first_line,
        FIRST_VALUE(key_a) OVER same AS first_email
    FROM incoming WHERE key_a IS NOT NULL AND key_b IS NOT NULL
    WINDOW same AS (PARTITION BY key_b ORDER BY idx)
) WHERE key_a <> first_email ORDER BY idx
"""


class RowStaging:
    """Reads the rows of one import and checks them, all of them, before any is sent."""

    def __init__(self, journal: Journal, fields: FieldMapping, kind: Kind, clock: Clock) -> None:
        self._journal = journal
        self._fields = fields
        self._kind = kind
        self._clock = clock
        self._problems: list[RowProblem] = []
        self._count = 0
        # Which fields any row holds.
        self.fields_used: set[str] = set()

    async def load(self, source: Source) -> None:
        """Read every row into a waiting room; what is wrong with rows is noted for `settle`."""
        path = as_path(source)
        await self._journal.run(lambda db: db.execute(_INCOMING).close())
        if path is not None:
            await self._journal.run(lambda db: self._take_file(db, path))
            return
        async for rows in _in_portions(source, self._clock):
            await self._journal.run(lambda db, rows=rows: self._take_rows(db, rows))  # type: ignore[misc]

    async def learn_custom_fields(self, request: Any) -> None:
        """Ask for the account's custom fields where rows use them, and look at those rows again."""
        if self._fields.definitions is None and CUSTOM in self.fields_used:
            self._fields.learn(await read_definitions(request))
            await self._journal.run(self._check_custom)

    async def check(self) -> None:
        """Raise `BadRowsError` with everything that is wrong with the rows."""
        await self._journal.run(self._check_together)
        if self._problems:
            count = len({problem.line for problem in self._problems})
            which = f"{count} of {self._count} rows" if self._count else "the columns"
            raise BadRowsError(
                f"{which} cannot be imported and nothing was sent; correct or leave out",
                problems=tuple(sorted(self._problems, key=lambda problem: problem.line)),
            )

    async def commit(self, facts: Mapping[str, str]) -> None:
        """Let all rows in, or none.

        `facts` are what two runs with one journal must have in common. Raises `ConfigurationError`
        when the journal belongs to other rows, options or another account.
        """
        await self._journal.run(lambda db: self._insert(db, facts))

    # -------------------------------------------------------------- in the journal's thread

    def _take_file(self, db: sqlite3.Connection, path: Path) -> None:
        if path.suffix.lower() == ".csv" and not self._check_header(csv_header(path)):
            return
        rows = file_rows(path)
        while portion := list(islice(rows, _AT_ONCE)):
            self._take_rows(db, portion)

    def _check_header(self, header: list[str]) -> bool:
        """Complain of columns that are none once, and not in every row."""
        lacking = [name for name in self._fields.columns if name not in header]
        if lacking:
            raise InvalidArgumentError(
                f"columns names {', '.join(lacking)}, which the file does not have",
                argument="columns",
            )
        complaints = [(name, self._fields.check_together(name)) for name in header]
        self._problems.extend(RowProblem(1, name, why) for name, why in complaints if why)
        return not self._problems

    def _take_rows(self, db: sqlite3.Connection, rows: Iterable[RowOrProblem]) -> None:
        taken = [self._checked(row) for row in rows]
        db.executemany("INSERT INTO incoming VALUES (?, ?, ?, ?, ?, ?, ?)", filter(None, taken))

    def _checked(self, row: RowOrProblem) -> tuple[Any, ...] | None:
        self._count += 1
        if isinstance(row, RowProblem):
            self._problems.append(row)
            return None
        fields, complaints = self._fields.convert(row.columns)
        if complaints:
            self._problems.extend(RowProblem(row.line, *complaint) for complaint in complaints)
            return None
        body = msgspec.json.encode(row.columns)
        fingerprint = blake2b(body, digest_size=16).digest()
        self.fields_used.update(fields)
        custom = CUSTOM in fields
        return self._count - 1, row.line, fingerprint, body, *self._fields.keys(fields), custom

    def _check_custom(self, db: sqlite3.Connection) -> None:
        for line, body in db.execute("SELECT line, body FROM incoming WHERE custom ORDER BY idx"):
            _, complaints = self._fields.convert(msgspec.json.decode(body))
            self._problems.extend(RowProblem(line, *complaint) for complaint in complaints)

    def _check_together(self, db: sqlite3.Connection) -> None:
        """Look for rows that are sound alone and not beside each other."""
        if self._kind == "create":
            for line, first in db.execute(_TWICE):
                reason = f"is the same as line {first} and would be created twice"
                self._problems.append(RowProblem(line, None, reason))
            return
        for line, first in db.execute(_TWO_PEOPLE):
            reason = (
                f"has the phone of line {first} and another email: the server would make one lead"
                " of both (match_by='email' tells them apart)"
            )
            self._problems.append(RowProblem(line, None, reason))

    def _insert(self, db: sqlite3.Connection, facts: Mapping[str, str]) -> None:
        known = read_meta(db)
        if "rows" in known:
            self._compare(db, known, facts)
        else:
            write_meta(db, {**facts, "rows": str(self._count)})
            db.execute(
                "INSERT INTO rows (idx, line, hash, body, key_a, key_b)"
                " SELECT idx, line, hash, body, key_a, key_b FROM incoming"
            )
            link(db, "TRUE")
            if self._kind == "upsert":
                db.execute(_REPEATS)
                link(db, "state = 'pending'")
        db.execute("DROP TABLE incoming")

    def _compare(
        self, db: sqlite3.Connection, known: Mapping[str, str], facts: Mapping[str, str]
    ) -> None:
        """Raise `ConfigurationError` unless the journal was begun with the same rows."""
        other = differences(known, facts)
        if other:
            raise ConfigurationError(
                f"the journal was begun with {'; '.join(other)}."
                " Go on as it was begun, or name another journal"
            )
        changed = db.execute(
            "SELECT MIN(incoming.line) FROM incoming LEFT JOIN rows ON rows.idx = incoming.idx"
            " WHERE rows.hash IS NULL OR rows.hash <> incoming.hash"
        ).fetchone()[0]
        if changed is not None or int(known["rows"]) != self._count:
            where = f" (line {changed} is the first)" if changed is not None else ""
            raise ConfigurationError(
                f"the rows are not those the journal was begun with{where};"
                " finish with the old ones, or name another journal"
            )


async def _in_portions(source: Any, clock: Clock) -> AsyncIterator[list[RowOrProblem]]:
    """The rows of a program, some at a time, so that other tasks get their turn."""
    number = 0
    if isinstance(source, AsyncIterable):
        portion: list[RowOrProblem] = []
        async for item in source:
            number += 1
            portion.append(row_from_object(number, item))
            if len(portion) == _AT_ONCE:
                yield portion
                portion = []
        yield portion
        return
    items = _numbered(source)
    while some := list(islice(items, _AT_ONCE)):
        yield some
        await clock.sleep(0)


def _numbered(items: Iterable[Any]) -> Iterator[RowOrProblem]:
    for number, item in enumerate(items, 1):
        yield row_from_object(number, item)

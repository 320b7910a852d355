"""Takes all rows of an import into its journal, once every one of them is known to be sound."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from syncro_async._internal.error_text import counted
from syncro_async.bulk.files.encodings import MARKED
from syncro_async.bulk.files.frames import frame_rows, row_from_object
from syncro_async.bulk.files.reading import as_path, read_file, shown_name
from syncro_async.bulk.files.rows import NOTHING_UNCLEAR, Row, Table, Unclear, names_of
from syncro_async.bulk.files.tables import Layout
from syncro_async.bulk.importing.account import differences
from syncro_async.bulk.importing.columns import CUSTOM
from syncro_async.bulk.importing.failures_file import FailedRow, layout_of, write_failures
from syncro_async.bulk.importing.fields import FieldMapping, Kind, read_definitions
from syncro_async.bulk.importing.journal import Journal, link, read_meta, write_meta
from syncro_async.bulk.importing.same_key import two_people
from syncro_async.clock import Clock
from syncro_async.errors import BadRowsError, ConfigurationError, InvalidArgumentError
from syncro_async.models.receipts import ColumnUse, RowProblem, SourceReport, group_problems

# The state of a row of the journal that cannot be imported and is never sent.
SET_ASIDE = "set aside"
Source = str | Path | Iterable[Any] | AsyncIterable[Any]

_AT_ONCE = 500
_INCOMING = """
CREATE TEMP TABLE incoming (
    idx INTEGER PRIMARY KEY, line INTEGER, hash BLOB, body BLOB, key_a TEXT, key_b TEXT,
    name TEXT, custom INTEGER, lead INTEGER
);
CREATE TEMP TABLE bad (idx INTEGER PRIMARY KEY, line INTEGER, body BLOB);
"""
# A row that says once more what the last one of its lead said has nothing left to do.
_REPEATS = """
UPDATE rows SET state = 'repeat' FROM rows AS before
WHERE before.idx = COALESCE(rows.after_a, rows.after_b) AND before.hash = rows.hash
    AND (rows.after_a IS NULL OR rows.after_b IS NULL OR rows.after_a = rows.after_b)
"""
_TWICE = """
SELECT idx, line, first_line FROM (
    SELECT line, idx, FIRST_VALUE(line) OVER alike AS first_line,
        ROW_NUMBER() OVER alike AS place
    FROM incoming WINDOW alike AS (PARTITION BY hash ORDER BY idx)
) WHERE place > 1 ORDER BY idx
"""


def _make_tables(db: sqlite3.Connection) -> None:
    for statement in _INCOMING.split(";")[:-1]:
        db.execute(statement)


def _body_of(row: Row) -> bytes:
    """The columns as JSON; a byte of another encoding is shown as a replacement character."""
    if not row.problems:
        return msgspec.json.encode(row.columns)
    return msgspec.json.encode(
        {
            MARKED.sub("\ufffd", name): MARKED.sub("\ufffd", value)
            if isinstance(value, str)
            else value
            for name, value in row.columns.items()
        }
    )


class SourceOptions(NamedTuple):
    """How the rows of an import are read, and what becomes of those that cannot be imported.

    - `encoding`, `header_row`: as in `read_file`
    - `set_aside`: import the good rows without the bad ones; else no row is imported
    - `failures`: the file for the bad rows, None for none
    - `on_source`: is given the report when all rows are checked
    """

    encoding: str | None = None
    header_row: int | None = None
    set_aside: bool = False
    failures: Path | None = None
    on_source: Callable[[SourceReport], object] | None = None


class RowStaging:
    """Reads the rows of one import and checks them, all of them, before any is sent."""

    def __init__(
        self,
        journal: Journal,
        fields: FieldMapping,
        kind: Kind,
        clock: Clock,
        options: SourceOptions | None = None,
    ) -> None:
        self._journal = journal
        self._fields = fields
        self._kind = kind
        self._clock = clock
        self._options = options or SourceOptions()
        self._name = "rows"
        self._table = Table("rows", iter(()))
        self._columns: dict[str, ColumnUse] = {}
        self._cleaned: Counter[str] = Counter()
        # Of rows whose custom fields are not known yet.
        self._unclear: dict[int, Mapping[str, Unclear]] = {}
        # What is wrong with the columns, and with each row by its index.
        self._refusals: list[RowProblem] = []
        self._problems: dict[int, list[RowProblem]] = {}
        self._count = 0
        # Which fields any row holds.
        self.fields_used: set[str] = set()

    @property
    def layout(self) -> Layout:
        """How a file is written that is to look like the source."""
        return layout_of(self._table)

    async def load(self, source: Source) -> None:
        """Read every row into a temporary table; `commit` reports what is wrong with rows."""
        path = as_path(source)
        await self._journal.run(_make_tables)
        if path is not None:
            self._name = shown_name(path)
            await self._journal.run(lambda db: self._take_file(db, path))
            return
        frame = frame_rows(source)
        if frame is not None:
            header, source = frame
            self._table = Table("frame", iter(()), header)
            if not self._check_header(self._table):
                return
        async for rows in _in_portions(source, self._clock):
            await self._journal.run(lambda db, rows=rows: self._take_rows(db, rows))  # type: ignore[misc]

    async def learn_custom_fields(self, request: Any) -> None:
        """Ask for the account's custom fields where rows use them, and look at those rows again."""
        if self._fields.definitions is None and CUSTOM in self.fields_used:
            self._fields.learn(await read_definitions(request))
            await self._journal.run(self._check_custom)

    async def check(self) -> None:
        """Report how the rows were read.

        Raises `BadRowsError` with everything that is wrong, when a row is bad and bad rows are not
        set aside.
        """
        await self._journal.run(self._check_together)
        if self._options.on_source is not None:
            self._options.on_source(self.report())
        if self._refusals or (self._problems and not self._options.set_aside):
            raise await self._journal.run(self._refusal)

    async def commit(self, facts: Mapping[str, str]) -> None:
        """Let all good rows in.

        `facts` are what two runs with one journal must have in common. Raises `ConfigurationError`
        when the journal belongs to other rows, options or another account.
        """
        await self._journal.run(lambda db: self._insert(db, facts))

    def report(self) -> SourceReport:
        """How the rows were read."""
        table = self._table
        header = table.header is not None and table.format in {"csv", "xlsx"}
        return SourceReport(
            name=self._name,
            format=table.format,
            encoding=table.encoding,
            sample=table.sample,
            delimiter=table.delimiter,
            sheet=table.sheet,
            header_line=table.header_line if header else None,
            columns=tuple(self._columns.values()),
            rows=self._count,
            bad_rows=len(self._problems),
            cleaned=dict(self._cleaned + table.cleaned),
            other_sheets=table.other_sheets,
        )

    # -------------------------------------------------------------- in the journal's thread

    def _take_file(self, db: sqlite3.Connection, path: Path) -> None:
        with read_file(path, self._options.encoding, self._options.header_row) as table:
            self._table = table
            if table.header is not None and not self._check_header(table):
                return
            while portion := list(islice(table.rows, _AT_ONCE)):
                self._take_rows(db, portion)

    def _check_header(self, table: Table) -> bool:
        """Report a column that is not a field once, and not for every row."""
        names = [name for name in table.header or () if name]
        lacking = self._fields.columns.lacking(names)
        if lacking:
            known = ", ".join(names)
            raise InvalidArgumentError(
                f"the source has no column {', '.join(lacking)} (it has {known})",
                argument="columns",
            )
        targets = self._fields.columns.targets(names)
        self._note_columns(names)
        misplaced = self._misplaced_header(table)
        if misplaced is not None:
            self._refusals.append(misplaced)
            return False
        for name, target in targets.items():
            problem = self._fields.problem_of(name, target)
            if problem is not None:
                self._refusals.append(RowProblem(table.header_line, *problem))
        return not self._refusals

    def _misplaced_header(self, table: Table) -> RowProblem | None:
        """The problem of a header that names no field, with the line that looks like one."""
        names = [name for name in table.header or () if name]
        if self._named_fields(names):
            return None
        for line in table.head:
            found = names_of(line.cells)
            if line.line > table.header_line and self._named_fields(found) > 1:
                reason = f"names no field of a lead; line {line.line} looks like the header"
                advice = f"give the line with {{header_row}}{line.line}"
                return RowProblem(table.header_line, None, reason, ", ".join(names), advice)
        return None

    def _named_fields(self, names: Sequence[str]) -> int:
        """How many of the names are fields."""
        targets = self._fields.columns.targets([name for name in names if name])
        return sum(target.use in {"field", "id", "part"} for target in targets.values())

    def _note_columns(self, names: Sequence[str]) -> None:
        for use in self._fields.columns.uses(names):
            self._columns.setdefault(use.column, use)

    def _take_rows(self, db: sqlite3.Connection, rows: Iterable[Row]) -> None:
        taken = [self._checked(db, row) for row in rows]
        db.executemany(
            "INSERT INTO incoming VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", filter(None, taken)
        )

    def _checked(self, db: sqlite3.Connection, row: Row) -> tuple[Any, ...] | None:
        idx = self._count
        self._count += 1
        problems = list(row.problems)
        fields: dict[str, Any] = {}
        if not problems:
            if self._table.header is None:
                self._note_columns(tuple(row.columns))
            fields, complaints = self._fields.convert(row.columns, self._cleaned, row.unclear)
            problems = [RowProblem(row.line, *complaint) for complaint in complaints]
        body = _body_of(row)
        if problems:
            self._problems[idx] = problems
            db.execute("INSERT INTO bad VALUES (?, ?, ?)", (idx, row.line, body))
            return None
        if row.unclear and CUSTOM in fields:
            self._unclear[idx] = row.unclear
        # Two spellings of the same values are the same row.
        meaning = (self._fields.lead_id(row.columns), fields)
        content = msgspec.json.encode(meaning, order="deterministic")
        fingerprint = blake2b(content, digest_size=16).digest()
        self.fields_used.update(fields)
        keys = self._fields.keys(fields)
        name, lead = fields.get("name"), self._fields.known_lead(row.columns)
        return idx, row.line, fingerprint, body, *keys, name, CUSTOM in fields, lead

    def _check_custom(self, db: sqlite3.Connection) -> None:
        rows = db.execute("SELECT idx, line, body FROM incoming WHERE custom ORDER BY idx")
        for idx, line, body in rows.fetchall():
            marks = self._unclear.get(idx, NOTHING_UNCLEAR)
            _, complaints = self._fields.convert(msgspec.json.decode(body), unclear=marks)
            for complaint in complaints:
                self._complain(db, idx, RowProblem(line, *complaint))

    def _complain(self, db: sqlite3.Connection, idx: int, problem: RowProblem) -> None:
        """Report a row of the temporary table as bad."""
        self._problems.setdefault(idx, []).append(problem)
        move = "INSERT OR IGNORE INTO bad SELECT idx, line, body FROM incoming WHERE idx = ?"
        db.execute(move, (idx,))

    def _check_together(self, db: sqlite3.Connection) -> None:
        """Look for rows that are sound alone and not beside each other."""
        self._drop_bad(db)
        if self._kind == "create":
            for idx, line, first in db.execute(_TWICE).fetchall():
                reason = f"is the same as line {first} and would be created twice"
                self._complain(db, idx, RowProblem(line, None, reason))
        else:
            for problem in two_people(db):
                self._complain(db, problem.idx, problem.problem)
        self._drop_bad(db)

    @staticmethod
    def _drop_bad(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM incoming WHERE idx IN (SELECT idx FROM bad)")

    def _refusal(self, db: sqlite3.Connection) -> BadRowsError:
        """The error that refuses all rows, with the file in which the bad ones are."""
        problems = [*self._refusals, *(one for rows in self._problems.values() for one in rows)]
        file = None
        if self._options.failures is not None and not self._refusals:
            file = write_failures(db, self._options.failures, self._bad_rows(db), self.layout)
        which = f"{len(self._problems)} of {counted(self._count, 'row')}"
        if self._refusals:
            which = "the columns"
        place = f"; see {file}" if file else ""
        return BadRowsError(
            f"{which} cannot be imported and nothing was sent{place}",
            problems=tuple(sorted(problems, key=lambda problem: problem.line)),
            file=None if file is None else str(file),
        )

    def _bad_rows(self, db: sqlite3.Connection) -> list[FailedRow]:
        return [
            FailedRow(body, self._error_of(idx))
            for idx, body in db.execute("SELECT idx, body FROM bad ORDER BY idx")
        ]

    def _error_of(self, idx: int) -> str:
        problems = self._problems[idx]
        return f"line {problems[0].line}: {'; '.join(problem.text for problem in problems)}"

    def _set_aside(self, db: sqlite3.Connection) -> None:
        """Write the bad rows to the journal, in a state in which they are never sent."""
        for idx, line, body in db.execute("SELECT idx, line, body FROM bad ORDER BY idx"):
            [group, *_] = group_problems(self._problems[idx])
            db.execute(
                "INSERT INTO rows (idx, line, hash, body, state, reason, error)"
                " VALUES (?, ?, x'', ?, ?, ?, ?)",
                (idx, line, body, SET_ASIDE, group.reason, self._error_of(idx)),
            )

    def _insert(self, db: sqlite3.Connection, facts: Mapping[str, str]) -> None:
        known = read_meta(db)
        if "rows" in known:
            self._compare(db, known, facts)
        else:
            write_meta(db, {**facts, "rows": str(self._count)})
            self._set_aside(db)
            db.execute(
                "INSERT INTO rows (idx, line, hash, body, key_a, key_b)"
                " SELECT idx, line, hash, body, key_a, key_b FROM incoming"
            )
            link(db, "TRUE")
            if self._kind == "upsert":
                db.execute(_REPEATS)
                link(db, "state = 'pending'")
        db.execute("DROP TABLE incoming")
        db.execute("DROP TABLE bad")

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


async def _in_portions(source: Any, clock: Clock) -> AsyncIterator[list[Row]]:
    """The rows of a program, some at a time, so that other tasks get their turn."""
    number = 0
    if isinstance(source, AsyncIterable):
        portion: list[Row] = []
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


def _numbered(items: Iterable[Any]) -> Iterator[Row]:
    for number, item in enumerate(items, 1):
        yield row_from_object(number, item)

"""Finds the leads of an import's rows before the first row is sent, and plans what each changes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from syncro_async.bulk.estimates import requests_for
from syncro_async.bulk.importing.fields import FieldMapping
from syncro_async.bulk.importing.journal import Journal, read_meta, write_meta
from syncro_async.bulk.importing.matching import (
    normal_email,
    phone_index,
    same_name,
    same_phone,
    without_tag,
)
from syncro_async.bulk.importing.outage import Outage
from syncro_async.bulk.importing.plan import (
    Found,
    Key,
    RowContent,
    RowPlan,
    RowRefusedError,
    TagsMode,
    after_earlier_rows,
    check_creates,
    plan_for,
)
from syncro_async.bulk.importing.reading import CompleteReading, lead_of
from syncro_async.bulk.importing.whole_list import PAGE_SIZE, WholeList
from syncro_async.bulk.progress import ProgressReporter
from syncro_async.models.lead import Lead
from syncro_async.models.page import Page
from syncro_async.models.receipts import RowProblem, group_problems
from syncro_async.paging.paginator import Paginator
from syncro_async.resources.arguments import MatchBy
from syncro_async.resources.leads import Leads

# A search for the last digits of a phone finds it in every spelling.
_SEARCHED_DIGITS = 4
_PLANNED = "planned"
_TABLES = """
CREATE TEMP TABLE wanted (idx INTEGER, id INTEGER, email TEXT, phone TEXT);
CREATE INDEX temp.wanted_by_id ON wanted (id) WHERE id IS NOT NULL;
CREATE INDEX temp.wanted_by_email ON wanted (email) WHERE email IS NOT NULL;
CREATE INDEX temp.wanted_by_phone ON wanted (phone) WHERE phone IS NOT NULL;
CREATE TEMP TABLE keys (lead_id INTEGER PRIMARY KEY, email TEXT, phone TEXT);
CREATE INDEX temp.keys_by_email ON keys (email);
CREATE INDEX temp.keys_by_phone ON keys (phone);
CREATE TEMP TABLE leads (lead_id INTEGER PRIMARY KEY, lead BLOB NOT NULL);
"""
_MATCHING = """
SELECT 1 FROM wanted WHERE id = :id UNION ALL SELECT 1 FROM wanted WHERE email = :email
UNION ALL SELECT 1 FROM wanted WHERE phone = :phone LIMIT 1
"""
_decode_lead = msgspec.json.Decoder(Lead).decode
_decode_plan = msgspec.json.Decoder(RowPlan).decode


class Refusal(NamedTuple):
    """A row that cannot be sent: its index, and why."""

    idx: int
    problem: RowProblem

    @property
    def error(self) -> str:
        """The line of the row, and why it cannot be sent."""
        problem = self.problem
        return f"line {problem.line}: {problem.text if problem.column else problem.reason}"


class Comparison:
    """Finds the leads of the rows, and writes the plan of each row to the journal.

    The leads are found by whichever takes fewer requests: a reading of all leads, or one search
    for each key of a row. A lead that is created meanwhile, or that a search does not show yet, is
    not found: its row is then sent as one that creates a lead.

    `all_leads`: the ids of all leads, None when only some were read. `refusals`: the rows of which
    it is not certain which lead they are about.
    """

    def __init__(
        self,
        journal: Journal,
        fields: FieldMapping,
        outage: Outage,
        progress: ProgressReporter,
        *,
        match_by: MatchBy,
        tags_mode: TagsMode,
    ) -> None:
        self._journal = journal
        self._fields = fields
        self._outage = outage
        self._progress = progress
        self._match_by: MatchBy = match_by
        self._tags_mode: TagsMode = tags_mode
        self._seen: set[int] = set()
        self.all_leads: set[int] | None = None
        self.answered_at: datetime | None = None
        self.refusals: list[Refusal] = []
        # The values that the rows send, by lead and field.
        self._sent: dict[int, dict[str, Any]] = {}

    async def run(self, leads: Leads, include: str | None) -> bool:
        """Plan the rows, unless an earlier run with this journal has finished it.

        Return False when it cannot be proved that all leads were shown.
        """
        if await self._journal.run(_is_done):
            return True
        terms = await self._journal.run(self._prepare)
        self._progress.phase("comparing", None)
        everything = WholeList(leads, include, self._outage, self._take)
        page = await everything.first_page()
        pages = requests_for(page.meta.total, page.meta.per_page or PAGE_SIZE, once=True)
        if terms is not None and 1 + len(terms) < pages:
            await self._take(page)
            is_complete = await self._search(leads, include, terms)
        else:
            is_complete = await everything.read(page)
            self.all_leads = self._seen
        if is_complete:
            await self._journal.run(self._conclude)
        return is_complete

    async def _search(self, leads: Leads, include: str | None, terms: Sequence[str]) -> bool:
        self._progress.phase("searching", len(terms))
        for done, words in enumerate(terms, 1):
            if not await self._search_for(words, leads, include):
                return False
            self._progress.reach(done)
        return True

    async def _search_for(self, words: str, leads: Leads, include: str | None) -> bool:
        def list_from(page: int) -> Paginator[Lead]:
            return leads.list(q=words, page_size=PAGE_SIZE, include=include, start_page=page)

        return await CompleteReading(list_from, self._outage, self._keep).run()

    async def _take(self, page: Page[Lead]) -> None:
        """Keep the leads of a page of the whole list, and report the progress."""
        await self._keep(page)
        total = max(page.meta.total, len(self._seen))
        if total:  # an empty account has nothing to compare with
            self._progress.reach(len(self._seen), total=total)

    async def _keep(self, page: Page[Lead]) -> None:
        shown = [*page.items, *filter(None, (lead_of(item.raw) for item in page.unreadable))]
        fresh = {lead.id: lead for lead in shown if lead.id not in self._seen}
        self._seen.update(fresh)
        self.answered_at = self.answered_at or page.answered_at
        await self._journal.run(lambda db: _keep(db, fresh.values()))

    # -------------------------------------------------------------- in the journal's thread

    def _prepare(self, db: sqlite3.Connection) -> list[str] | None:
        """Index the rows by their keys; return what to search for, None where all must be read.

        A row with the id of its lead needs all leads: which of its keys are shared by others is
        known only then.
        """
        for statement in _TABLES.split(";")[:-1]:
            db.execute(statement)
        terms: dict[str, None] = {}
        has_ids = False
        for idx, body in db.execute("SELECT idx, body FROM rows WHERE state = 'pending'"):
            row = content_of(self._fields, body)
            email, phone = row.fields.get("email"), row.fields.get("phone")
            by_email = None if email is None else normal_email(email)
            by_phone = None if phone is None else phone_index(phone)
            short = None if by_email is None else without_tag(by_email)
            for email_of_lead in {by_email, short}:
                wanted = (idx, row.id, email_of_lead, by_phone)
                db.execute("INSERT INTO wanted VALUES (?, ?, ?, ?)", wanted)
            has_ids = has_ids or row.id is not None
            # Some servers drop what follows a plus sign.
            for term in (
                email,
                short if short != by_email else None,
                by_phone and by_phone[-_SEARCHED_DIGITS:],
            ):
                if term:
                    terms[term] = None
        return None if has_ids else list(terms)

    def _conclude(self, db: sqlite3.Connection) -> None:
        query = "SELECT idx, line, body, after_a, after_b FROM rows WHERE state = 'pending'"
        accepted: set[int] = set()
        for idx, line, body, *after in db.execute(f"{query} ORDER BY idx").fetchall():
            row = content_of(self._fields, body)
            try:
                plan = self._plan_of(db, row)
                if plan is None and accepted.isdisjoint(after):
                    check_creates(self._fields.lacking(row.fields))
            except RowRefusedError as refused:
                what = refused.column, str(refused), refused.value, refused.advice
                self.refusals.append(Refusal(idx, RowProblem(line, *what)))
                continue
            accepted.add(idx)
            if plan is not None:
                state = "pending" if plan.changes else "unchanged"
                blob = msgspec.json.encode(plan)
                db.execute("UPDATE rows SET plan = ?, state = ? WHERE idx = ?", (blob, state, idx))
        if not self.refusals:
            write_meta(db, {_PLANNED: "yes"})
        for table in ("wanted", "keys", "leads"):
            db.execute(f"DROP TABLE temp.{table}")

    def _plan_of(self, db: sqlite3.Connection, row: RowContent) -> RowPlan | None:
        """Return the plan of a row, beside the rows before it. Raises `RowRefusedError`."""
        plan = plan_for(
            row,
            _found(db, row, self._sent),
            match_by=self._match_by,
            tags_mode=self._tags_mode,
            is_shared=lambda key, lead: _is_shared(db, key, lead),
        )
        if plan is None:
            return None
        return after_earlier_rows(row, plan, self._sent.setdefault(plan.lead_id, {}))


def _is_done(db: sqlite3.Connection) -> bool:
    return _PLANNED in read_meta(db)


def set_refused_aside(db: sqlite3.Connection, refusals: Iterable[Refusal]) -> None:
    """Set the refused rows aside: they are never sent. All others are planned."""
    db.executemany(
        "UPDATE rows SET state = 'set aside', reason = ?, error = ? WHERE idx = ?",
        [(group_problems([one.problem])[0].reason, one.error, one.idx) for one in refusals],
    )
    write_meta(db, {_PLANNED: "yes"})


def content_of(fields: FieldMapping, body: bytes) -> RowContent:
    """Return what a row of the journal says."""
    columns = msgspec.json.decode(body)
    return RowContent(
        fields.lead_id(columns),
        fields.own(columns),
        fields.blank(columns),
        fields.doubts(columns),
        lambda lead: fields.unchanged(columns, lead),
    )


def plan_of(blob: bytes | None) -> RowPlan | None:
    """Return the plan that the journal holds."""
    return None if blob is None else _decode_plan(blob)


def _keep(db: sqlite3.Connection, leads: Iterable[Lead]) -> None:
    """Keep the keys of every lead, and the whole of those that a row may be about."""
    for lead in leads:
        email = normal_email(lead.email) if lead.email else None
        phone = phone_index(lead.phone) or None if lead.phone else None
        db.execute("INSERT INTO keys VALUES (?, ?, ?)", (lead.id, email, phone))
        known = {"id": lead.id, "email": email, "phone": phone}
        if db.execute(_MATCHING, known).fetchone() is not None:
            db.execute("INSERT INTO leads VALUES (?, ?)", (lead.id, msgspec.json.encode(lead)))


def _found(db: sqlite3.Connection, row: RowContent, sent: Mapping[int, Mapping[str, Any]]) -> Found:
    """Return the leads of a row, with the tags that earlier rows give them."""

    def with_tags(lead: Lead) -> Lead:
        return replace(lead, tags=sent.get(lead.id, {}).get("tags", lead.tags))

    email, phone = row.fields.get("email"), row.fields.get("phone")
    by_id = [] if row.id is None else _leads(db, "lead_id", row.id)
    by_email = [] if email is None else _of_email(db, normal_email(email), row.fields.get("name"))
    by_phone = [] if phone is None else _leads(db, "phone", phone_index(phone))
    same = [lead for lead in by_phone if same_phone(lead.phone or "", phone or "")]
    return Found(
        next(map(with_tags, by_id), None), [*map(with_tags, by_email)], [*map(with_tags, same)]
    )


def _of_email(db: sqlite3.Connection, email: str, name: str | None) -> list[Lead]:
    """Return the leads with this address, else those of this name whose address lacks its tag.

    Some servers drop what follows a plus sign; the lead is then found by the rest only.
    """
    exact = list(_leads(db, "email", email))
    if exact or name is None:
        return exact
    others = _leads(db, "email", without_tag(email))
    return [lead for lead in others if lead.name is not None and same_name(lead.name, name)]


def _leads(db: sqlite3.Connection, column: str, value: Any) -> Iterator[Lead]:
    query = "SELECT lead FROM keys JOIN leads USING (lead_id) WHERE keys.{} = ? ORDER BY lead_id"
    rows = db.execute(query.format(column), (value,))
    yield from (_decode_lead(blob) for (blob,) in rows)


def _is_shared(db: sqlite3.Connection, key: Key, lead: Lead) -> bool:
    value = normal_email(lead.email or "") if key == "email" else phone_index(lead.phone or "")
    query = f"SELECT 1 FROM keys WHERE {key} = ? AND lead_id <> ?"  # noqa: S608  # a constant
    return db.execute(query, (value, lead.id)).fetchone() is not None

"""Looks at the server whether a row was carried out whose answer was lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from syncro_async.bulk.files import values
from syncro_async.bulk.importing.diff import changes_of
from syncro_async.bulk.importing.fields import FieldMapping, Kind
from syncro_async.bulk.importing.journal import Journal, is_claimed
from syncro_async.models.lead import Lead
from syncro_async.resources.leads import Leads

# How far the server's clock may be behind ours (s), and how old a lead may be that says exactly
# what the row says.
_SKEW = timedelta(minutes=10)
_STRANGE_SKEW = timedelta(days=1)
# Digits that tell a phone, however its country and its area are written.
_SUBSCRIBER = 8
_MOST = 1000


class Reconciler:
    """Finds the lead that a row made or changed.

    The search is `leads.list(q=…)`, which looks into name, email and phone (API reference,
    'Leads'), for the row's email, else its phone, else its name.
    """

    def __init__(self, leads: Leads, journal: Journal, fields: FieldMapping, kind: Kind) -> None:
        self._leads = leads
        self._journal = journal
        self._fields = fields
        self._kind = kind

    async def find_result(
        self, fields: Mapping[str, Any], idx: int, sent_at: float
    ) -> tuple[str, int] | None:
        """The state that the row has reached and its lead's id, or None: it was not carried out.

        A created lead has the row's email (or phone, or name), is not another row's, and did not
        exist when the row was first sent at `sent_at` (unix time).
        """
        async for lead in self._candidates(fields):
            created = await self.is_new(lead, fields, idx, sent_at)
            if self._kind == "create":
                if created:
                    return "created", lead.id
            elif not changes_of(fields, lead):
                return "created" if created else "updated", lead.id
        return None

    async def was_created(
        self, fields: Mapping[str, Any], idx: int, sent_at: float, lead_id: int
    ) -> bool:
        """Whether an earlier attempt, whose answer was lost, has made this lead."""
        async for lead in self._candidates(fields):
            if lead.id == lead_id:
                return await self.is_new(lead, fields, idx, sent_at)
        return False

    async def is_new(self, lead: Lead, fields: Mapping[str, Any], idx: int, sent_at: float) -> bool:
        """Whether the lead came to be since then, and not by another row of this import."""
        if await self._journal.run(lambda db: is_claimed(db, lead.id, idx)):
            return False
        began = datetime.fromtimestamp(sent_at, UTC)
        if lead.created_at is None or lead.created_at >= began - _SKEW:
            return True
        return lead.created_at >= began - _STRANGE_SKEW and not changes_of(fields, lead)

    async def _candidates(self, fields: Mapping[str, Any]) -> AsyncIterator[Lead]:
        include = "owner" if "assigned_to" in fields else None
        for words in self._searches(fields):
            found = self._leads.list(q=words, include=include, max_items=_MOST)
            async for lead in found:
                if self._has_key(lead, fields):
                    yield lead

    def _searches(self, fields: Mapping[str, Any]) -> Iterator[str]:
        email, phone = self._keys(fields)
        if email is not None:
            yield email
        elif phone is not None:
            yield phone
            digits = values.digits(phone)
            if len(digits) >= _SUBSCRIBER and digits[-_SUBSCRIBER:] != phone:
                yield digits[-_SUBSCRIBER:]
        else:
            yield fields["name"]

    def _keys(self, fields: Mapping[str, Any]) -> tuple[str | None, str | None]:
        """Email and phone as the row has them, as far as they tell its lead."""
        by_email, by_phone = self._fields.match_keys
        return (
            fields.get("email") if by_email else None,
            fields.get("phone") if by_phone else None,
        )

    def _has_key(self, lead: Lead, fields: Mapping[str, Any]) -> bool:
        email, phone = self._keys(fields)
        if email is not None:
            return (lead.email or "").strip().casefold() == email.casefold()
        if phone is not None:
            theirs, ours = values.digits(lead.phone or ""), values.digits(phone)
            shorter = min(len(theirs), len(ours))
            return theirs == ours or (
                shorter >= _SUBSCRIBER and theirs[-shorter:] == ours[-shorter:]
            )
        name: str = fields["name"]
        return (lead.name or "").strip().casefold() == name.casefold()

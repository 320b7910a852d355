"""The calls that only read leads: the filtered, paged list, and one by its id."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from syncro_async.sandbox.account import STAGES
from syncro_async.sandbox.answers import Answer, told
from syncro_async.sandbox.pages import page_asked, page_meta
from syncro_async.sandbox.relations import Seen, asked_in_list, asked_of_one, related

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncro_async.sandbox.asked import Asked
    from syncro_async.sandbox.record import LeadRecord
    from syncro_async.sandbox.validation import Form

    Filter = Callable[[LeadRecord], bool]

_SECONDS = len("2026-06-30T10:00:00")


def list_leads(asked: Asked) -> Answer:
    """`GET /leads`."""
    form = asked.filters()
    page, per_page = page_asked(form)
    filters = _filters(form)
    include = asked_in_list(form.text("include"))
    form.settle()
    leads = asked.store.listed()
    first = (page - 1) * per_page
    if filters:
        matching = [lead for lead in leads if all(fits(lead) for fits in filters)]
        total = len(matching)
        shown = matching[first : first + per_page]
    else:
        total = len(leads)
        shown = list(islice(leads, min(first, total), first + per_page))
    meta = page_meta(total, page, per_page)
    data = [_encoded(asked, lead, include) for lead in shown]
    return told({"success": True, "data": data, "meta": meta | asked.wire.surprise()})


def get_lead(asked: Asked) -> Answer:
    """`GET /leads/{id}`."""
    lead = asked.store.find(asked.parts[0])
    form = asked.filters()
    include = asked_of_one(form.text("include"))
    form.settle()
    extra = related(include, Seen(asked.store, lead, asked.wire))
    return told({"success": True, "lead": asked.wire.detail(lead) | extra})


def _encoded(asked: Asked, lead: LeadRecord, include: frozenset[str]) -> msgspec.Raw:
    """The lead's JSON: made once for each set of relations, until the lead changes."""
    known = lead.encoded.get(include)
    if known is None:
        fields = asked.wire.lead(lead) | related(include, Seen(asked.store, lead, asked.wire))
        known = lead.encoded[include] = msgspec.Raw(msgspec.json.encode(fields))
    return known


def _filters(form: Form) -> list[Filter]:
    filters: list[Filter] = []
    for name in ("pipeline_id", "stage_id", "assigned_to"):
        _equal(filters, name, form.integer(name))
    _equal(filters, "source", form.text("source"))
    status = form.text("status")
    if status is not None:
        filters.append(lambda lead: STAGES[lead["stage_id"]].status == status)
    wanted = frozenset(form.texts("tags") or ())
    if wanted:
        filters.append(lambda lead: not wanted.isdisjoint(lead["tags"]))
    q = (form.text("q") or "").casefold()
    if q:
        filters.append(lambda lead: _mentions(lead, q))
    _since(filters, "updated_at", form.moment("updated_since"))
    _since(filters, "created_at", form.moment("created_from"))
    until = form.moment("created_to", day_ends=True)
    if until is not None:
        filters.append(lambda lead: lead["created_at"][:_SECONDS] <= until)
    return filters


def _equal(filters: list[Filter], name: str, wanted: Any) -> None:
    if wanted is not None:
        filters.append(lambda lead: bool(lead[name] == wanted))


def _since(filters: list[Filter], name: str, moment: str | None) -> None:
    if moment is not None:
        # Without its Z, a moment in whole seconds sorts before the same one with a fraction.
        filters.append(lambda lead: lead[name][:_SECONDS] >= moment)


def _mentions(lead: LeadRecord, q: str) -> bool:
    return q in f"{lead['name']}\n{lead['email'] or ''}\n{lead['phone'] or ''}".casefold()

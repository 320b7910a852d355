"""What may be asked about leads: the fourteen calls of the API reference, 'Leads'."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeVar, Unpack

from syncro_async.errors import InvalidArgumentError
from syncro_async.models.envelope import Envelope
from syncro_async.models.lead import Enrollment, Lead, SentMessage, UpsertResult
from syncro_async.paging.paginator import Paginator
from syncro_async.resources.arguments import (
    LeadDetails,
    LeadFields,
    LeadFilters,
    MatchBy,
    check_match_key,
    check_message,
    filled,
    lead_fields,
    lead_filters,
    optional,
    page_range,
    relations,
    required,
    tag_names,
    texts,
)
from syncro_async.resources.keywords import show_keywords
from syncro_async.resources.resource import Resource, raw, raw_page
from syncro_async.transport.json_codec import decode_none, decoder_for, encode_body
from syncro_async.transport.messages import Call
from syncro_async.transport.urls import path_segment, query_string


class _LeadAnswer(Envelope, frozen=True, kw_only=True):
    lead: Lead


class _TagsAnswer(Envelope, frozen=True, kw_only=True):
    tags: list[str]


_read_lead_answer = decoder_for(_LeadAnswer)
_read_tags_answer = decoder_for(_TagsAnswer)

_read_upsert_result = decoder_for(UpsertResult)
_read_enrollment = decoder_for(Enrollment)
_read_sent_message = decoder_for(SentMessage)


def _read_lead(raw: bytes) -> Lead:
    """Read `{"lead": {…}}`."""
    return _read_lead_answer(raw).lead


def _read_tags(raw: bytes) -> list[str]:
    """Read `{"tags": […]}`: all tags the lead has now."""
    return _read_tags_answer(raw).tags


T = TypeVar("T")


class Leads(Resource):
    """The calls about leads, `client.leads`.

    Arguments that are None are not sent. Every call raises `InvalidArgumentError`, naming the
    argument and sending nothing, for an argument the reference rules out, and the errors of
    `syncro_async.errors` for what the server or the way to it came to: `NotFoundError` where there
    is no such lead, `ValidationError` where the server refuses a field.
    """

    @property
    def with_raw_response(self) -> RawLeads:
        """The same calls; each returns a `RawResult` with the status, headers and body."""
        return RawLeads(self)

    @show_keywords(LeadFilters)
    def list(
        self,
        *,
        page_size: int = 200,
        start_page: int = 1,
        max_items: int | None = None,
        **filters: Unpack[LeadFilters],
    ) -> Paginator[Lead]:
        """Page through the account's leads, or those that pass every filter given.

        Nothing is sent before the first lead is asked for. `tags` finds leads with any of them
        (one str is one tag); `q` searches name, email and phone; `updated_since` is the filter to
        sync by. Datetimes must be aware. `include` asks for relations by name, as several or as
        one comma list; unknown names are ignored by the server, and `events`, `conversation` and
        `siblings` exist for `get` only. `page_size` is 1 to 200, `max_items` ends the list early.
        """
        part = page_range(page_size, start_page, max_items)
        return self._paginate("/leads", lead_filters(filters), Lead, part)

    async def get(self, id: int, *, include: str | Iterable[str] = ()) -> Lead:
        """Fetch one lead, with the relations `include` names, those no list carries among them."""
        query = query_string({"include": relations("include", include)})
        path = _path(id)
        return await self._send(Call("GET", path, _read_lead, idempotent=True, query=query))

    @show_keywords(LeadDetails)
    async def create(
        self, *, name: str, pipeline_id: int, stage_id: int, **details: Unpack[LeadDetails]
    ) -> Lead:
        """Create a lead; in a won or lost stage the server records the sale or the loss with it.

        The answer carries only some of its fields. Never sent twice by itself: an answer lost on
        the way is an `OutcomeUnknownError` (`upsert` can be sent again). `PlanLimitError` when
        the plan holds no more leads.
        """
        place = required(name=name, pipeline_id=pipeline_id, stage_id=stage_id)
        filled("name", name)
        fields = lead_fields({**place, **details})
        return await self._post("/leads", _read_lead, fields, repeatable=False)

    @show_keywords(LeadFields)
    async def upsert(
        self, *, match_by: MatchBy = "email_or_phone", **fields: Unpack[LeadFields]
    ) -> UpsertResult:
        """Update the lead that has this email or phone, or create one.

        The email or phone `match_by` names must be given. Of a lead that is found, only fields
        that are sent and not empty change. May be sent again when an answer was lost, and then
        finds what it created before: `created` is False in that case.
        """
        given = lead_fields(fields)
        body = {**given, "match_by": check_match_key(match_by, given)}
        return await self._post("/leads/upsert", _read_upsert_result, body, repeatable=True)

    async def move(self, id: int, *, stage_id: int, pipeline_id: int) -> None:
        """Move the lead to another stage, if need be of another pipeline.

        `StageBlockedError` while mandatory tasks of its present stage are pending.
        """
        await self._put(_path(id, "stage"), required(stage_id=stage_id, pipeline_id=pipeline_id))

    async def mark_won(
        self, id: int, *, stage_id: int, value: float | Decimal | None = None
    ) -> None:
        """Move the lead to a won stage and record the sale, at the lead's own value by default.

        `UnprocessableError` if that is no won stage, `StageBlockedError` as for `move`.
        """
        await self._put(_path(id, "won"), required(stage_id=stage_id) | optional(value=value))

    async def mark_lost(self, id: int, *, stage_id: int, reason_id: int | None = None) -> None:
        """Move the lead to a lost stage and record the reason.

        `UnprocessableError` if that is no lost stage, `StageBlockedError` as for `move`.
        """
        body = required(stage_id=stage_id) | optional(reason_id=reason_id)
        await self._put(_path(id, "lost"), body)

    async def delete(self, id: int) -> None:
        """Remove the lead. That it is gone once an earlier attempt was lost counts as done."""
        await self._send(
            Call("DELETE", _path(id), decode_none, idempotent=True, not_found_is_success=True)
        )

    async def add_tags(self, id: int, tags: str | Iterable[str]) -> builtins.list[str]:
        """Add at least one tag (one str is one tag) and return all tags the lead has now."""
        names = tag_names("tags", tags)
        if not names:
            raise InvalidArgumentError("tags must hold at least one tag", argument="tags")
        path = _path(id, "tags")
        return await self._post(path, _read_tags, {"tags": names}, repeatable=True)

    async def remove_tag(self, id: int, tag: str) -> builtins.list[str]:
        """Take one tag off the lead and return those it still has."""
        path = _path(id, "tags", path_segment("tag", filled("tag", tag)))
        return await self._send(Call("DELETE", path, _read_tags, idempotent=True))

    async def enroll(self, id: int, *, sequence_id: int) -> Enrollment:
        """Enroll the lead in an active nurture sequence. Never sent twice by itself."""
        path, body = _path(id, "enroll-sequence"), required(sequence_id=sequence_id)
        return await self._post(path, _read_enrollment, body, repeatable=False)

    async def unenroll(self, id: int, *, sequence_id: int) -> Enrollment:
        """Take the lead out of a nurture sequence."""
        path = _path(id, "enroll-sequence", path_segment("sequence_id", sequence_id))
        return await self._send(Call("DELETE", path, _read_enrollment, idempotent=True))

    async def send_whatsapp(
        self,
        id: int,
        *,
        body: str | None = None,
        media_url: str | None = None,
        caption: str | None = None,
        instance_id: int | None = None,
    ) -> SentMessage:
        """Send a text to the lead's phone or, with `media_url`, an image. Never sent twice.

        `instance_id` is the number to send from, the account's main one by default.
        `MessagingWindowClosedError` outside the 24 hours of the official API (`send_template`
        works then), `ProviderError` when WhatsApp refuses.
        """
        check_message(body, media_url)
        message = optional(body=body, media_url=media_url, caption=caption, instance_id=instance_id)
        message["type"] = "text" if media_url is None else "image"
        path = _path(id, "send-whatsapp")
        return await self._post(path, _read_sent_message, message, repeatable=False)

    async def send_template(
        self,
        id: int,
        *,
        template_id: int,
        variables: Iterable[str] = (),
        header_media_url: str | None = None,
        instance_id: int | None = None,
    ) -> SentMessage:
        """Send an approved template, its `variables` in order. Never sent twice by itself.

        `header_media_url` is for templates whose header needs one, `instance_id` the number to
        send from. `ProviderError` when WhatsApp refuses.
        """
        message = required(template_id=template_id) | optional(
            variables=texts("variables", variables) or None,
            header_media_url=header_media_url,
            instance_id=instance_id,
        )
        path = _path(id, "send-whatsapp-template")
        return await self._post(path, _read_sent_message, message, repeatable=False)

    async def _post(
        self, path: str, read: Callable[[bytes], T], body: Mapping[str, Any], *, repeatable: bool
    ) -> T:
        call = Call("POST", path, read, idempotent=repeatable, body=encode_body(body))
        return await self._send(call)

    async def _put(self, path: str, body: Mapping[str, Any]) -> None:
        await self._send(Call("PUT", path, decode_none, idempotent=True, body=encode_body(body)))


class RawLeads:
    """The calls of `client.leads`; each returns a `RawResult`, `list` one with the first page."""

    def __init__(self, leads: Leads) -> None:
        self.list = raw_page(leads.list)
        self.get = raw(leads.get)
        self.create = raw(leads.create)
        self.upsert = raw(leads.upsert)
        self.move = raw(leads.move)
        self.mark_won = raw(leads.mark_won)
        self.mark_lost = raw(leads.mark_lost)
        self.delete = raw(leads.delete)
        self.add_tags = raw(leads.add_tags)
        self.remove_tag = raw(leads.remove_tag)
        self.enroll = raw(leads.enroll)
        self.unenroll = raw(leads.unenroll)
        self.send_whatsapp = raw(leads.send_whatsapp)
        self.send_template = raw(leads.send_template)


def _path(id: int, *rest: str) -> str:
    return "/".join(("/leads", path_segment("id", id), *rest))

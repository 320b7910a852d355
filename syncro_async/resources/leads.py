"""What the API can do with leads: the calls of its reference, "Leads"."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeVar, Unpack

from syncro_async.errors import InvalidArgumentError
from syncro_async.models.envelope import Envelope
from syncro_async.models.lead import Enrollment, Lead, SentMessage, UpsertResult
from syncro_async.models.types import Relation
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

        lead = await syncro.leads.get(1, include=["owner"])
        await syncro.leads.add_tags(lead.id, "vip")

    Arguments that are None are not sent. Every call raises `InvalidArgumentError`, naming the
    argument and sending nothing, for an argument that the reference rules out, and the other errors
    of `syncro_async.errors`: `NotFoundError` where there is no such lead, `ValidationError` where
    the server refuses a field.
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
        """Page through the account's leads, or those that pass every filter.

        Nothing is sent before the first lead is asked for.

        - `pipeline_id`, `stage_id`: leads in this pipeline, in this stage.
        - `assigned_to`: the id of the user who is responsible.
        - `source`, `status`: words of the account, compared as they are.
        - `tags`: leads with any of these tags; a text is one tag.
        - `q`: a part of the name, the email or the phone.
        - `updated_since`: changed at or after this time; the filter to sync by. An aware datetime
          or a date.
        - `created_from`, `created_to`: created in this period. Aware datetimes or dates.
        - `include`: relations to load, by name: several, or one text with commas. Unknown names are
          ignored by the server. `events`, `conversation` and `siblings` exist for `get` only.
        - `page_size`: leads a page, 1 to 200 (default 200).
        - `start_page`: the first page to read, counted from 1 (default 1).
        - `max_items`: the list ends after so many leads (None: at its end).
        """
        part = page_range(page_size, start_page, max_items)
        return self._paginate("/leads", lead_filters(filters), Lead, part)

    async def get(self, id: int, *, include: Relation | Iterable[Relation] = ()) -> Lead:
        """Fetch one lead.

        - `id`: the lead's id.
        - `include`: relations to load, by name: several, or one text with commas (default: none).
          Here also those that no list has: `events`, `conversation` and `siblings`.
        """
        query = query_string({"include": relations("include", include)})
        path = _path(id)
        return await self._send(Call("GET", path, _read_lead, idempotent=True, query=query))

    @show_keywords(LeadDetails)
    async def create(
        self, *, name: str, pipeline_id: int, stage_id: int, **details: Unpack[LeadDetails]
    ) -> Lead:
        """Create a lead. In a won or lost stage the server records the sale or the loss with it.

        The result has only some of the lead's fields. The call is never sent twice by itself: when
        its answer is lost, it raises `OutcomeUnknownError` (`upsert` can be sent again). It raises
        `PlanLimitError` when the plan holds no more leads.

        - `name`: the lead's name, not blank.
        - `pipeline_id`, `stage_id`: where the lead is put.
        - `phone`: a phone number, best as `+5511999990000` (E.164).
        - `email`: an email address.
        - `value`: the value of the deal, in the account's currency. A `Decimal` keeps its digits.
        - `source`: where the lead comes from, a word of the account.
        - `tags`: tag names; a text is one tag.
        - `notes`: a text about the lead.
        - `utm_source`, `utm_medium`, `utm_campaign`, `utm_term`, `utm_content`: the campaign.
        - `assigned_to`: the id of the user who is responsible.
        - `custom_fields`: a map from the names of custom fields to their values: numbers, texts,
          dates, booleans, lists. Names that the account does not have are ignored by the server.
        """
        place = required(name=name, pipeline_id=pipeline_id, stage_id=stage_id)
        filled("name", name)
        fields = lead_fields({**place, **details})
        return await self._post("/leads", _read_lead, fields, idempotent=False)

    @show_keywords(LeadFields)
    async def upsert(
        self, *, match_by: MatchBy = "email_or_phone", **fields: Unpack[LeadFields]
    ) -> UpsertResult:
        """Update the lead that has this email or phone, or create one.

        Of a lead that is found, only fields change that are sent and not empty. The call may be
        sent again when an answer was lost, and then finds the lead that it created before:
        `created` is False in that case.

        - `match_by`: what a lead is found by: `"email"`, `"phone"` or `"email_or_phone"` (the
          default). The field that it names must be given.
        - `name`, `pipeline_id`, `stage_id`, `phone`, `email`, `value`, `source`, `tags`, `notes`,
          `utm_source`, `utm_medium`, `utm_campaign`, `utm_term`, `utm_content`, `assigned_to`,
          `custom_fields`: as for `create`; none of them is required here.
        """
        given = lead_fields(fields)
        body = {**given, "match_by": check_match_key(match_by, given)}
        return await self._post("/leads/upsert", _read_upsert_result, body, idempotent=True)

    async def move(self, id: int, *, stage_id: int, pipeline_id: int) -> None:
        """Move the lead to another stage, also of another pipeline.

        Raises `StageBlockedError` while mandatory tasks of the lead's present stage are pending.

        - `id`: the lead's id.
        - `stage_id`, `pipeline_id`: the new stage, and the pipeline that it belongs to.
        """
        await self._put(_path(id, "stage"), required(stage_id=stage_id, pipeline_id=pipeline_id))

    async def mark_won(
        self, id: int, *, stage_id: int, value: float | Decimal | None = None
    ) -> None:
        """Move the lead to a won stage and record the sale.

        Raises `UnprocessableError` for a stage that is no won stage, and `StageBlockedError` as
        `move`.

        - `id`: the lead's id.
        - `stage_id`: a stage with `is_won`.
        - `value`: the value of the sale (None: the lead's own value).
        """
        await self._put(_path(id, "won"), required(stage_id=stage_id) | optional(value=value))

    async def mark_lost(self, id: int, *, stage_id: int, reason_id: int | None = None) -> None:
        """Move the lead to a lost stage and record the loss.

        Raises `UnprocessableError` for a stage that is no lost stage, and `StageBlockedError` as
        `move`.

        - `id`: the lead's id.
        - `stage_id`: a stage with `is_lost`.
        - `reason_id`: one of the account's lost reasons, see `pipelines.list` (None: no reason).
        """
        body = required(stage_id=stage_id) | optional(reason_id=reason_id)
        await self._put(_path(id, "lost"), body)

    async def delete(self, id: int) -> None:
        """Remove the lead.

        - `id`: the lead's id. When an earlier attempt was lost, a lead that is gone counts as
          removed.
        """
        await self._send(
            Call("DELETE", _path(id), decode_none, idempotent=True, not_found_is_success=True)
        )

    async def add_tags(self, id: int, tags: str | Iterable[str]) -> builtins.list[str]:
        """Add tags to the lead, and return all tags that it has now.

        - `id`: the lead's id.
        - `tags`: at least one tag name; a text is one tag.
        """
        names = tag_names("tags", tags)
        if not names:
            raise InvalidArgumentError("tags must hold at least one tag", argument="tags")
        path = _path(id, "tags")
        return await self._post(path, _read_tags, {"tags": names}, idempotent=True)

    async def remove_tag(self, id: int, tag: str) -> builtins.list[str]:
        """Remove one tag from the lead, and return the tags that it still has.

        - `id`: the lead's id.
        - `tag`: the name of the tag.
        """
        path = _path(id, "tags", path_segment("tag", filled("tag", tag)))
        return await self._send(Call("DELETE", path, _read_tags, idempotent=True))

    async def enroll(self, id: int, *, sequence_id: int) -> Enrollment:
        """Enroll the lead in a nurture sequence. The call is never sent twice by itself.

        - `id`: the lead's id.
        - `sequence_id`: an active sequence.
        """
        path, body = _path(id, "enroll-sequence"), required(sequence_id=sequence_id)
        return await self._post(path, _read_enrollment, body, idempotent=False)

    async def unenroll(self, id: int, *, sequence_id: int) -> Enrollment:
        """Take the lead out of a nurture sequence.

        - `id`: the lead's id.
        - `sequence_id`: the sequence that it is enrolled in.
        """
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
        """Send a text or an image to the lead's phone. The call is never sent twice by itself.

        Raises `MessagingWindowClosedError` outside the 24 hours of the official API, where
        `send_template` works, and `ProviderError` when WhatsApp refuses the message.

        - `id`: the lead's id.
        - `body`: the text; required without `media_url`.
        - `media_url`: an http(s) URL of an image, which is sent instead of a text.
        - `caption`: the text below the image.
        - `instance_id`: the number to send from (None: the account's main one).
        """
        check_message(body, media_url)
        message = optional(body=body, media_url=media_url, caption=caption, instance_id=instance_id)
        message["type"] = "text" if media_url is None else "image"
        path = _path(id, "send-whatsapp")
        return await self._post(path, _read_sent_message, message, idempotent=False)

    async def send_template(
        self,
        id: int,
        *,
        template_id: int,
        variables: Iterable[str] = (),
        header_media_url: str | None = None,
        instance_id: int | None = None,
    ) -> SentMessage:
        """Send an approved template to the lead's phone. The call is never sent twice by itself.

        Raises `ProviderError` when WhatsApp refuses the message.

        - `id`: the lead's id.
        - `template_id`: the template, see `whatsapp.templates`.
        - `variables`: the texts for its placeholders, in order (default: none).
        - `header_media_url`: an http(s) URL, for templates whose header needs a medium.
        - `instance_id`: the number to send from (None: the account's main one).
        """
        message = required(template_id=template_id) | optional(
            variables=texts("variables", variables) or None,
            header_media_url=header_media_url,
            instance_id=instance_id,
        )
        path = _path(id, "send-whatsapp-template")
        return await self._post(path, _read_sent_message, message, idempotent=False)

    async def _post(
        self, path: str, read: Callable[[bytes], T], body: Mapping[str, Any], *, idempotent: bool
    ) -> T:
        call = Call("POST", path, read, idempotent=idempotent, body=encode_body(body))
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

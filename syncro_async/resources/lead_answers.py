"""What the answers to calls about one lead say, out of their envelopes."""

from __future__ import annotations

from syncro_async.models.enrollment import Enrollment
from syncro_async.models.envelope import Envelope
from syncro_async.models.lead import Lead
from syncro_async.models.message import SentMessage
from syncro_async.models.upsert import UpsertResult
from syncro_async.transport.json_codec import reading


class _LeadAnswer(Envelope, frozen=True, kw_only=True):
    lead: Lead


class _TagsAnswer(Envelope, frozen=True, kw_only=True):
    tags: list[str]


_read_lead_answer = reading(_LeadAnswer)
_read_tags_answer = reading(_TagsAnswer)

upsert_result = reading(UpsertResult)
enrollment = reading(Enrollment)
sent_message = reading(SentMessage)


def lead(raw: bytes) -> Lead:
    """Read `{"lead": {…}}`."""
    return _read_lead_answer(raw).lead


def tags(raw: bytes) -> list[str]:
    """Read `{"tags": […]}`: all tags the lead has now."""
    return _read_tags_answer(raw).tags

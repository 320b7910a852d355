"""Wolfeo (API reference, "Errors & Status Codes")."""

from __future__ import annotations

from syncro_async.dialects.dialect import Dialect
from syncro_async.dialects.pagination import PageNumbers
from syncro_async.limiting.rate_limit import RateLimit

WOLFEO = Dialect(
    name="Wolfeo",
    environment="WOLFEO",
    base_url="https://api.wolfeo.me/v1",
    key_header="Authorization",
    key_scheme="Bearer ",
    # Both hold at once; above either a call is rejected.
    rates=(RateLimit(600, 60.0), RateLimit(10, 1.0)),
    # A 429 says only "Too Many Attempts.", and the reference asks for 60 s in any case.
    default_retry_after=60.0,
    min_retry_after=60.0,
    paging=PageNumbers(largest=100),
    advice={
        "UNAUTHORIZED": "check the API key, it may have been disabled",
        "FORBIDDEN": "use a key that has access to this resource",
        "NOT_FOUND": "check the id, and that it belongs to this account",
        "CONTACT_EXISTS": "look the contact up by its email",
        "TAG_EXISTS": "use the tag of that name, or choose another name",
        "WEBHOOK_EXISTS": "there is a webhook for that URL already",
        "PATH_TAKEN": "choose another slug, this one is used in the funnel",
        "CAMPAIGN_SCHEDULED": "unschedule the campaign first",
        "INVALID_STATUS": "use one of the documented values of status",
        "INVALID_PERIOD": "check period; period=between needs its range",
        "INVALID_DATE": "give scheduled_for a date that lies ahead",
        "NO_SUBDOMAIN": "configure a subdomain for the account first",
        "STAGE_NOT_EMAIL": "only send_email stages have content",
        "SEQUENCE_HAS_NO_STAGES": "give the sequence a stage before enrolling anybody",
        "VALIDATION_ERROR": "correct the fields that errors names, or the list that is malformed",
        "SERVER_ERROR": "try again after a short while",
    },
)

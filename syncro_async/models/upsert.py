"""The outcome of an upsert."""

from __future__ import annotations

import msgspec

from syncro_async.models.lead import Lead


class UpsertResult(msgspec.Struct, frozen=True):
    """`created` is True for a new lead, False for one that was found and updated."""

    created: bool
    lead: Lead

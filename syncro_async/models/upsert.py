"""The outcome of an upsert."""

from __future__ import annotations

import msgspec

from syncro_async.models.lead import Lead


class UpsertResult(msgspec.Struct, frozen=True):
    """What `leads.upsert` came to (API reference, 'Leads').

    `created` is True for a new lead, False for one that was found and updated; of the `lead` the
    answer carries only some fields.
    """

    created: bool
    lead: Lead

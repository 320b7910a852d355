"""A WhatsApp message on its way."""

from __future__ import annotations

import msgspec


class SentMessage(msgspec.Struct, frozen=True, gc=False):
    """The ids of a message the provider has accepted (API reference, 'Leads').

    `provider_msg_id` is WhatsApp's own; `template_name` is None for a plain message.
    """

    conversation_id: int
    message_id: int
    provider_msg_id: str | None = None
    template_name: str | None = None

"""What an account sends WhatsApp messages from and with: connected numbers, and templates."""

from __future__ import annotations

from typing import Any

import msgspec

from syncro_async.models import base
from syncro_async.models.types import Provider


class WhatsAppInstance(base.Model, frozen=True, kw_only=True, gc=False):
    """A connected number (API reference, 'WhatsApp').

    - `id`: the `instance_id` of messages; `display_name`, `phone_number`: what people see.
    - `provider`: `waha`, or `cloud_api` for the official API; `status`: a word of the server.
    - `is_primary`: whether messages without an `instance_id` go from here.
    - `supports_templates`, `supports_buttons`: what can be sent.
    - `has_window_restriction`: a plain message may be sent only within 24 hours of the contact's
      last one; a template always.
    """

    id: int
    provider: Provider | None = None
    display_name: str | None = None
    phone_number: str | None = None
    is_primary: bool | None = None
    status: str | None = None
    supports_templates: bool | None = None
    supports_buttons: bool | None = None
    has_window_restriction: bool | None = None


class WhatsAppTemplate(base.Model, frozen=True, kw_only=True):
    """A message template (API reference, 'WhatsApp').

    - `id`: the `template_id` of messages; `name`: its name.
    - `more`: its other fields by name, as the server sends them; the reference does not name them.
    """

    id: int
    name: str | None = None
    more: dict[str, Any] = msgspec.field(default_factory=dict)

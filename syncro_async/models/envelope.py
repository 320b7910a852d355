"""What is around every answer of the API."""

from __future__ import annotations

import msgspec


class Envelope(msgspec.Struct, frozen=True):
    """The `success` flag of every answer (API reference); an absent one counts as true."""

    success: bool = True

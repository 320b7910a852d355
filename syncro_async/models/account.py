"""The account that an API key belongs to."""

from __future__ import annotations

from typing import Any

import msgspec

# The reference names `plan` without its type.
Plan = str | int | dict[str, Any] | list[Any]


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The account behind the key (API reference, 'Account'). `plan` is as the server sends it."""

    id: int
    name: str | None = None
    plan: Plan | None = None

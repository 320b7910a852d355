"""The user: a member of the account."""

from __future__ import annotations

from typing import Any

from syncro_async.models import base
from syncro_async.models.types import Role

# The reference names `plan` without its type.
Plan = str | int | dict[str, Any] | list[Any]


class Account(base.Model, frozen=True, kw_only=True):
    """The account behind the key (API reference, 'Account'). `plan` is as the server sends it."""

    id: int
    name: str | None = None
    plan: Plan | None = None


class User(base.Model, frozen=True, kw_only=True, gc=False):
    """A member of the account (API reference, 'Account'); its id is what `assigned_to` takes.

    `role` is admin, manager or viewer.
    """

    id: int
    name: str | None = None
    email: str | None = None
    role: Role | None = None

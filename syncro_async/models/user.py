"""The user: a member of the account."""

from __future__ import annotations

import msgspec

from syncro_async.models.words import Role


class User(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A member of the account (API reference, 'Account'); its id is what `assigned_to` takes.

    `role` is admin, manager or viewer.
    """

    id: int
    name: str | None = None
    email: str | None = None
    role: Role | None = None

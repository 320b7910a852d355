"""The user: a member of the account."""

from __future__ import annotations

from typing import Any

from syncro_async.models import base
from syncro_async.models.types import Role

# The reference names `plan` without its type.
Plan = str | int | dict[str, Any] | list[Any]


class Account(base.Model, frozen=True, kw_only=True):
    """The account that the key belongs to (API reference, 'Account').

    - `id`, `name`: its id and name; `plan`: as the server sends it.
    """

    id: int
    name: str | None = None
    plan: Plan | None = None


class User(base.Model, frozen=True, kw_only=True, gc=False):
    """A member of the account (API reference, 'Account').

    - `id`: what `assigned_to` takes; `name`, `email`: of the person.
    - `role`: `admin`, `manager` or `viewer`.
    """

    id: int
    name: str | None = None
    email: str | None = None
    role: Role | None = None

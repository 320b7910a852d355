"""What the API tells about the account and its users: the calls of its reference, "Account"."""

from __future__ import annotations

import builtins

from syncro_async.models import account
from syncro_async.models.account import User
from syncro_async.models.envelope import Envelope
from syncro_async.models.page import Rows
from syncro_async.resources.listing import whole_list
from syncro_async.resources.resource import Resource, raw
from syncro_async.transport.json_codec import decoder_for
from syncro_async.transport.messages import Call


class _Body(Envelope, frozen=True, kw_only=True):
    account: account.Account


_read_body = decoder_for(_Body)


class Account(Resource):
    """The call about the account, `client.account`.

        print((await syncro.account.get()).plan)

    It raises the errors of `syncro_async.errors`.
    """

    @property
    def with_raw_response(self) -> RawAccount:
        """The same calls; each returns a `RawResult` with the status, headers and body."""
        return RawAccount(self)

    async def get(self) -> account.Account:
        """Fetch the account that the key belongs to. Raises the errors of `syncro_async.errors`."""
        return await self._send(Call("GET", "/account", _account, idempotent=True))


class RawAccount:
    """The calls of `client.account`; each returns a `RawResult`."""

    def __init__(self, account: Account) -> None:
        self.get = raw(account.get)


def _account(raw: bytes) -> account.Account:
    return _read_body(raw).account


_PATH = "/users"


class Users(Resource):
    """The call about users, `client.users`.

        names = {user.id: user.name for user in await syncro.users.list()}

    It raises the errors of `syncro_async.errors`.
    """

    @property
    def with_raw_response(self) -> RawUsers:
        """The same calls; each returns a `RawResult` with the status, headers and body."""
        return RawUsers(self)

    async def list(self, *, refresh: bool = False) -> builtins.list[User]:
        """The members of the account, at most 60 s old.

        A member that cannot be read is left out, logged at WARNING, and reported to the observers
        as `ItemUnreadable`. Raises the errors of `syncro_async.errors`.

        - `refresh`: send a request in any case (default False).
        """
        call = Call("GET", _PATH, whole_list(_PATH, self._emit, User), idempotent=True)
        return await self._names.look_up(_PATH, lambda: self._send(call), Rows, refresh=refresh)


class RawUsers:
    """The calls of `client.users`; each returns a `RawResult`."""

    def __init__(self, users: Users) -> None:
        self.list = raw(users.list)

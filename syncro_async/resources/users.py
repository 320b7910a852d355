"""What may be asked about users: the call of the API reference, 'Account'."""

from __future__ import annotations

import builtins

from syncro_async.models.user import User
from syncro_async.resources.listing import Tell, whole_list
from syncro_async.transport.exchange import Call, Perform

_PATH = "/users"


class Users:
    """The call about users, `client.users`."""

    def __init__(self, perform: Perform, tell: Tell) -> None:
        self._perform = perform
        self._tell = tell

    async def list(self) -> builtins.list[User]:
        """Fetch the members of the account.

        One that cannot be read is left out, logged at WARNING, and told to the observers as
        `ItemUnreadable`. Raises the errors of `syncro_async.errors`.
        """
        read = whole_list(_PATH, self._tell, User)
        return await self._perform(Call("GET", _PATH, read, repeatable=True))

"""What may be asked about the account: the call of the API reference, 'Account'."""

from __future__ import annotations

from syncro_async.models import account
from syncro_async.models.envelope import Envelope
from syncro_async.transport.exchange import Call, Perform
from syncro_async.transport.json_codec import reading


class _Body(Envelope, frozen=True, kw_only=True):
    account: account.Account


_read_body = reading(_Body)


class Account:
    """The call about the account, `client.account`."""

    def __init__(self, perform: Perform) -> None:
        self._perform = perform

    async def get(self) -> account.Account:
        """Fetch the account that the key belongs to. Raises the errors of `syncro_async.errors`."""
        return await self._perform(Call("GET", "/account", _account, repeatable=True))


def _account(raw: bytes) -> account.Account:
    return _read_body(raw).account

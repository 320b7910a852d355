"""Binds a journal to an account and to the options of its import."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from syncro_async.bulk.importing.journal import Journal, read_meta, write_meta
from syncro_async.bulk.job import JobContext
from syncro_async.errors import (
    APIError,
    AuthenticationError,
    ConfigurationError,
    UnexpectedResponseError,
)

_ACCOUNT = "account"
_KEY = "API key"


class _Account(msgspec.Struct):
    id: int


class _Answer(msgspec.Struct):
    account: _Account


async def bind_account(journal: Journal, context: JobContext) -> None:
    """Bind a new journal to the account of the key, and refuse one of another account.

    What is compared is the account's id where the key may read it, else the hash of the key. A key
    that the journal knows costs no request, any other costs one. Raises `ConfigurationError` for
    another account, `AuthenticationError`, and the errors of a call that has no answer.
    """
    known = await journal.run(read_meta)
    if known.get(_KEY) == context.account:
        return
    account = await _account_id(context)
    before = known.get(_ACCOUNT)
    if before is None:
        facts = {_ACCOUNT: account, _KEY: context.account}
        await journal.run(lambda db: write_meta(db, facts))
    elif not account or not before:
        raise ConfigurationError(
            "the journal was begun with another API key, and it cannot be read whether both keys"
            " belong to one account (scope users:read). Go on with the first key, or name another"
            " journal"
        )
    elif account != before:
        raise ConfigurationError(
            f"the journal was begun with the account {before}, and this API key belongs to the"
            f" account {account}. Go on with a key of the account {before}, or name another journal"
        )


async def _account_id(context: JobContext) -> str:
    """Return the id of the account, or nothing where the key may not read it."""
    try:
        return str((await context.request("GET", "/account", type=_Answer)).account.id)
    except AuthenticationError:
        raise
    except (APIError, UnexpectedResponseError):
        return ""


def differences(known: Mapping[str, str], facts: Mapping[str, str]) -> list[str]:
    """Return in words in which options a journal and this run differ."""
    return [
        f"{name} {known.get(name, 'unknown')}, and this run has {value}"
        for name, value in facts.items()
        if known.get(name) != value
    ]

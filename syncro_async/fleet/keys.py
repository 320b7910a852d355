"""Where the API keys of accounts come from: the environment, private files, a secret store."""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable
from pathlib import Path
from typing import TypeVar

from syncro_async._internal.known_keys import MASK, looks_like_key
from syncro_async._internal.worker_thread import WorkerThread
from syncro_async.errors import ConfigurationError, SyncroError

T = TypeVar("T")

KeySource = Callable[[str], str | Awaitable[str]]
"""A function, sync or async, from the name of an account to its API key.

`EnvironmentKeys`, `FileKeys` and `Accounts` are such functions, and a function that asks a secret
store is one too. A synchronous function is called in a thread.
"""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class EnvironmentKeys:
    """The keys in the environment: each account names its variable.

        keys = EnvironmentKeys({"acme": "ACME_KEY"})

    - `variables`: the name of the variable for each account
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = dict(variables)

    def __call__(self, account: str) -> str:
        """The key of the account.

        Raises `ConfigurationError` when the account has no variable or the variable is not set.

        - `account`: the name of the account
        """
        return from_environment(account, _of(account, self._variables, "environment variable"))


class FileKeys:
    """The keys in files that only their owner can read: each account names its file.

        keys = FileKeys({"acme": "/etc/syncro/keys/acme"})

    - `files`: the path of the file for each account; it holds the key and nothing else
    """

    def __init__(self, files: Mapping[str, str | os.PathLike[str]]) -> None:
        self._files = {account: Path(file) for account, file in files.items()}

    def __call__(self, account: str) -> str:
        """The key of the account.

        Raises `ConfigurationError` when the account has no file, the file cannot be read or is
        empty, or when others than its owner may use it.

        - `account`: the name of the account
        """
        return from_file(account, _of(account, self._files, "file"))


def from_environment(account: str, variable: str) -> str:
    """The key in this variable. Raises `ConfigurationError` when it is not set."""
    key = os.environ.get(variable, "").strip()
    if not key:
        shown = MASK if looks_like_key(variable) else variable
        raise ConfigurationError(
            f"the environment variable {shown}, which holds the key of account"
            f" {account}, is not set{_hint(variable, 'variable')}"
        )
    return key


def from_file(account: str, file: Path) -> str:
    """The key in this private file. Raises `ConfigurationError` as `FileKeys` does."""
    whose = f"the key file {file} of account {account}"
    try:
        with file.open(encoding="ascii") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            if is_open_to_others(mode, os.name):
                raise ConfigurationError(
                    f"{whose} can be used by others (mode {stat.S_IMODE(mode):04o}); run chmod 600"
                    f" {file}"
                )
            key = opened.read(4096).strip()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{whose} holds other characters than ASCII") from None
    except OSError as error:
        shown = file.with_name(MASK) if looks_like_key(file.name) else file
        raise ConfigurationError(
            f"the key file {shown} of account {account} cannot be read:"
            f" {error.strerror}{_hint(file.name, 'file')}"
        ) from None
    if not key:
        raise ConfigurationError(f"{whose} is empty")
    return key


def _hint(given: str, what: str) -> str:
    """What to do where a key stands in the place of a name."""
    if not looks_like_key(given):
        return ""
    return f"; its name looks like an API key, so it is not shown: give the name of a {what}"


def is_open_to_others(mode: int, system: str) -> bool:
    """Whether others than the owner may use a file of this mode; Windows has no such modes."""
    return system == "posix" and bool(mode & _OTHERS)


async def ask(keys: KeySource, account: str, thread: WorkerThread) -> str:
    """The key of an account.

    Raises the errors of this package, and `KeyUnavailableError` for any other error of the source:
    its text could show a key.
    """
    try:
        found: object = await thread(keys, account)
        if isawaitable(found):
            found = await found
    except SyncroError:
        raise
    except Exception as error:  # noqa: BLE001  # any code may be behind the source
        raise KeyUnavailableError(type(error).__name__) from None
    if not isinstance(found, str) or not found.strip():
        kind = "a blank text" if isinstance(found, str) else type(found).__name__
        raise ConfigurationError(f"the key source returned {kind} for account {account}, not a key")
    return found


class KeyUnavailableError(Exception):
    """The key source raised an error, whose class this names."""

    def __init__(self, kind: str) -> None:
        super().__init__(
            f"the key source raised {kind}; its text is not shown, because it may hold a key"
        )


def _of(account: str, known: Mapping[str, T], what: str) -> T:
    if account not in known:
        raise ConfigurationError(f"account {account} has no {what} for its key")
    return known[account]

"""Reads `accounts.toml`: the accounts of a fleet, and where the key of each comes from."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, get_args

import msgspec

from syncro_async.errors import ConfigurationError, InvalidArgumentError
from syncro_async.fleet.jobs import AccountJob, Kind, check_account
from syncro_async.fleet.keys import from_environment, from_file

_SETTINGS: Mapping[str, type] = {
    "key_env": str,
    "key_file": str,
    "base_url": str,
    "limiter": str,
    "options": dict,
}
_KINDS = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Account:
    """The settings of one account; `Accounts` says what each means.

    - `name`: the name of the account
    - `key_env`, `key_file`: the variable or the file that has its key
    - `base_url`, `limiter`, `options`: as in `Accounts`
    """

    name: str
    key_env: str | None = None
    key_file: Path | None = None
    base_url: str | None = None
    limiter: str | None = field(default=None, repr=False)  # a password may stand in it
    options: Mapping[str, Any] = field(default_factory=dict)

    def key(self) -> str:
        """The key. Raises `ConfigurationError` when it is not where the settings say."""
        if self.key_file is not None:
            return from_file(self.name, self.key_file)
        return from_environment(self.name, str(self.key_env))

    def job(self, kind: Kind, day: date | None = None) -> AccountJob:
        """The job of this kind, with the options of the account.

        Options in a table of the kind's name are for that kind only.

        - `kind`: `"export"`, `"sync"` or `"import"`
        - `day`: the UTC day that the job is for (None: the day on which it runs)
        """
        plain = {name: value for name, value in self.options.items() if name not in _KINDS}
        # As a queue would carry them: TOML has dates and times, and JSON has not.
        options = msgspec.to_builtins({**plain, **self.options.get(kind, {})})
        return AccountJob(self.name, kind, options, day)


class Accounts:
    """The accounts of an `accounts.toml`, by their names; it is a key source for all of them.

    Each account has a table: where its key is (`key_env`, the name of a variable, or `key_file`, a
    private file whose path starts at the folder of the TOML file), and where wanted `base_url`,
    `limiter` and `options`.

        accounts = Accounts.parse('''
        [accounts.acme]
        key_env = "ACME_KEY"
        options = { page_size = 100 }
        ''')
        print([job.account for job in accounts.jobs("sync")])

    - `accounts`: the settings of each account
    """

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self._accounts = dict(accounts)

    @classmethod
    def read(cls, file: str | os.PathLike[str]) -> Accounts:
        """Read the file. Raises `ConfigurationError` for what cannot be used, and `OSError`.

        - `file`: the path of the TOML file
        """
        path = Path(file)
        return cls.parse(path.read_text(encoding="utf-8"), folder=path.resolve().parent, name=path)

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        folder: str | os.PathLike[str] = ".",
        name: str | os.PathLike[str] = "accounts.toml",
    ) -> Accounts:
        """The accounts of this text. Raises `ConfigurationError` for what cannot be used.

        - `text`: TOML
        - `folder`: where relative paths of key files start
        - `name`: what the errors call the text
        """
        try:
            tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"{name} is not TOML: {error}") from None
        others = sorted(tables.keys() - {"accounts"})
        listed = tables.get("accounts")
        if others or not isinstance(listed, dict) or not listed:
            what = f"has {others[0]!r} beside the accounts" if others else "names no account"
            raise ConfigurationError(
                f"{name} {what}; it needs a table for each account: [accounts.acme]"
            )
        found: dict[str, Account] = {}
        for account, settings in listed.items():
            other = found.get(account.casefold())
            if other is not None:
                raise ConfigurationError(
                    f"{name}: the accounts {other.name!r} and {account!r} would share one folder"
                    " where names in small and large letters are the same; rename one"
                )
            found[account.casefold()] = _account(f"{name}: {account}", account, settings, folder)
        return cls({each.name: each for each in found.values()})

    def __call__(self, account: str) -> str:
        """The key of the account.

        Raises `ConfigurationError` for an account that is not listed, and when its key is not where
        its settings say.

        - `account`: its name
        """
        return self[account].key()

    def __getitem__(self, account: str) -> Account:
        found = self._accounts.get(account)
        if found is None:
            raise ConfigurationError(
                f"account {account!r} is not among the {len(self)} accounts that are listed"
            )
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._accounts)

    def __len__(self) -> int:
        return len(self._accounts)

    def jobs(self, kind: Kind, day: date | None = None) -> list[AccountJob]:
        """One job for each account, with its options.

        - `kind`: `"export"`, `"sync"` or `"import"`
        - `day`: the UTC day that the jobs are for (None: the day on which each runs)
        """
        return [account.job(kind, day) for account in self._accounts.values()]


def _account(where: str, name: str, settings: Any, folder: str | os.PathLike[str]) -> Account:
    try:
        check_account(name)
    except InvalidArgumentError as error:
        raise ConfigurationError(f"{where}: {error.message}") from None
    if not isinstance(settings, dict):
        raise ConfigurationError(f"{where} must be a table: [accounts.{name}]")
    for setting, value in settings.items():
        wanted = _SETTINGS.get(setting)
        if wanted is None:
            # Not its value: it may be a key.
            raise ConfigurationError(
                f"{where} has the setting {setting!r}; there are {', '.join(_SETTINGS)}. A key"
                " does not belong in this file: name its variable or its file"
            )
        if not (isinstance(value, wanted) and value):
            what = "table" if wanted is dict else "text"
            raise ConfigurationError(f"{where}: {setting} must be a {what} that is not empty")
    if ("key_env" in settings) == ("key_file" in settings):
        raise ConfigurationError(
            f"{where} needs one of key_env and key_file, which say where its key is:"
            f' key_env = "{name.upper().replace("-", "_")}_KEY"'
        )
    for kind in _KINDS:
        if not isinstance(settings.get("options", {}).get(kind, {}), dict):
            raise ConfigurationError(
                f"{where}: options.{kind} must be a table of options for that job"
            )
    key_file = settings.get("key_file")
    path = None if key_file is None else Path(folder, key_file).expanduser()
    return Account(name=name, **{**settings, "key_file": path})

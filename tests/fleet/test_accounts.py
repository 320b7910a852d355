"""The file of the accounts: what may be in it, and what it says of what may not."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from syncro_async.errors import ConfigurationError
from syncro_async.fleet import AccountJob, Accounts

TWO = """
[accounts.acme]
key_env = "ACME_KEY"
base_url = "https://eu.example.com"
limiter = "redis://:secret@localhost"

[accounts.acme.options]
page_size = 100
created_from = 2026-01-01

[accounts.acme.options.sync]
full = true

[accounts.other-2]
key_file = "keys/other"
"""


def test_the_settings_of_each_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "accounts.toml").write_text(TWO)
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "other").write_text("crm_other")
    (tmp_path / "keys" / "other").chmod(0o400)
    monkeypatch.setenv("ACME_KEY", "crm_acme")
    accounts = Accounts.read(tmp_path / "accounts.toml")
    assert [*accounts] == ["acme", "other-2"]
    assert len(accounts) == 2
    assert (accounts("acme"), accounts("other-2")) == ("crm_acme", "crm_other")
    assert accounts["acme"].base_url == "https://eu.example.com"
    assert "secret" not in repr(accounts["acme"])
    with pytest.raises(ConfigurationError, match="'nobody' is not among the 2 accounts"):
        accounts("nobody")


def test_each_account_has_a_job_with_its_options() -> None:
    accounts, day = Accounts.parse(TWO), date(2026, 6, 30)
    both = {"page_size": 100, "created_from": "2026-01-01"}
    assert accounts.jobs("sync", day) == [
        AccountJob("acme", "sync", {**both, "full": True}, day),
        AccountJob("other-2", "sync", {}, day),
    ]
    assert accounts.jobs("export")[0] == AccountJob("acme", "export", both)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("accounts = [", "accounts.toml is not TOML"),
        ("", "names no account"),
        ("accounts = 7", "names no account"),
        ("[accounts]", "names no account"),
        ("[account.acme]\nkey_env='A'", "has 'account' beside the accounts"),
        ("[accounts]\nacme = 'crm_1'", r"acme must be a table: \[accounts.acme\]"),
        ("[accounts.acme]", 'needs one of key_env and key_file.*key_env = "ACME_KEY"'),
        ("[accounts.acme]\nkey_env='A'\nkey_file='b'", "needs one of key_env and key_file"),
        ("[accounts.acme]\nkey='crm_1'", "has the setting 'key'.*does not belong in this file"),
        ("[accounts.acme]\nkey_env=7", "key_env must be a text that is not empty"),
        ("[accounts.acme]\nkey_env=''", "key_env must be a text that is not empty"),
        ("[accounts.acme]\nkey_env='A'\noptions='x'", "options must be a table"),
        ("[accounts.acme]\nkey_env='A'\noptions={sync=1}", "options.sync must be a table"),
        ("[accounts.'../x']\nkey_env='A'", "cannot be the name of an account"),
        ("[accounts.a]\nkey_env='A'\n[accounts.A]\nkey_env='B'", "'a' and 'A' would share one"),
    ],
)
def test_what_cannot_be_used_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        Accounts.parse(text)
    assert "crm_1" not in str(caught.value)

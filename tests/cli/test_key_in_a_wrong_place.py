"""A key in a wrong word, option, variable or file of the command is not printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncro_async.sandbox import Sandbox
from tests.cli.run_cli import Run, Serve

KEY = "crm_S3cretK7y9xAbCdEfGh0123456789"
WORDS = {
    "command": "{key}",
    "option of no command": "--{key}",
    "argument": "doctor {key}",
    "option": "doctor --{key}",
    "value of a wrong option": "doctor --key={key}",
    "base URL": "doctor --base-url {key}",
    "limiter": "doctor --limiter {key}",
    "file to export": "leads export {key}",
    "file in a folder": "leads export {key}/x.jsonl",
    "format": "leads export x.jsonl --format {key}",
    "lane": "leads export x.jsonl --lane {key}",
    "date": "leads export x.jsonl --created-from {key}",
    "number": "leads export x.jsonl --pipeline-id {key}",
    "file to import": "leads import {key}",
    "file that is not there": "leads import {key}.csv",
    "file that is not there, with a traceback": "--debug leads import {key}.csv",
    "encoding": "leads import rows.csv --encoding {key}",
    "locale": "leads import rows.csv --locale {key}",
    "column": "leads import rows.csv --column {key}",
    "field": "leads import rows.csv --column name={key}",
    "default": "leads import rows.csv --set {key}",
    "report": "leads undo {key}",
    "accounts": "fleet run {key}",
    "job": "fleet run accounts.toml --job {key}",
    "port": "sandbox --port {key}",
}


def is_hidden(text: str) -> bool:
    return "s3cret" not in text.lower()


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("SYNCRO_API_KEY", KEY)
    (folder / "rows.csv").write_text("name,email\nAna,ana@example.com\n", encoding="utf-8")


@pytest.mark.parametrize("key", [KEY, KEY.lower(), KEY.upper()])
@pytest.mark.parametrize("place", WORDS)
def test_no_word_prints_it(place: str, key: str, run: Run) -> None:
    ran = run(*WORDS[place].format(key=key).split())
    assert ran.code in {1, 2}
    assert "syncro: error: " in ran.err
    assert is_hidden(ran.out + ran.err)
    assert ("Traceback" in ran.err) == ("--debug" in WORDS[place])


@pytest.mark.parametrize("key", [KEY, KEY.lower()])
@pytest.mark.parametrize("variable", ["BASE_URL", "LIMITER", "ENGINE", "RATE_LIMIT"])
def test_no_variable_prints_it(
    variable: str, key: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"SYNCRO_{variable}", key)
    ran = run("doctor")
    assert ran.code == 2
    assert is_hidden(ran.out + ran.err)


def test_swapped_variables_are_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCRO_BASE_URL", KEY)
    monkeypatch.setenv("SYNCRO_API_KEY", "https://app.syncro.chat/api/v1")
    ran = run("doctor")
    assert ran.err == (
        "syncro: error: --base-url must look like 'https://app.syncro.chat/api/v1', and its value"
        " looks like an API key, so it is not shown here; check whether SYNCRO_API_KEY and"
        " SYNCRO_BASE_URL are swapped\n"
    )


def test_a_wrong_port_does_not_print_the_password(run: Run) -> None:
    ran = run("budget", "--base-url", "https://u:pass@app.syncro.chat:44x/v1")
    assert "--base-url 'https://***@app.syncro.chat:44x/v1' must look like" in ran.err


ACCOUNTS = {
    "variable": "[accounts.acme]\nkey_env='{key}'",
    "file": "[accounts.acme]\nkey_file='{key}'",
    "setting": "[accounts.acme]\nkey_env='A'\n{key}='x'",
    "name of a setting": "[accounts.acme]\napi_key='{key}'",
    "name of an account": "[accounts.{key}]\nkey_env='A'",
    "table": "[{key}]\nkey_env='A'",
    "option": "[accounts.acme]\nkey_env='SYNCRO_API_KEY'\noptions={{{key}=1}}",
    "value of an option": "[accounts.acme]\nkey_env='SYNCRO_API_KEY'\noptions={{table='{key}+'}}",
    "base URL": "[accounts.acme]\nkey_env='SYNCRO_API_KEY'\nbase_url='{key}'",
    "limiter": "[accounts.acme]\nkey_env='SYNCRO_API_KEY'\nlimiter='{key}'",
    "no TOML": "[accounts.acme]\n{key}",
}


@pytest.mark.parametrize("key", [KEY, KEY.lower()])
@pytest.mark.parametrize("place", ACCOUNTS)
def test_no_account_prints_it(place: str, key: str, run: Run, serve: Serve, folder: Path) -> None:
    url = serve(Sandbox())
    (folder / "accounts.toml").write_text(ACCOUNTS[place].format(key=key), encoding="utf-8")
    ran = run("fleet", "run", "accounts.toml", "--base-url", url)
    assert ran.code in {1, 2}
    assert is_hidden(ran.out + ran.err)
    if place != "value of an option":  # a receipt has the job as it was given
        for file in folder.rglob("receipt.json"):
            assert is_hidden(file.read_text(encoding="utf-8"))

from __future__ import annotations

import re
import signal
import socket

import pytest

from syncro_async.sandbox import (
    EXPIRED_KEY,
    FULL_KEY,
    LEADS_ONLY_KEY,
    READ_ONLY_KEY,
    SUSPENDED_KEY,
)
from tests.cli.run_cli import Run, finish, start


def test_the_sandbox_serves_until_ctrl_c(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    process = start("sandbox", "--port", "0", "--leads", "3", "--minute", "5", "--php-quirks")
    assert process.stdout is not None
    announced = ""
    while "Ctrl-C" not in announced:
        announced += process.stdout.readline()
    settings = dict(re.findall(r"^export (\w+)=(\S+)$", announced, re.MULTILINE))
    assert settings["SYNCRO_API_KEY"] == FULL_KEY
    for key in (FULL_KEY, READ_ONLY_KEY, LEADS_ONLY_KEY, EXPIRED_KEY, SUSPENDED_KEY):
        assert key in announced
    assert "RateLimit(60, 5)" in announced
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert len(run("leads", "export", "-").out.splitlines()) == 3
    process.send_signal(signal.SIGINT)
    assert finish(process) == (0, "", "syncro: sandbox stopped\n")


def test_a_sandbox_with_real_minutes_needs_no_word_about_them() -> None:
    process = start("sandbox", "--port", "0", "--leads", "1", "--window", "sliding")
    assert process.stdout is not None
    announced = ""
    while "Ctrl-C" not in announced:
        announced += process.stdout.readline()
    assert "RateLimit" not in announced
    process.send_signal(signal.SIGINT)
    assert finish(process).code == 0


def test_a_port_that_is_taken_is_an_error_in_one_line(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, err = run("sandbox", "--port", str(port), "--leads", "1")
    assert (code, out) == (1, "")
    assert err.startswith("syncro: error: ")
    assert err.count("\n") == 1

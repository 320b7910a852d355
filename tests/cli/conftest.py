"""What the tests of the command share: a clean place to run it, and a sandbox to talk to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from syncro_async.cli import main
from syncro_async.sandbox import FULL_KEY, Sandbox, serving
from tests.cli.run_cli import Ran, Run, Serve


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run `syncro` with these words, in this process."""

    def run(*words: str) -> Ran:
        return Ran(main(words), *capfd.readouterr())

    return run


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and none of the settings of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in ("SYNCRO_API_KEY", "SYNCRO_BASE_URL", "SYNCRO_LIMITER"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Serve a sandbox on a socket, and set the environment so that the command finds it."""
    with ExitStack() as running:

        def serve(sandbox: Sandbox) -> str:
            url = running.enter_context(serving(sandbox))
            monkeypatch.setenv("SYNCRO_BASE_URL", url)
            monkeypatch.setenv("SYNCRO_API_KEY", FULL_KEY)
            return url

        yield serve

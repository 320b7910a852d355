"""Where keys come from, and that no error shows one."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from syncro_async._internal.worker_thread import WorkerThread
from syncro_async.errors import ConfigurationError
from syncro_async.fleet import EnvironmentKeys, FileKeys
from syncro_async.fleet.keys import KeyUnavailableError, ask, is_open_to_others

KEY = "crm_very_secret"


def test_a_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_KEY", f" {KEY}\n")
    keys = EnvironmentKeys({"acme": "ACME_KEY", "other": "OTHER_KEY"})
    assert keys("acme") == KEY
    with pytest.raises(ConfigurationError, match=r"variable OTHER_KEY.* account other, is not set"):
        keys("other")
    with pytest.raises(ConfigurationError, match="account nobody has no environment variable"):
        keys("nobody")


class TestFiles:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        file = tmp_path / "acme"
        file.write_text(f"{KEY}\n")
        file.chmod(0o600)
        return file

    def test_a_private_file(self, file: Path) -> None:
        assert FileKeys({"acme": str(file)})("acme") == KEY

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o601, 0o644])
    def test_a_file_that_others_can_use_is_refused(self, file: Path, mode: int) -> None:
        file.chmod(mode)
        with pytest.raises(ConfigurationError, match=rf"mode {mode:04o}.*chmod 600") as caught:
            FileKeys({"acme": file})("acme")
        assert KEY not in str(caught.value)

    def test_modes_say_nothing_on_windows(self) -> None:
        assert is_open_to_others(stat.S_IFREG | 0o666, "posix")
        assert not is_open_to_others(stat.S_IFREG | 0o666, "nt")

    @pytest.mark.parametrize(
        ("content", "message"),
        [(b" \n", "is empty"), ("crm_ção".encode(), "other characters than ASCII")],
    )
    def test_a_file_without_a_key(self, file: Path, content: bytes, message: str) -> None:
        file.write_bytes(content)
        with pytest.raises(ConfigurationError, match=message):
            FileKeys({"acme": file})("acme")

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
            FileKeys({"acme": tmp_path / "gone"})("acme")
        with pytest.raises(ConfigurationError, match="account nobody has no file"):
            FileKeys({})("nobody")


class TestFunctions:
    async def test_a_function_or_a_coroutine_function(self) -> None:
        async def later(account: str) -> str:
            return f"{KEY}-{account}"

        async with WorkerThread() as thread:
            assert await ask(lambda account: f"{KEY}-{account}", "acme", thread) == f"{KEY}-acme"
            assert await ask(later, "acme", thread) == f"{KEY}-acme"

    async def test_the_text_of_its_error_is_not_shown(self) -> None:
        def broken(account: str) -> str:
            raise OSError(f"no answer for {KEY}")

        async with WorkerThread() as thread:
            with pytest.raises(KeyUnavailableError, match="raised OSError") as caught:
                await ask(broken, "acme", thread)
        assert KEY not in str(caught.value)
        assert caught.value.__cause__ is None

    async def test_what_a_source_of_ours_says_is_shown(self) -> None:
        async with WorkerThread() as thread:
            with pytest.raises(ConfigurationError, match="account acme has no file"):
                await ask(FileKeys({}), "acme", thread)

    @pytest.mark.parametrize(("given", "shown"), [(None, "NoneType"), (" ", "a blank text")])
    async def test_what_is_no_key_is_refused(self, given: Any, shown: str) -> None:
        async with WorkerThread() as thread:
            with pytest.raises(ConfigurationError, match=f"returned {shown} for account acme"):
                await ask(lambda _: given, "acme", thread)

"""Which file `limiter="host"` means, and when it means this process alone."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from pathlib import Path

import pytest

from syncro_async import AsyncClient
from syncro_async.limiting.host import UNUSED_AFTER, file_system_of, host_file
from syncro_async.limiting.host_identity import machine_id
from syncro_async.sandbox import FULL_KEY, Sandbox, serving
from syncro_async.testing import FakeClock, sandbox_client

MOUNTS = """\
/dev/vda1 / ext4 rw 0 0
fileserver:/home /home nfs4 rw 0 0
someone@host:/data /home/ana/my\\040data fuse.sshfs rw 0 0
short line
tmpfs /run tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/srv/app", "ext4"),
        ("/home/ana", "nfs4"),
        ("/homework", "ext4"),
        ("/home/ana/my data/x", "sshfs"),
        ("/run/user", "tmpfs"),
    ],
)
def test_the_file_system_is_that_of_the_longest_mount_point(folder: str, kind: str) -> None:
    assert file_system_of(Path(folder), MOUNTS) == kind


def test_the_file_system_is_unknown_without_mounts() -> None:
    assert file_system_of(Path("/srv"), "") == ""


def test_folder_and_file_are_private_and_named_by_key_and_machine(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    file = host_file("abc", FakeClock(), folder=folder)
    assert file is not None
    assert file.name.startswith("abc-")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert host_file("abc", FakeClock(), folder=folder) == file
    assert host_file("other", FakeClock(), folder=folder) != file


def test_the_folder_is_the_users_state_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    file = host_file("abc", FakeClock())
    assert file is not None
    assert file.parent == tmp_path / "syncro_async"


def test_files_that_were_not_used_for_a_day_are_deleted(tmp_path: Path) -> None:
    clock = FakeClock()
    now = clock.wall()
    for name, age in (("old.db", UNUSED_AFTER + 1), ("young.db", UNUSED_AFTER - 60)):
        for file in (tmp_path / name, tmp_path / f"{name}-wal"):
            file.touch()
            os.utime(file, (now - age, now - age))
    host_file("abc", clock, folder=tmp_path)
    assert not list(tmp_path.glob("old.db*"))
    assert len(list(tmp_path.glob("young.db*"))) == 2


def test_a_file_beside_which_sqlite_writes_is_used(tmp_path: Path) -> None:
    clock = FakeClock()
    for name, age in (("abc.db", 2 * UNUSED_AFTER), ("abc.db-wal", 1.0)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (clock.wall() - age, clock.wall() - age))
    host_file("another", clock, folder=tmp_path)
    assert (tmp_path / "abc.db").exists()


def test_a_folder_that_cannot_be_made_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING, "syncro_async"):
        for _ in range(2):
            assert host_file("abc", FakeClock(), folder=tmp_path / "file" / "state") is None
    (record,) = caplog.records
    assert "Not a directory" in record.getMessage()
    assert "limiter=sqlite:///path" in record.getMessage()


def test_a_network_file_system_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"fileserver:/x {tmp_path} nfs rw 0 0\n")
    with caplog.at_level(logging.WARNING, "syncro_async"):
        assert host_file("abc", FakeClock(), folder=tmp_path / "state", mounts=mounts) is None
    assert "network file system" in caplog.text
    unknown = host_file("abc", FakeClock(), folder=tmp_path / "b", mounts=tmp_path / "nothing")
    assert unknown is not None


def test_the_machines_id_is_that_of_its_file_else_of_its_name(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    second.write_text("0123456789abcdef\n")
    assert machine_id([first, second]) == machine_id([second])
    assert machine_id([first]) == machine_id([])
    assert machine_id([first]) != machine_id([second])
    assert len(machine_id([second])) == 16


async def test_two_clients_that_name_the_host_share_its_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with serving(Sandbox(3)) as url:
        async with AsyncClient(FULL_KEY, base_url=url, limiter="host") as first:
            await first.leads.get(1)
        async with AsyncClient(FULL_KEY, base_url=url, limiter="host") as second:
            assert (await second.refresh_budget()).used == 1
    assert len(list((tmp_path / "syncro_async").glob("*.db"))) == 1


async def test_without_a_usable_folder_the_budget_is_that_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    async with AsyncClient("key-without-a-folder", limiter="host") as client:
        assert client.budget().available == 60


async def use_the_sandbox() -> None:
    async with sandbox_client(limiter="host") as syncro:
        await syncro.leads.get(1)


def test_an_injected_clock_or_transport_needs_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    asyncio.run(use_the_sandbox())
    assert list(tmp_path.iterdir()) == []


def test_without_a_home_the_budget_is_that_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    # What expanduser() leaves of «~» for a user without a home.
    with caplog.at_level(logging.WARNING, "syncro_async"):
        assert host_file("abc", FakeClock(), folder=Path("~/.local/state/syncro_async")) is None
    assert "there is no home folder" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_opening_a_file_counts_as_use(tmp_path: Path) -> None:
    file = host_file("abc", FakeClock(), folder=tmp_path)
    assert file is not None
    os.utime(file, (0.0, 0.0))
    clock = FakeClock(wall=2 * UNUSED_AFTER)
    assert host_file("abc", clock, folder=tmp_path) == file
    assert file.stat().st_mtime > UNUSED_AFTER


async def test_the_environment_may_name_the_host(
    state_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCRO_LIMITER", "host")
    with serving(Sandbox(1)) as url:
        async with AsyncClient(FULL_KEY, base_url=url) as client:
            await client.leads.get(1)
    assert len(list((state_folder / "syncro_async").glob("*.db"))) == 1

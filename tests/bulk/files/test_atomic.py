from __future__ import annotations

import errno
from pathlib import Path
from stat import S_IMODE

import pytest

from syncro_async.bulk.files.atomic import atomic_write


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def write_half(target: Path, failure: type[BaseException]) -> None:
    with atomic_write(target) as file:
        file.write(b"half")
        raise failure


def test_the_file_has_its_name_only_once_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "leads.jsonl"
    with atomic_write(target) as file:
        file.write(b"half")
        assert not target.exists()
    assert target.read_bytes() == b"half"
    assert names(tmp_path) == ["leads.jsonl"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_an_earlier_file_as_it_was_and_nothing_else(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    target = tmp_path / "leads.jsonl"
    target.write_bytes(b"earlier")
    with pytest.raises(failure):
        write_half(target, failure)
    assert target.read_bytes() == b"earlier"
    assert names(tmp_path) == ["leads.jsonl"]


def test_a_new_file_is_for_its_owner_only(tmp_path: Path) -> None:
    target = tmp_path / "leads.jsonl"
    with atomic_write(target) as file:
        file.write(b"people")
        [part] = tmp_path.iterdir()
        assert S_IMODE(part.stat().st_mode) == 0o600
    assert S_IMODE(target.stat().st_mode) == 0o600


def test_a_replaced_file_hands_its_permissions_on(tmp_path: Path) -> None:
    target = tmp_path / "leads.jsonl"
    target.write_bytes(b"earlier")
    target.chmod(0o604)
    with atomic_write(target) as file:
        file.write(b"later")
    assert target.read_bytes() == b"later"
    assert S_IMODE(target.stat().st_mode) == 0o604


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "leads.jsonl"
    link.symlink_to(tmp_path / "real" / "today.jsonl")
    with atomic_write(link) as file:
        file.write(b"content")
    assert link.is_symlink()
    assert (tmp_path / "real" / "today.jsonl").read_bytes() == b"content"


@pytest.mark.parametrize("parent", ["missing", "a-file"])
def test_a_folder_that_is_none_is_known_before_anything_is_written(
    tmp_path: Path, parent: str
) -> None:
    (tmp_path / "a-file").write_bytes(b"")
    with pytest.raises(OSError, match=parent) as caught, atomic_write(tmp_path / parent / "x.csv"):
        raise AssertionError("the block must not begin")
    assert caught.value.errno in {errno.ENOENT, errno.ENOTDIR}

"""Files and folders are whole or not there, and written by one process at a time."""

import errno
import os
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from datamodules.errors import UserError
from datamodules.files import (
    atomic_path,
    atomic_write,
    build_once,
    demand_writable,
    folder_from_environment,
    why_unwritten,
)


def build(folder: Path) -> None:
    (folder / "a").write_text("new")
    (folder / "proof").touch()


def test_a_folder_is_built_once_and_whole(tmp_path: Path):
    built: list[Path] = []

    def slow(folder: Path) -> None:
        built.append(folder)
        assert not (tmp_path / "set").exists()
        build(folder)

    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(build_once, tmp_path / "set", slow, wait="") for _ in range(3)]
        assert [run.result() for run in runs] == [None] * 3
    assert len(built) == 1 and (tmp_path / "set" / "a").read_text() == "new"
    assert not built[0].exists()


def test_a_folder_without_its_proof_is_built_anew(tmp_path: Path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "old").touch()
    build_once(tmp_path / "set", lambda folder: pytest.fail("built"), wait="")
    for _ in range(2):
        build_once(tmp_path / "set", build, wait="", proof="proof")
    assert {file.name for file in (tmp_path / "set").iterdir()} == {"a", "proof"}


def test_what_fails_leaves_nothing_and_a_full_disk_is_told(tmp_path: Path):
    def full(folder: Path) -> None:
        (folder / "half").touch()
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=r"cannot write .*0\.1\.0: No space left on device"):
        build_once(tmp_path / "0.1.0", full, wait="")
    assert [file.name for file in tmp_path.iterdir()] == ["0.1.0.lock"]  # not that of 0.1.1, too


@pytest.mark.parametrize(
    ("number", "inodes", "said"),
    [
        (errno.ENOSPC, 0, "no free inodes: the disk has room for 1,000 files and folders"),
        (errno.ENOSPC, 5, "No space left on device"),
        (errno.EDQUOT, 5, r"Disk quota exceeded: .* \(quota -s\)"),
        (errno.EROFS, 0, "Read-only file system"),
    ],
)
def test_a_disk_is_said_to_be_short_of_what_it_is_short_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, inodes: int, said: str
):
    disk = SimpleNamespace(f_files=1000, f_favail=inodes, f_bavail=9, f_frsize=10**6)
    monkeypatch.setattr(os, "statvfs", lambda place: disk)
    error = OSError(number, os.strerror(number))
    assert re.match(said, why_unwritten(error, tmp_path / "not" / "there"))
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", Mock(side_effect=error))
    with pytest.raises(UserError, match=f"^cannot write .*/a: {said}[^\\n]*$"):
        demand_writable(tmp_path / "a")
    with pytest.raises(OSError, match=r"a\.txt"), atomic_write(tmp_path / "a.txt"):
        raise error  # which says where


def test_a_file_keeps_what_it_held_until_the_new_one_is_whole(tmp_path: Path):
    file = tmp_path / "below" / "a.txt"
    with atomic_write(file) as stream:
        stream.write(b"old")
    with pytest.raises(KeyboardInterrupt), atomic_path(file) as partial:
        partial.write_text("new")
        raise KeyboardInterrupt
    assert file.read_text() == "old" and [*file.parent.iterdir()] == [file]
    with atomic_path(file) as partial:
        partial.write_text("new")
        assert file.read_text() == "old"
    assert file.read_text() == "new" and [*file.parent.iterdir()] == [file]


def test_a_folder_of_the_environment_may_lie_in_the_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("HOME", str(tmp_path))
    for said, meant in (("~/x", tmp_path / "x"), ("x", Path.cwd() / "x"), ("", tmp_path / "own")):
        monkeypatch.setenv("RESULTS", said)
        assert folder_from_environment("RESULTS", tmp_path / "own") == meant

"""Packing goes on where it was stopped, tells what it lacks, and never leaves half a shard."""

import errno
import os
import re
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from make_videos import greys, write

from benchmark.cli.parser import main
from datamodules.dataset_info import DatasetInfo, Split
from datamodules.datasets.file_list import file_list
from datamodules.datasets.folder import folder
from datamodules.decoding.open import open_video
from datamodules.decoding.reading import read_video
from datamodules.decoding.video import DecodeError, ReadError
from datamodules.errors import UserError
from datamodules.preparation import pack as packing
from datamodules.preparation import write_shard
from datamodules.preparation.pack import pack
from datamodules.preparation.workers import map_in_processes
from datamodules.shards.index import PACKING
from datamodules.shards.paths import opened

pytestmark = pytest.mark.usefixtures("packing_here")


def listed(root: Path, count: int = 6, size: int = 400_000) -> DatasetInfo:
    """Return a dataset of files that need not be videos, of which two fit into a shard."""
    root.mkdir(exist_ok=True)
    names = [f"{i}.mp4" for i in range(count)]
    for i, name in enumerate(names):
        (root / name).write_bytes(bytes([i]) * size)
        os.utime(root / name, ns=(10**18, 10**18))
    split = Split.of(names, [i % 2 for i in range(count)], root)
    return DatasetInfo("set", ("a", "b"), {"train": split, "test": split}, flip="ok")


def content(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.suffix != ".lock"}


def test_a_killed_packing_goes_on_and_never_leaves_half_a_shard(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = listed(tmp_path / "old")
    pack(data, tmp_path / "undisturbed", workers=1, shard_mib=1)
    assert len([*(tmp_path / "undisturbed").glob("*.tar")]) == 3
    copy, copied = write_shard._copy, []

    def killed(*arguments: Any) -> Any:
        copied.append(arguments)
        if len(copied) in (4, 9):
            raise KeyboardInterrupt
        return copy(*arguments)

    monkeypatch.setattr(write_shard, "_copy", killed)
    for done in (1, 3):  # shards; the second kill comes with the last video
        before = {each.name: each.stat().st_mtime_ns for each in out.glob("*.tar")}
        if done == 1:
            with pytest.raises(KeyboardInterrupt):
                pack(data, out, workers=1, shard_mib=1)
            assert [each.name for each in out.glob("*.tar")] == ["train-000000.tar"]
            assert not (out / "shards.json").exists()
            with pytest.raises(ReadError, match=f"{out} is being packed, or that was interrupted"):
                read_video(str(out / "0.mp4"), partial(open_video, out / "0.mp4"), len)
            with pytest.raises(UserError, match=r"interrupted: type prepare --shards again"):
                folder(root=out)
        else:
            pack(data, out, workers=1, shard_mib=1)
            assert (
                before.items()
                <= {each.name: each.stat().st_mtime_ns for each in out.glob("*.tar")}.items()
            )
    assert len(copied) == 4 + 4  # two shards, of which one had been begun
    assert content(out) == content(tmp_path / "undisturbed")


def test_only_shards_of_which_something_changed_are_written_again(
    tmp_path: Path, out: Path
) -> None:
    data = listed(tmp_path / "old")
    pack(data, out, workers=1, shard_mib=1)
    before = {each.name: each.stat().st_mtime_ns for each in out.iterdir()}
    pack(data, out, workers=1, shard_mib=1)
    assert {each.name: each.stat().st_mtime_ns for each in out.iterdir()} == before
    (tmp_path / "old" / "3.mp4").write_bytes(b"n" * 400_000)
    pack(data, out, workers=1, shard_mib=1)
    after = {each.name: each.stat().st_mtime_ns for each in out.iterdir()}
    changed = {name for name in before if before[name] != after[name]}
    assert changed - {".packing.lock"} == {"train-000001.tar", "shards.json", "shards.tsv"}
    for i in range(6):
        with opened(str(out / f"{i}.mp4")) as packed:
            assert packed.read() == (tmp_path / "old" / f"{i}.mp4").read_bytes()
    pack(data, out, workers=1, shard_mib=100)  # all in one: the other shards go
    assert sorted(each.name for each in out.glob("*.tar")) == ["train-000000.tar"]
    assert content(out).keys() == {"train-000000.tar", "shards.json", "shards.tsv"}


def damage(shard: Path, how: str) -> None:
    whole = shard.read_bytes()
    match how:
        case "cut off":
            shard.write_bytes(whole[:2000])
        case "gone":
            shard.unlink()
        case "other":
            shard.write_bytes(bytes(len(whole)))
        case "flipped":
            place = whole.index(b"no video")
            shard.write_bytes(whole[:place] + b"NO" + whole[place + 2 :])


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("cut off", r"its shard .*/train-000000\.tar has 2,000 bytes, not the [\d,]+ that shards"),
        ("gone", r"its shard .*/train-000000\.tar is not there; copy it again, or pack it again"),
        ("other", r"its shard .*/train-000000\.tar holds something else than its index says"),
        ("flipped", r"its shard .*/train-000000\.tar holds other bytes of it than were packed"),
    ],
)
def test_a_shard_that_is_not_as_it_was_is_told_and_breaks_no_video(
    tmp_path: Path, out: Path, how: str, said: str
) -> None:
    root = tmp_path / "old"
    for split in ("train", "test"):
        (root / split / "a").mkdir(parents=True)
        (root / split / "a" / "v.mp4").write_text("no video" * 999)
    pack(folder(root=root), out, workers=1)
    with pytest.raises(DecodeError, match="Invalid data"):
        read_video(str(out / "train/a/v.mp4"), partial(open_video, out / "train/a/v.mp4"), len)
    damage(out / "train-000000.tar", how)
    path = str(out / "train/a/v.mp4")
    with pytest.raises(ReadError, match=f"^{re.escape(path)}: {said}"):
        read_video(path, partial(open_video, path), len)
    if how in ("cut off", "gone"):
        with pytest.raises(UserError, match=r"train-000000\.tar: .*; copy it again") as raised:
            folder(root=out)
        assert "\n" not in str(raised.value)


def test_pictures_whose_names_are_no_text_are_packed(tmp_path: Path, out: Path) -> None:
    video = tmp_path / "old" / "v"
    video.mkdir(parents=True)
    name = os.fsdecode(b"\xe9.jpg")
    (video / name).write_bytes(b"a picture")
    split = Split.of(["v"], [0], tmp_path / "old")
    pack(DatasetInfo("set", ("a", "b"), {"train": split}, flip="ok"), out, workers=1)
    with opened(str(out / "v" / name)) as picture:
        assert picture.read() == b"a picture"


def test_a_full_disk_is_one_line_and_what_is_done_is_kept(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, written = listed(tmp_path / "old"), []
    fsync = os.fsync

    def full(descriptor: int) -> None:
        written.append(descriptor)
        if len(written) > 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    said = f"{out}: No space left on device: nothing more can be written; what is done is kept"
    with pytest.raises(UserError, match=said):
        pack(data, out, workers=1, shard_mib=1)
    assert (out / PACKING).is_dir() and not [*out.glob("*.partial")]
    monkeypatch.setattr(os, "fsync", fsync)
    pack(data, out, workers=1, shard_mib=1)
    monkeypatch.setattr(packing.shutil, "disk_usage", lambda place: SimpleNamespace(free=10))
    (tmp_path / "old" / "0.mp4").write_bytes(b"changed")
    with pytest.raises(UserError, match=r"the shards take .* GB more, but 1e-08 GB are free"):
        pack(data, out, workers=1, shard_mib=1)


def test_what_the_disk_does_not_deliver_is_packed_when_it_does(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = listed(tmp_path / "old")

    def failing(path: str) -> Any:
        if path.endswith("1.mp4"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return opened(path)

    monkeypatch.setattr(write_shard, "opened", failing)
    rows = pack(data, out, workers=1)
    assert {n: r["problem"] for n, r in rows.items() if r["problem"]} == {
        "1.mp4": "Input/output error"
    }
    monkeypatch.setattr(write_shard, "opened", opened)
    assert not any(row["problem"] for row in pack(data, out, workers=1).values())
    pack(data, tmp_path / "undisturbed", workers=1)
    assert content(out) == content(tmp_path / "undisturbed")


def test_the_command_packs_and_its_folder_works(
    tmp_path: Path,
    out: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = packing.map_in_processes
    monkeypatch.setattr(packing, "map_in_processes", map_in_processes)
    root = tmp_path / "old"
    root.mkdir()
    for name in "ab":
        write(root / f"{name}.mp4", greys(6))
    (root / "train.csv").write_text("path,label\na.mp4,x\n")
    (root / "test.csv").write_text("path,label\nb.mp4,x\nc.mp4,x\n")
    command = ["prepare", "file_list", f"data.root={root}", "-o", str(out), "--shards"]
    assert main([*command, "short_side=64"]) == 2
    assert "short_side=64: --shards packs videos as they are" in capsys.readouterr().err
    assert main(command) == 1
    said = capsys.readouterr().out
    assert "file_list: 3 videos in 2 shards" in said and f"use it with data.root={out}" in said
    assert "left out: c.mp4: No such file or directory" in said
    assert (out / "train.csv").read_text() == (root / "train.csv").read_text()
    monkeypatch.setattr(packing, "map_in_processes", here)
    again = tmp_path / "again"  # from shards to shards
    assert main([*command[:2], f"data.root={out}", "-o", str(again), "--shards"]) == 1
    assert content(again) == content(out)
    apart = file_list(root=root, videos=f"{out}/{{path}}")  # lists here, shards there
    with open_video(apart.splits["train"].path(0)) as video:
        assert len(video) == 6
    assert main(["prepare", "file_list", f"data.root={out}", "-o", str(out), "--shards"]) == 2
    assert "is the folder of the old videos" in capsys.readouterr().err

"""Packed videos are the videos: the same bits, the same verdicts, under the same names."""

import errno
import json
import os
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import torch
from augments import AS_IT_IS
from make_videos import greys, remux, scene, with_matrix, write

from benchmark.cli.parser import main
from benchmark.training.evaluation import Scores
from benchmark.training.provenance import data_provenance
from datamodules import files
from datamodules.dataset_info import DatasetInfo, Split
from datamodules.datasets.file_list import file_list
from datamodules.datasets.folder import folder
from datamodules.decoding import reading
from datamodules.decoding.open import open_video
from datamodules.decoding.reading import read_video
from datamodules.decoding.stated_length import stated_length
from datamodules.decoding.video import DecodeError, RandomAccessVideo, ReadError
from datamodules.errors import UserError
from datamodules.identity import identify
from datamodules.loading.clips import TrainingClips, sampling
from datamodules.loading.opener import opener
from datamodules.preparation import pack as packing
from datamodules.preparation import write_shard
from datamodules.preparation.audit import look
from datamodules.preparation.pack import pack
from datamodules.preparation.workers import map_in_processes
from datamodules.shards.index import PACKING
from datamodules.shards.paths import opened

WEBDATASET = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)")  # how it takes a member's name apart


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pack in this process: starting others takes seconds. Wait for nothing."""
    monkeypatch.setattr(files, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(reading.time, "sleep", lambda seconds: None)

    def map_here(work: Callable[[str], Any], items: list[str], **_: Any) -> Iterator[Any]:
        return ((item, work(item), None) for item in items)

    monkeypatch.setattr(packing, "map_in_processes", map_here)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "new"


def film(path: Path, codec: str, times: list[int] | None = None, **options: str) -> None:
    """Write 24 frames of a scene with loss, and with B-frames where the codec has them."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.thread_count = 1
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        for i, picture in enumerate(scene(24)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if times:
                frame.pts, frame.time_base = times[i], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def odd(root: Path) -> None:
    """Write videos of all kinds: two classes of training videos, and a test video."""
    own = root / "train" / "a"
    own.mkdir(parents=True)
    film(own / "b_frames.mp4", "libx264", g="12", bf="3")
    film(own / "at the end.mov", "libx264", movflags="")
    film(own / "uneven.mkv", "libx264", times=np.cumsum([0, *[33, 7, 90] * 8])[:24].tolist())
    film(own / "open.ts", "mpeg2video", g="6", bf="2")
    film(own / "old.avi", "mpeg4", bf="2")
    film(own / "a.b.c.webm", "libvpx")
    write(own / "old.mp4", greys(6))  # its stem is another video's, too
    with_matrix(write(own / "turned.mp4", scene(6)), (0, 1, -1, 0))
    whole = (own / "b_frames.mp4").read_bytes()
    (own / "cut off.mp4").write_bytes(whole[: len(whole) // 2])
    (own / "garbage.mp4").write_bytes(os.urandom(5000))
    (own / "empty.mp4").touch()
    (own / "text.mkv").write_text("no video\n" * 99)
    (own / "gone.mp4").symlink_to("nowhere")
    remux(own / "open.ts", own / "damaged.ts", lambda i, packet: None if i in (5, 6) else packet)
    (own / "pictures").mkdir()
    for i, picture in enumerate(scene(4)):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.save(str(own / "pictures" / f"img_{i + 1:05}.jpg"))
    for place in (root / "train" / "b", root / "test" / "a"):
        place.mkdir(parents=True)
        write(place / f"{'long name ' * 15}ä.mp4", scene(3))


def outcome(root: Path, name: str, decoder: str = "pyav") -> Any:
    """Return all that is seen of a video, or how it is broken, but not where it lies."""
    path = str(root / name)

    def take(video: RandomAccessVideo) -> list[Any]:
        own = video.frames(range(len(video)))
        again = video.frames([len(video) - 1, 0, len(video) // 2])  # sought, and backwards
        return [own.shape, own.tobytes(), again.tobytes(), video.times.tolist(), video.duration]

    try:
        seen = read_video(path, partial(open_video, path, decoder), take)
        return [*seen, stated_length(path)]
    except DecodeError as error:
        return str(error).replace(str(root), "")


@pytest.fixture
def both(tmp_path: Path, out: Path) -> tuple[DatasetInfo, DatasetInfo]:
    """Return odd videos as files, and packed."""
    odd(tmp_path / "old")
    data = folder(root=tmp_path / "old")
    rows = pack(data, out, workers=1)
    assert [row["name"] for row in rows.values() if row["problem"]] == ["train/a/gone.mp4"]
    return data, folder(root=out)


def test_all_there_is_to_see_of_a_video_is_the_same(
    both: tuple[DatasetInfo, DatasetInfo], tmp_path: Path, out: Path
) -> None:
    names = [*both[0].splits["train"].names()]
    found = {name: outcome(tmp_path / "old", name) for name in names}
    assert {name: outcome(out, name) for name in names} == found
    broken = {name for name, each in found.items() if isinstance(each, str)}
    expected = ("cut off.mp4", "garbage.mp4", "empty.mp4", "text.mkv", "gone.mp4")
    assert {f"train/a/{each}" for each in expected} <= broken < set(names)
    assert len(found["train/a/turned.mp4"]) == 6  # and it is turned
    assert found["train/a/turned.mp4"][0] == (6, 64, 48, 3)


def test_the_second_decoder_sees_the_same(
    both: tuple[DatasetInfo, DatasetInfo], tmp_path: Path, out: Path
) -> None:
    try:
        import torchcodec
    except (ImportError, RuntimeError):
        pytest.skip("torchcodec is not installed")
    if torchcodec.ffmpeg_major_version is None:
        pytest.skip("torchcodec finds no FFmpeg")
    for name in both[0].splits["train"].names():
        old = outcome(tmp_path / "old", name, "torchcodec")
        assert outcome(out, name, "torchcodec") == old, name


def test_lists_records_and_audits_know_no_difference(
    both: tuple[DatasetInfo, DatasetInfo], tmp_path: Path, out: Path
) -> None:
    old, new = both
    assert identify(old) == identify(new) and old.warnings == new.warnings
    scores = Scores(*(torch.zeros(1).long() for _ in range(4)), torch.zeros(1).bool(), 1)

    def provenance(data: DatasetInfo) -> Any:
        module: Any = SimpleNamespace(data=data, evaluation_split="test", decoded=[0, 0])
        return data_provenance(module, identify(data), [0, 2], scores)

    assert provenance(old) == provenance(new)
    for name in old.splits["train"].names():
        rows = []
        for root in (tmp_path / "old", out):
            try:
                rows.append(look(str(root), name))
            except DecodeError as error:
                rows.append({"problem": str(error).replace(str(root), "")})
            rows[-1]["state"] = files.file_state(root, name)
        if not name.endswith("pictures"):  # whose folder has a size of its own
            assert rows[0] == rows[1], name


def test_clips_and_what_stands_in_for_broken_videos_are_the_same(
    both: tuple[DatasetInfo, DatasetInfo],
) -> None:
    clips = [
        TrainingClips(
            data,
            opener(data.splits["train"], data.name, None, decoder="pyav", cache=False),
            sampling("uniform", frames=4),
            replace(AS_IT_IS, flip=0.5),
            size=32,
            interpolation="bilinear",
            seed=0,
        )
        for data in both
    ]
    stood_in = 0
    for index in range(len(clips[0])):
        old, new = (each[(1, index)] for each in clips)
        assert old["video"].equal(new["video"])
        assert (old["index"], old["broken"]) == (new["index"], new["broken"])
        stood_in += old["broken"] >= 0
    assert stood_in >= 5


def test_anybody_can_read_them(both: tuple[DatasetInfo, DatasetInfo], out: Path) -> None:
    old = both[0].splits["train"]
    seen = {}
    with tarfile.open(out / "train-000000.tar") as tar:
        for member in tar.getmembers():
            match = WEBDATASET.fullmatch(member.name)
            assert match
            content = tar.extractfile(member)
            assert content
            seen[match[1], match[2]] = content.read()
    order = [key for key, _ in groupby(key for key, _ in seen)]
    assert len(order) == len(set(order)) == len(old) - 1  # one was not there
    for key in order:
        own = {ending: content for (each, ending), content in seen.items() if each == key}
        about = json.loads(own.pop("json"))
        label = int(own.pop("cls"))
        assert about["rows"] == [{"split": "train", "label": label, "class": "ab"[label]}]
        path = Path(old.root, about["name"])
        if path.is_dir():
            assert own == {each.name: each.read_bytes() for each in path.iterdir()}
        else:
            assert own == {path.suffix[1:]: path.read_bytes()}


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

"""Prepared videos are the old ones, smaller and quicker: frame by frame, time by time."""

import os
import re
from fractions import Fraction

import av
import numpy as np
import pytest
from make_videos import SHAPE, greys, write

from benchmark.cli.parser import main
from datamodules import files
from datamodules.dataset_info import DatasetInfo, Split
from datamodules.decoding.frame_folder import FrameFolder
from datamodules.decoding.indexed_video import IndexedVideo
from datamodules.errors import UserError
from datamodules.preparation.encode import Encoding, rate
from datamodules.preparation.prepare import copy_lists, prepare


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "RUNS", tmp_path / "runs")


@pytest.fixture
def root(tmp_path):
    (tmp_path / "old").mkdir()
    return tmp_path / "old"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "new"


def listed(root, *names):
    return DatasetInfo("set", ("a",), {"train": Split.of(names, [0] * len(names), root)}, flip="ok")


def noise(count, height, width):
    """Return smooth pictures, each its own."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (count, height // 8 + 1, width // 8 + 1, 3), np.uint8)
    return [each.repeat(8, 0).repeat(8, 1)[:height, :width] for each in small]


def greyness(video):
    return [int(np.median(frame)) for frame in video.frames(range(len(video)))]


def keys(path):
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        return [i for i, packet in enumerate(packets) if packet.is_keyframe]


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [
        ((480, 640), 128, (128, 170)),
        ((640, 480), 128, (170, 128)),
        ((99, 75), 128, (98, 74)),  # never larger; even
        ((128, 300), 128, (128, 300)),
        ((1, 900), 128, (2, 900)),
    ],
)
def test_the_short_side_is_what_was_asked_for_or_less(size, short_side, expected):
    assert Encoding("", "", short_side, 16, 20).size(*size) == expected


def test_frames_and_times_stay(root, out):
    write(root / "a.mp4", greys(120))
    rows = prepare(listed(root, "a.mp4"), out, workers=1, short_side=24, group=16)
    with IndexedVideo(root / "a.mp4") as old, IndexedVideo(out / "a.mp4") as new:
        assert np.array_equal(old.times, new.times) and old.duration == new.duration
        assert np.abs(np.subtract(greyness(old), greyness(new))).max() <= 2
        assert new.frames([0]).shape == (1, 24, 32, 3)
    assert keys(root / "a.mp4") == [0] and keys(out / "a.mp4") == list(range(0, 120, 16))
    row = rows["a.mp4"]
    assert (row["before"], row["after"]) == (
        os.path.getsize(root / "a.mp4"),
        os.path.getsize(out / "a.mp4"),
    )


def test_the_picture_stays(root, out):
    pictures = noise(5, 64, 96)
    write(root / "a.mp4", pictures)
    prepare(listed(root, "a.mp4"), out, workers=1, quality=1)
    with IndexedVideo(out / "a.mp4") as video:
        new = video.frames(range(5)).astype(int)
    # colours are kept at half the resolution: compare inside of the 8 x 8 blocks
    assert np.abs(new - np.stack(pictures))[:, 4::8, 4::8].mean() < 3


def test_uneven_times_stay(root, out):
    times = np.cumsum([0, 33, 33, 34, 50, 7, 100, 33])
    with av.open(str(root / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"qp": "0"})
        stream.height, stream.width, stream.pix_fmt = *SHAPE, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for picture, time in zip(greys(8), times.tolist(), strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    rows = prepare(listed(root, "a.mkv"), out, workers=1)
    assert rows["a.mkv"]["problem"] is None
    with IndexedVideo(out / "a.mkv") as video:  # named as before, found by its content
        assert np.allclose(video.times, times / 1000, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (np.arange(300) / 30, 30),
        (np.arange(300) * 1001 / 30000, 30000),
        (np.array([0, 33, 67, 100, 133]) / 1000, 1000),
        (np.array([0, np.pi, 9, 9 + np.e]), 90000),  # of no rate
        (np.array([0.0]), 90000),
    ],
)
def test_times_are_whole_numbers_of_ticks(times, expected):
    assert rate(times) == expected


def test_a_folder_of_pictures_becomes_a_file(root, out):
    (root / "v" / "w").mkdir(parents=True)
    for i, picture in enumerate(greys(30)):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.save(str(root / "v" / "w" / f"img_{i:05}.png"))
    rows = prepare(listed(root, "v/w"), out, workers=1)
    with FrameFolder(root / "v" / "w") as old, IndexedVideo(out / "v" / "w") as new:
        assert np.array_equal(old.times, new.times)
        assert np.abs(np.subtract(greyness(old), greyness(new))).max() <= 2
    each = [file.stat().st_size for file in (root / "v" / "w").iterdir()]
    assert rows["v/w"]["before"] == sum(each)


def test_broken_videos_are_left_out_and_noted(root, out):
    write(root / "a.mp4", greys(9))
    (root / "b.mp4").write_text("no video")
    rows = prepare(listed(root, "a.mp4", "b.mp4", "c.mp4"), out, workers=2)
    assert [row["problem"] is None for row in rows.values()] == [True, False, False]
    assert rows["c.mp4"]["problem"] == "No such file or directory"
    left = sorted(each.name for each in out.iterdir() if not each.name.startswith(".prepared"))
    assert left == ["a.mp4"]


def test_only_what_has_changed_is_encoded_again(root, out):
    for name in "abcd":
        write(root / f"{name}.mp4", greys(9))
    data = listed(root, *(f"{name}.mp4" for name in "abcd"))
    prepare(data, out, workers=2)
    before = {name: (out / f"{name}.mp4").stat().st_mtime_ns for name in "abcd"}
    write(root / "b.mp4", greys(12))
    (out / "c.mp4").unlink()
    (root / "d.mp4").write_text("no video any more")
    prepare(data, out, workers=2)
    assert (out / "a.mp4").stat().st_mtime_ns == before["a"]
    assert len(IndexedVideo(out / "b.mp4")) == 12 and (out / "c.mp4").exists()
    assert not (out / "d.mp4").exists()
    prepare(data, out, workers=2, short_side=24)
    assert IndexedVideo(out / "a.mp4").frames([0]).shape == (1, 24, 32, 3)


def test_lists_and_labels_come_along(root, out):
    for name in ("train.csv", "annotations/labels.json", "a/b/list.txt", "a/b/v.mp4", "a/x.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "readme.pdf").write_text("")
    out.mkdir()
    copy_lists(root, out, ["a/b/v.mp4"])
    found = sorted(str(each.relative_to(out)) for each in out.rglob("*") if each.is_file())
    assert found == ["a/x.txt", "annotations/labels.json", "train.csv"]


@pytest.mark.parametrize("name", ["/somewhere/a.mp4", "../a.mp4"])
def test_videos_outside_of_the_root_are_refused(root, out, name):
    with pytest.raises(UserError, match=r"a\.mp4 lies outside of data\.root"):
        prepare(listed(root, name), out, workers=1)


def test_the_old_videos_are_never_overwritten(root):
    write(root / "a.mp4", greys(9))
    content = (root / "a.mp4").read_bytes()
    with pytest.raises(UserError, match="is the folder of the old videos"):
        prepare(listed(root, "a.mp4"), root.parent / "." / "old", workers=1)
    assert (root / "a.mp4").read_bytes() == content


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("old/new", "lies in"),
        ("old/train", "lies in"),
        ("link/new", "lies in"),
        ("link", "is the folder of"),
        (".", "holds"),
        ("linked", "is the folder of"),
        ("file", "is no folder"),
        ("pipe", "is no folder"),
    ],
)
def test_new_videos_never_lie_among_the_old_ones(root, place, said):
    (root / "train").mkdir()
    write(root / "train" / "a.mp4", greys(9))
    (root.parent / "link").symlink_to(root)
    (root.parent / "linked").mkdir()
    (root.parent / "linked" / "train").symlink_to(root / "train")
    (root.parent / "file").touch()
    os.mkfifo(root.parent / "pipe")
    before = sorted(root.parent.rglob("*"))
    content = (root / "train" / "a.mp4").read_bytes()
    with pytest.raises(UserError, match=said):
        prepare(listed(root, "train/a.mp4"), root.parent / place, workers=1)
    assert sorted(root.parent.rglob("*")) == before
    assert (root / "train" / "a.mp4").read_bytes() == content


def test_the_command_says_what_it_bought_and_its_folder_works(root, out, capsys):
    for name in ("a", "b"):
        write(root / f"{name}.mp4", greys(60))
    (root / "train.csv").write_text("path,label\na.mp4,x\n")
    (root / "test.csv").write_text("path,label\nb.mp4,x\n")
    command = [
        "prepare",
        "file_list",
        f"data.root={root}",
        "-o",
        str(out),
        "short_side=32",
        "group=8",
    ]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "list: 2 videos, 0 broken" in said and f"data.root={out}" in said
    assert len(re.findall(r"\d ms -> [\d.]+ ms, [\d.]+ x as fast", said)) == 2
    assert main(["audit", "file_list", f"data.root={out}"]) == 0
    assert re.search(r"short side +32 +32 +32", capsys.readouterr().out)
    assert main([*command, "data.shots=1", "kroup=3"]) == 2
    assert "did you mean 'group'?" in capsys.readouterr().err

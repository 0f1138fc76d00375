"""An audit tells of every listed video what it is or why it cannot be read, and is believed."""

import re
import shutil
import time

import numpy as np
import pytest
from make_videos import SHAPE, greys, write

from benchmark.cli.parser import main
from datamodules import files
from datamodules.dataset_info import DatasetInfo, Split, hold_out
from datamodules.preparation.audit import (
    ENDS,
    audit,
    content,
    known_broken,
    manifest,
    shared_content,
    summary,
)
from datamodules.preparation.resumable import read
from datamodules.preparation.resumable import write as write_log


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "RUNS", tmp_path / "runs")


@pytest.fixture
def data(tmp_path):
    """Return 4 training videos, one of them cut off, and 2 test videos, one of them missing."""
    root = tmp_path / "videos"
    (root / "train").mkdir(parents=True)
    for i in range(4):
        write(root / "train" / f"{i}.mp4", greys(5 + i))
    whole = (root / "train" / "2.mp4").read_bytes()
    (root / "train" / "2.mp4").write_bytes(whole[: len(whole) // 2])
    write(root / "test.mp4", greys(50))
    train = Split.of([f"train/{i}.mp4" for i in range(4)], [0, 1, 0, 1], root)
    test = Split.of(["test.mp4", "none.mp4"], [0, 1], root)
    return DatasetInfo("set", ("a", "b"), {"train": train, "test": test}, flip="ok")


def test_every_video_is_described(data):
    rows = audit(data, workers=2)
    assert list(rows) == [*(f"train/{i}.mp4" for i in range(4)), "test.mp4", "none.mp4"]
    for i in (0, 1, 3):
        row = rows[f"train/{i}.mp4"]
        assert (row["frames"], row["fps"], row["seconds"]) == (5 + i, 25, (5 + i) / 25)
        assert (row["height"], row["width"]) == SHAPE
        assert (row["codec"], row["problem"]) == ("h264", None)
    assert rows["test.mp4"]["seconds"] == 2
    assert rows["none.mp4"]["problem"] == "No such file or directory"
    assert "train/2.mp4" not in rows["train/2.mp4"]["problem"]
    assert "frames" not in rows["train/2.mp4"]


def test_the_manifest_says_which_videos_of_any_split_are_broken(data):
    train, test = data.splits["train"], data.splits["test"]
    assert known_broken(train, "set") is None
    audit(data, workers=2)
    assert known_broken(train, "set").tolist() == [False, False, True, False]
    assert known_broken(test, "set").tolist() == [False, True]
    assert known_broken(train.select([2, 0, 2]), "set").tolist() == [True, False, True]
    held = hold_out(data, 0.5, seed=0).splits["holdout"]
    assert known_broken(held, "set").tolist() == ["2" in name for name in held.names()]
    elsewhere = Split.of(["train/2.mp4"], [0], f"{train.root}/..")
    assert known_broken(elsewhere, "set") is None and known_broken(train, "other") is None


def test_a_video_that_was_never_looked_at_is_not_known_to_be_broken(data):
    audit(data, workers=2)
    more = Split.of(["train/2.mp4", "new.mp4"], [0, 0], data.splits["train"].root)
    assert known_broken(more, "set").tolist() == [True, False]


def test_a_mended_video_is_looked_at_again(data, tmp_path):
    audit(data, workers=2)
    root = tmp_path / "videos"
    shutil.copy(root / "train" / "3.mp4", root / "train" / "2.mp4")
    assert known_broken(data.splits["train"], "set").tolist() == [False, False, True, False]
    assert audit(data, workers=2)["train/2.mp4"]["frames"] == 8
    assert not known_broken(data.splits["train"], "set").any()


def test_a_video_that_is_damaged_at_its_end_is_broken(tmp_path):
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (*SHAPE, 3), np.uint8) for _ in range(9)]
    file = write(tmp_path / "a.mp4", noise)
    content = bytearray(file.read_bytes())
    start, end = content.index(b"mdat"), content.index(b"moov")
    middle = (start + end) // 2
    content[middle:end] = bytes(end - middle)  # the index of its frames stays whole
    file.write_bytes(content)
    split = Split.of(["a.mp4"], [0], tmp_path)
    rows = audit(DatasetInfo("set", ("a",), {"train": split}, flip="ok"), workers=1)
    assert rows["a.mp4"]["problem"] == "frame 8 of 9 is damaged"


def test_folders_of_pictures_are_videos(tmp_path):
    import av

    (tmp_path / "v").mkdir()
    for i, picture in enumerate(greys(3)):
        av.VideoFrame.from_ndarray(picture, format="rgb24").save(str(tmp_path / "v" / f"{i}.png"))
    split = Split.of(["v"], [0], tmp_path)
    row = audit(DatasetInfo("set", ("a",), {"train": split}, flip="ok"), workers=1)["v"]
    assert (row["frames"], row["fps"], row["codec"], row["height"]) == (3, None, "pictures", 48)


def test_copies_of_training_videos_are_known_by_what_is_in_them(data):
    root = data.splits["train"].root
    assert shared_content(data) is None  # nobody has looked
    audit(data, workers=2)
    assert shared_content(data) == []
    shutil.copy(f"{root}/train/1.mp4", f"{root}/test.mp4")
    text = summary(data, audit(data, workers=2))
    assert shared_content(data) == [0]
    assert "1 of 2 test videos are the same as a training video, such as test.mp4" in text
    log = manifest("set", root)
    rows = [{k: v for k, v in row.items() if k != "content"} for row in read(log)]
    write_log(log, rows)  # as an audit of before wrote it
    assert shared_content(data) is None


def test_content_tells_files_of_the_same_size_and_folders_apart(tmp_path):
    def file(name, *parts):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"".join(parts))
        return content(str(tmp_path / name))

    middle = bytes(3 * ENDS)
    found = [file("a", b"a", middle, b"a"), file("b", b"b", middle, b"a"), file("c", b"a", b"a")]
    found += [file("d", b"a", middle, b"b"), file("e", b"")]
    for name, pictures in {"f": "12", "g": "123", "h": "13"}.items():
        for each in pictures:
            file(f"{name}/{each}", each.encode())
        found.append(content(str(tmp_path / name)))
    assert len(set(found)) == len(found)
    assert file("again", b"a", middle, b"a") == found[0]


def test_the_summary_counts_and_names(data):
    text = summary(data, audit(data, workers=2))
    assert "set: 6 videos, 2 broken" in text
    assert re.search(r"train +4   1 broken", text) and re.search(r"test +2   1 broken", text)
    assert re.search(r"frames +5 +7 +50\n", text) and re.search(r"fps +25 +25 +25\n", text)
    assert re.search(r"short side +48 +48 +48\n", text) and "h264 4" in text
    assert "  none.mp4: No such file or directory" in text
    assert str(manifest("set", data.splits["train"].root)) in text


def test_the_command_tells_what_is_broken_by_its_exit_code(data, tmp_path, capsys):
    root = tmp_path / "videos"
    (root / "train.csv").write_text("path,label\ntrain/0.mp4,a\ntrain/1.mp4,b\n")
    (root / "test.csv").write_text("path,label\ntest.mp4,a\n")
    command = ["audit", "file_list", f"data.root={root}", "workers=2"]
    assert main(command) == 0
    assert "list: 3 videos, 0 broken" in capsys.readouterr().out
    (root / "test.csv").write_text("path,label\ntest.mp4,a\nnone.mp4,b\n")
    assert main(command) == 1
    assert "list: 4 videos, 1 broken" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["file_lst"], "no data 'file_lst' in recipes/data; did you mean 'file_list'?"),
        (["file_list", "data.rot=x"], "unknown key 'data.rot'; did you mean 'data.root'?"),
        (["file_list", "worker=2"], "unknown key 'worker'; did you mean 'workers'?"),
        (["file_list", "workers=0"], "workers is '0', not a number between 1 and 1024"),
        (["workers=2"], "name the data, one of recipes/data: "),
    ],
)
def test_a_slip_is_told_in_one_line(words, said, capsys):
    assert main(["audit", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


@pytest.mark.slow
def test_a_manifest_of_half_a_million_videos_is_read_in_seconds(tmp_path):
    names = [f"train/some class/video_{i:07d}_000010_000020.mp4" for i in range(500_000)]
    split = Split.of(names, np.zeros(len(names)), tmp_path)
    row = {"name": "", "size": 1, "changed": 1, "problem": None, "frames": 300, "codec": "h264"}
    log = manifest("set", str(tmp_path))
    log.parent.mkdir(parents=True)
    rows = ({**row, "name": n, "problem": None if i % 1000 else "cut"} for i, n in enumerate(names))
    write_log(log, rows)
    start = time.perf_counter()
    broken = known_broken(split, "set")
    assert time.perf_counter() - start < 10
    assert np.flatnonzero(broken).tolist() == list(range(0, 500_000, 1000))

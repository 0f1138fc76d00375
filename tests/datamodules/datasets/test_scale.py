"""A million videos are listed in seconds, no file of theirs is touched, workers share the list."""

import io
import json
import os
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from make_datasets import WRITERS
from torch.utils.data import DataLoader, Dataset

from benchmark.lookup import find
from datamodules.dataset_info import Split
from datamodules.datasets.folder import folder

MILLION = 1_000_000
ROWS = {  # of a list: its name, its first line, and one for the i-th video
    "file_list": ("train.csv", "path,label", "train/{label}/abcdefghijk_{i:07d}.mp4,{label}"),
    "kinetics400": (
        "train.csv",
        "label,youtube_id,time_start,time_end,split",
        '"doing {label}, or not",a{i:010d},{start},{end},train',
    ),
}
LOAD = """
import json, sys, time
from pathlib import Path
from benchmark.lookup import find
from datamodules.dataset_info import hold_out
def timed(work):
    start = time.process_time()  # this machine may be busy
    return work(), time.process_time() - start
def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
read, before = find("datamodules.datasets", sys.argv[1]), peak()
data, loading = timed(lambda: read(**json.loads(sys.argv[2])))
megabytes, train = peak() - before, data.splits["train"]
held, holding = timed(lambda: hold_out(data, 0.1, 0))
checksum, checking = timed(train.sha256)
arrays = train.text, train.starts, train.ends, train.labels
kept = sum(array.nbytes for array in arrays) / 2**20
print(json.dumps([len(train), train.name(len(train) - 1), len(held.splits["holdout"]),
                  loading, megabytes, kept, holding, checking]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("form", ROWS)
def test_a_million_videos_are_listed_in_seconds(form, tmp_path, record_property):
    name, header, row = ROWS[form]
    rows = (
        row.format(i=i, label=f"{i % 400:03d}", start=i % 300, end=i % 300 + 10)
        for i in range(MILLION)
    )
    (tmp_path / name).write_text("\n".join([header, *rows]))
    few = [header, *(row.format(i=i, label=f"{i:03d}", start=0, end=10) for i in range(400))]
    (tmp_path / "val.csv").write_text("\n".join(few))
    options = {"root": str(tmp_path), "train": name, "test": "val.csv"}
    if form == "kinetics400":
        options |= {"videos": "{split}/{youtube_id}_{time_start:06d}.mp4", "sizes": "any"}
    for first in (
        *("train/000/abcdefghijk_0000000.mp4", "train/a0000000000_000000.mp4"),
        "val/a0000000000_000000.mp4",
    ):
        (tmp_path / first).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / first).touch()
    command = [sys.executable, "-c", LOAD, form, json.dumps(options)]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    count, last, held, loading, megabytes, kept, holding, checking = json.loads(told)
    record_property(
        "a million videos",
        f"{form}: {loading:.1f} s, {megabytes:.0f} MB at most, {kept:.0f} MB kept; "
        f"holdout {holding:.1f} s, checksum {checking:.1f} s",
    )
    assert count == MILLION and "0999999" in last and held == MILLION / 10
    assert loading < 10 and holding < 4 and checking < 4
    assert megabytes < 600 and kept < 80


class Touches:
    """Counts how often the file system is asked about files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        for module, names in (
            (os, ("stat", "lstat", "open", "scandir", "listdir")),
            (io, ("open",)),
        ):
            for name in names:
                monkeypatch.setattr(module, name, partial(self._counted, getattr(module, name)))

    def _counted(self, function, *args, **options):
        self.count += 1
        return function(*args, **options)


@pytest.mark.parametrize("name", WRITERS)
def test_no_more_files_are_touched_of_a_longer_list(name, tmp_path, monkeypatch):
    counts, read = [], find("datamodules.datasets", name)  # whose source is read but once
    for length in (710, 2_130):
        place = tmp_path / str(length)
        place.mkdir()
        WRITERS[name](place, length, length)
        with monkeypatch.context() as patch:
            touches = Touches(patch)
            data = read(root=place, sizes="any")
            counts.append(touches.count)
        assert len(data.splits["test"]) == length
    assert 0 < counts[0] == counts[1] < 250  # HMDB51 has 51 lists


def test_a_video_in_a_folder_is_looked_at_once(tmp_path, monkeypatch):
    counts = []
    for length in (20, 200):
        for split in ("train", "test"):
            place = tmp_path / split / "ape"
            place.mkdir(parents=True, exist_ok=True)
            for i in range(length):
                (place / f"{i}.mp4").touch()
        with monkeypatch.context() as patch:
            touches = Touches(patch)
            assert len(folder(root=tmp_path).splits["train"]) == length
            counts.append(touches.count)
    assert counts[1] - counts[0] == 2 * (200 - 20)  # one look at each video, for its size


def paths(count):
    return [f"train/{i % 400:03d}/abcdefghijk_{i:07d}_000010.mp4" for i in range(count)]


def test_a_pickled_list_is_as_small_as_its_text():
    listed = paths(10_000)
    split = Split.of(listed, range(10_000))
    assert len(pickle.dumps(split)) < len("".join(listed)) + 4 * 8 * len(listed) + 1_000
    again = pickle.loads(pickle.dumps(split))
    assert again.sha256() == split.sha256()


def private() -> float:
    """Return the megabytes that this process shares with no other."""
    rows = (line.split() for line in Path("/proc/self/smaps_rollup").read_text().splitlines())
    return sum(int(row[1]) for row in rows if row[0].startswith("Private_")) / 1024


class Growth(Dataset):
    """Its one item is by how many megabytes a worker grows that goes through a list."""

    def __init__(self, length, row) -> None:
        self.length, self.row = length, row

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> float:
        before = private()
        for i in range(self.length):
            self.row(i)
        return private() - before


def growth(length, row) -> float:
    rows = Growth(length, row)
    (grown,) = DataLoader(rows, num_workers=1, batch_size=None, multiprocessing_context="fork")
    return grown


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="only Linux tells")
def test_workers_do_not_copy_the_list():
    count = 300_000
    split = Split.of(paths(count), range(count))
    arrays = growth(count, lambda i: (split.path(i), split.label(i), split.segment(i)))
    tuples = [*zip(paths(count), range(count), strict=True)]
    assert arrays < 4 < 20 < growth(count, lambda i: tuples[i][0])

"""Videos from the cache are those from their files, bit for bit, and are decoded once."""

import contextlib
import io
import multiprocessing
import os
import pickle
import time

import numpy as np
import pytest
import torch
from make_videos import greys, write
from torch.utils.data import DataLoader, Dataset

from datamodules import files
from datamodules.dataset_info import Split
from datamodules.decoding.open import open_video
from datamodules.decoding.video import DecodeError
from datamodules.errors import UserError
from datamodules.loading import cache as _cache
from datamodules.loading.cache import CachedVideo, cached


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "RUNS", tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture
def split(tmp_path):
    """Return videos of 5, 6 and 7 frames and of two sizes, and in between one that is broken."""
    noise = np.random.default_rng(0).integers(0, 255, (6, 32, 80, 3), np.uint8)
    for i, pictures in enumerate([greys(5), list(noise), greys(7)]):
        write(tmp_path / f"{i}.mp4", pictures)
    (tmp_path / "broken.mp4").write_text("no video")
    return Split.of(["0.mp4", "1.mp4", "broken.mp4", "2.mp4"], [0, 1, 0, 1], tmp_path)


class Files:
    """Opens videos, and counts how often."""

    def __init__(self, split):
        self.split, self.opened = split, 0

    def __call__(self, index):
        self.opened += 1
        return open_video(self.split.path(index))


def test_everything_is_as_it_is_in_the_file(split):
    files = Files(split)
    cache = cached(split, "set", files, "pyav")
    for index in (0, 1, 3):
        with files(index) as one, cache(index) as other:
            assert isinstance(other, CachedVideo) and other.file == one.file
            assert len(one) == len(other) and np.array_equal(one.times, other.times)
            assert one.duration == other.duration
            wanted = [*range(len(one)), 0, len(one) - 1, 2]
            assert np.array_equal(one.frames(wanted), other.frames(wanted))
            clips = [video.get_clip(0.04, 0.17)["video"] for video in (one, other)]
            assert torch.equal(*clips) and clips[0].shape[1] == 4
            for outside in ([-1], [len(one)], []):
                with pytest.raises(IndexError) as first, one:
                    one.frames(outside)
                with pytest.raises(IndexError) as second:
                    other.frames(outside)
                assert str(first.value) == str(second.value)


def test_what_is_taken_from_it_can_be_written_to(split):
    cache = cached(split, "set", Files(split), "pyav")
    cache(0).frames([1])[:] = 0
    assert (cache(0).frames([1]) == 1).all()


def test_a_broken_video_is_broken_in_the_same_words(split):
    files = Files(split)
    with pytest.raises(DecodeError) as without:
        files(2)
    with pytest.raises(DecodeError) as within:
        cached(split, "set", files, "pyav")(2)
    assert str(without.value) == str(within.value)


def test_videos_are_decoded_once(split):
    files = Files(split)
    cached(split, "set", files, "pyav")
    files.opened = 0
    again = cached(split, "set", files, "pyav")
    assert [len(again(index)) for index in (0, 1, 3)] == [5, 6, 7] and files.opened == 0


@pytest.mark.parametrize("change", ["file", "list", "decoder"])
def test_what_has_changed_is_decoded_anew(split, change, monkeypatch):
    place = cached(split, "set", Files(split), "pyav").place
    if change == "file":
        os.utime(split.path(1), ns=(1, 1))
    if change == "list":
        split = split.select([1, 0, 2, 3])
    if change == "decoder":
        monkeypatch.setattr(_cache, "version", lambda package: "99")
    other = cached(split, "set", Files(split), "pyav")
    assert other.place != place
    assert len(other(1)) == (5 if change == "list" else 6)


def test_a_cache_that_would_fill_the_disk_is_refused(split, monkeypatch, runs):
    usage = type("Usage", (), {"free": 90_000})
    monkeypatch.setattr(_cache.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(
        UserError, match=r"needs about 0 GB for the 4 videos of set, more than half"
    ):
        cached(split, "set", Files(split), "pyav")
    usage.free = 900_000
    assert len(cached(split, "set", Files(split), "pyav")(0)) == 5


@pytest.mark.parametrize(("size", "far"), [(1, True), (10**6, False)])
def test_a_cache_that_takes_far_more_than_its_videos_is_told_before(
    split, monkeypatch, runs, caplog, size, far
):
    monkeypatch.setattr(_cache, "total_bytes", lambda path: size)
    cached(split, "set", Files(split), "pyav")
    told = [each.getMessage() for each in caplog.records]
    assert len(told) == far
    for line in told:
        assert "4 videos of set" in line and "MB decoded" in line and "cache=false" in line


def test_an_interrupted_cache_leaves_nothing_behind(split, runs):
    files = Files(split)

    def interrupted(index):
        if index == 1 and files.opened > 4:  # after the first ones were tried for their size
            raise KeyboardInterrupt
        return files(index)

    with pytest.raises(KeyboardInterrupt):
        cached(split, "set", interrupted, "pyav")
    assert [each.suffix for each in (runs / "cache").iterdir()] == [".lock"]


class Greys(Dataset):
    def __init__(self, cache):
        self.cache = cache

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return int(self.cache([0, 1, 3][index % 3]).frames([4])[0, 0, 0, 0])


FORK = multiprocessing.get_context("fork")  # whose processes have imported all that is needed


def greys_of(asked, told):
    """Read a cache that comes as it does to a worker that was spawned: pickled."""
    told.put([int(grey) for grey in DataLoader(asked.get())])


@pytest.mark.slow
def test_workers_map_the_file_by_themselves(split):
    asked, told = FORK.SimpleQueue(), FORK.SimpleQueue()
    spawned = FORK.Process(target=greys_of, args=(asked, told), daemon=True)
    spawned.start()  # before there is anything that it could have without being given it
    cache = cached(split, "set", Files(split), "pyav")
    cache(0).frames([0])
    assert len(pickle.dumps(cache)) < 2000
    alone = torch.cat(list(DataLoader(Greys(cache))))
    forked = DataLoader(Greys(cache), num_workers=1, multiprocessing_context="fork")
    assert torch.equal(alone, torch.cat(list(forked)))
    asked.put(Greys(cache))
    assert alone.tolist() == told.get()
    spawned.join(100)


class Slow(Files):
    def __call__(self, index):
        time.sleep(0.1)
        return super().__call__(index)


def decode(split, barrier, told):
    """Read a cache of one's own, together with another process."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        files = Slow(split)
        barrier.wait(30)
        cache = cached(split, "set", files, "pyav")
        told.put((files.opened, [len(cache(i)) for i in (0, 1, 3)], errors.getvalue()))


@pytest.mark.slow
def test_processes_that_start_together_decode_once(split):
    barrier, told = FORK.Barrier(2), FORK.SimpleQueue()
    started = [
        FORK.Process(target=decode, args=(split, barrier, told), daemon=True) for _ in range(2)
    ]
    for each in started:
        each.start()
    for each in started:
        each.join(60)
    assert [each.exitcode for each in started] == [0, 0]
    # 4 to guess the size, 4 to decode, each time the broken one twice
    assert sorted(told.get() for _ in started) == [
        (0, [5, 6, 7], "waiting until set is decoded by another process\n"),
        (10, [5, 6, 7], ""),
    ]


@pytest.mark.slow
def test_a_cache_is_faster_than_its_files(split):
    files = Files(split)
    cache = cached(split, "set", files, "pyav")

    def seconds(open_one):
        start = time.perf_counter()
        for _ in range(50):
            for index in (0, 1, 3):
                open_one(index).frames([0, 2, 4])
        return time.perf_counter() - start

    seconds(cache)
    assert min(seconds(cache) for _ in range(3)) < 0.5 * min(seconds(files) for _ in range(3))

"""What a machine refuses is tried again, and never taken for a broken video."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from augments import AS_IT_IS
from make_videos import greys, write

from datamodules.dataset_info import DatasetInfo, Split
from datamodules.decoding import DecodeError, RandomAccessVideo, open_video, reading
from datamodules.decoding.reading import read_video
from datamodules.decoding.video import KnownBroken, Open, ReadError
from datamodules.loading.clips import AllViews, TrainingClips, sampling
from datamodules.preparation.audit import look

SHAPES: dict[str, Any] = {"size": 32, "interpolation": "bilinear"}
# Linux's file of a process's memory is a regular file that lists like any other, and whose first
# bytes cannot be read: EIO, as of a failing disk.
FAILING = Path("/proc/self/mem")


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Do not wait; return what would have been waited."""
    waited: list[float] = []
    monkeypatch.setattr(reading.time, "sleep", waited.append)
    return waited


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(write(tmp_path / "a.mp4", greys(6)))


class Flaky:
    """Opens a video after a number of failures.

    Args:
        file: Of the video.
        failures: What goes wrong first, one after the other.
    """

    def __init__(self, file: str, *failures: Exception) -> None:
        self.file, self.failures, self.opened = file, list(failures), 0

    def __call__(self, index: int = 0) -> RandomAccessVideo:
        self.opened += 1
        if self.failures:
            raise self.failures.pop(0)
        return open_video(self.file)


def training(split: Split, opened: Open) -> TrainingClips:
    data = DatasetInfo("set", ("a", "b"), {"train": split, "test": split}, flip="ok")
    return TrainingClips(
        data, opened, sampling("uniform", frames=2), replace(AS_IT_IS, flip=0.5), **SHAPES, seed=0
    )


def io_error() -> OSError:
    return OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("failure", [io_error, MemoryError, partial(OSError, errno.EMFILE, "x")])
def test_what_passes_is_waited_for(
    file: str, failure: Callable[[], Exception], pauses: list[float]
) -> None:
    flaky = Flaky(file, failure(), failure())
    assert read_video(file, flaky, len) == 6
    assert pauses == list(reading.PAUSES[:2])


def test_what_stays_stops_with_the_file_and_the_reason(file: str, pauses: list[float]) -> None:
    flaky = Flaky(file, *(io_error() for _ in range(9)))
    with pytest.raises(ReadError, match=rf"^{file}: Input/output error, asked 4 times in 6 s$"):
        read_video(file, flaky, len)
    assert pauses == list(reading.PAUSES)
    with pytest.raises(ReadError, match="no memory to decode it"):
        read_video(file, Flaky(file, *(MemoryError() for _ in range(9))), len)


def test_a_broken_video_is_decoded_twice_and_waited_for_never(
    tmp_path: Path, pauses: list[float]
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all" * 99)
    flaky = Flaky(str(broken))
    with pytest.raises(DecodeError, match=str(broken)):
        read_video(str(broken), flaky, len)
    assert (flaky.opened, pauses) == (2, [])
    missing = Flaky(str(tmp_path / "none.mp4"))
    with pytest.raises(DecodeError, match="No such file"):
        read_video(missing.file, missing, len)
    known = Flaky(str(broken), *(KnownBroken("x") for _ in range(9)))
    with pytest.raises(DecodeError, match="x"):
        read_video(str(broken), known, len)
    assert known.opened == 1  # an audit's word is believed


def test_an_error_of_the_disk_that_looked_like_a_broken_video_is_none(file: str) -> None:
    assert read_video(file, Flaky(file, DecodeError("cut off")), len) == 6


@pytest.mark.skipif(not FAILING.exists(), reason="reads /proc")
def test_a_disk_that_fails_is_no_broken_video(tmp_path: Path, pauses: list[float]) -> None:
    os.symlink(FAILING, tmp_path / "a.mp4")
    path = str(tmp_path / "a.mp4")
    with pytest.raises(ReadError, match="Input/output error"):
        read_video(path, partial(open_video, path), len)
    assert pauses == list(reading.PAUSES)
    with pytest.raises(ReadError, match="Input/output error"):
        look(str(tmp_path), "a.mp4")
    folder = tmp_path / "frames"
    folder.mkdir()
    os.symlink(FAILING, folder / "img_00001.jpg")
    with pytest.raises(ReadError, match="Input/output error"):
        read_video(str(folder), partial(open_video, folder), lambda video: video.frames([0]))


@pytest.mark.skipif(not FAILING.exists(), reason="reads /proc")
def test_no_other_video_stands_in_for_what_the_disk_refused(tmp_path: Path) -> None:
    write(tmp_path / "fine.mp4", greys(6))
    os.symlink(FAILING, tmp_path / "failing.mp4")
    split = Split.of(["failing.mp4", "fine.mp4"], [0, 1], tmp_path)
    with pytest.raises(ReadError, match="failing"):
        training(split, lambda index: open_video(split.path(index)))[(0, 0)]
    views = AllViews(
        split,
        lambda index: open_video(split.path(index)),
        sampling("uniform", frames=2),
        **SHAPES,
        clips=1,
        crops=1,
        short_side=None,
        tolerant=True,
    )
    with pytest.raises(ReadError, match="failing"):
        views[0]


def test_a_second_try_draws_the_same_clip(file: str) -> None:
    split = Split.of([file], [0])
    clips = [training(split, Flaky(file, *failures)) for failures in ([], [io_error()])]
    first, second = (clip[(0, 0)] for clip in clips)
    assert first["video"].equal(second["video"]) and first["noise"] == second["noise"]


LACKING = """
import resource, sys
from datamodules.decoding import open_video
video = open_video(sys.argv[1])
video.frames([0])
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**22, resource.RLIM_INFINITY))
try:
    open_video(sys.argv[1]).frames(range(40))
except MemoryError:
    print("no memory")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_lack_of_memory_is_no_broken_video(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (40, 512, 512, 3), np.uint8)
    path = write(tmp_path / "a.mp4", pictures)
    said = subprocess.run(
        [sys.executable, "-c", LACKING, path], capture_output=True, text=True, check=False
    )
    assert said.stdout == "no memory\n", said.stderr

"""Keep the decoded videos of a small dataset on disk, for all runs of a sweep.

`RUNS/cache/<data>-<key>/` holds all frames of a split's videos, uint8 RGB, one after the other, and
where each video lies. All processes map the same file: its pages are in memory once. The key is of
the list, the files' sizes and times of change, and the decoder: what changes is decoded anew.
"""

import hashlib
import logging
import shutil
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules import files
from datamodules.dataset_info import Split
from datamodules.decoding.reading import read_video
from datamodules.decoding.video import DecodeError, Open, Picture, RandomAccessVideo
from datamodules.errors import UserError
from datamodules.files import build_once, file_state
from datamodules.progress_bar import ProgressBar
from datamodules.shards.paths import total_bytes

VERSION = 1  # count up whenever a change below changes what lies in a cache
SHARE = 0.5  # of what is free on the disk, at most
FAR = 4  # a cache is told that takes so many times what its videos take
TRIED = 16  # videos that the size is estimated from
ARRAYS = ("places", "times", "durations")

logger = logging.getLogger(__name__)


def place_of(split: Split, name: str, decoder: str) -> Path:
    """Return the folder of the cache of a split, which is there once it is whole."""
    return files.RUNS / "cache" / f"{name}-{_key(split, decoder)}"


def cached(split: Split, name: str, open_video: Open, decoder: str) -> "Cache":
    """Return what opens the videos of a split from a cache; decode them first if there is none.

    Of two processes that start at once, one decodes, the other waits.

    Args:
        split: The videos.
        name: Of the dataset.
        open_video: Opens one of them without a cache.
        decoder: "pyav" or "torchcodec": other versions of it may give other frames.

    Raises:
        UserError: The cache would take too much of what is free on the disk, or cannot be written.
    """
    place = place_of(split, name, decoder)
    build_once(
        place,
        lambda folder: _decode_all(split, name, open_video, folder),
        wait=f"waiting until {name} is decoded by another process",
    )
    return Cache(split, open_video, place)


class Cache:
    """The decoded videos of a split, opened by their index.

    Pickled without what it maps: each process maps the files when it first needs them.

    Args:
        split: The videos.
        open_video: Opens those that are broken, and says why.
        place: Folder of the cache.
    """

    def __init__(self, split: Split, open_video: Open, place: Path) -> None:
        self.split, self.open_video, self.place = split, open_video, place
        self._maps: dict[str, NDArray[Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_maps": {}}

    def __call__(self, index: int) -> RandomAccessVideo:
        """Return a video.

        Raises:
            DecodeError: It is broken.
        """
        start, first, count, height, width = self._map("places")[index].tolist()
        if not count:
            return self.open_video(index)
        size = count * height * width * 3
        frames = self._map("frames")[start : start + size].reshape(count, height, width, 3)
        times = np.array(self._map("times")[first : first + count])
        duration = float(self._map("durations")[index])
        return CachedVideo(self.split.path(index), frames, times, duration)

    def _map(self, name: str) -> NDArray[Any]:
        """Return an array of the cache as it lies on disk."""
        if name not in self._maps:
            if name in ARRAYS:
                mapped = np.load(self.place / f"{name}.npy", mmap_mode="r")
            else:
                mapped = np.memmap(self.place / name, np.uint8, "r")
            self._maps[name] = mapped.view(np.ndarray)  # whose slices cost half of a memmap's
        return self._maps[name]


class CachedVideo(RandomAccessVideo):
    """A decoded video.

    Args:
        file: Path of the video it was.
        pictures: Its frames, uint8 RGB (T, H, W, C).
        times: When each is shown, in seconds after the first.
        duration: Seconds from the start of the first frame to the end of the last.
    """

    def __init__(
        self, file: str, pictures: NDArray[np.uint8], times: NDArray[np.float64], duration: float
    ) -> None:
        self.file, self.times = file, times
        self._frames, self._duration = pictures, duration

    @property
    def duration(self) -> float:
        """Seconds from the start of the first frame to the end of the last."""
        return self._duration

    def _pictures(self, wanted: list[int]) -> list[Picture]:
        return [self._frames[number] for number in wanted]


def _key(split: Split, decoder: str) -> str:
    """Return what tells this cache from all others."""
    package = {"pyav": "av"}.get(decoder, decoder)
    digest = hashlib.sha256(f"{VERSION} {package} {version(package)} {split.sha256()}".encode())
    for name in split.names():
        digest.update(repr(file_state(split.root, name)).encode())
    return digest.hexdigest()[:12]


def estimated_bytes(split: Split, open_video: Open) -> tuple[float, float]:
    """Return about how many bytes the videos of a split take, decoded and as they are.

    Of a few of them, those that can be decoded.
    """
    sizes, encoded = [], []
    for index in np.linspace(0, len(split) - 1, min(TRIED, len(split))).astype(int).tolist():
        path = split.path(index)
        try:
            sizes.append(read_video(path, partial(open_video, index), _bytes))
        except DecodeError:
            continue
        encoded.append(total_bytes(path))
    decoded, taken = (
        float(np.mean(each)) * len(split) if each else 0.0 for each in (sizes, encoded)
    )
    return decoded, taken


def _weigh(split: Split, name: str, open_video: Open, folder: Path) -> None:
    """Tell what the cache takes if that is far more than its videos do.

    Raises:
        UserError: It would take more than its share of the disk.
    """
    needed, taken = estimated_bytes(split, open_video)
    free = shutil.disk_usage(folder.parent).free
    if needed > SHARE * free:
        raise UserError(
            f"cache=true needs about {needed / 1e9:,.0f} GB for the {len(split):,} videos of "
            f"{name}, more than half of the {free / 1e9:,.0f} GB free in {folder.parent}"
        )
    if needed > FAR * taken:
        logger.warning(
            f"cache=true: {len(split):,} videos of {name}, about {taken / 1e6:,.1f} MB, take about "
            f"{needed / 1e6:,.0f} MB decoded, in {folder.parent}; cache=false writes none"
        )


def _bytes(video: RandomAccessVideo) -> int:
    """Return how many bytes the frames of a video take."""
    return len(video) * video.frames([0]).nbytes


def _everything(
    video: RandomAccessVideo,
) -> tuple[NDArray[np.uint8], NDArray[np.float64], float]:
    """Return all frames of a video (T, H, W, C), when each is shown, and its duration."""
    return video.frames(range(len(video))), video.times, video.duration


def _decode_all(split: Split, name: str, open_video: Open, folder: Path) -> None:
    """Decode all videos into `folder`."""
    _weigh(split, name, open_video, folder)
    places = np.zeros((len(split), 5), np.int64)  # first byte, first time, frames, height, width
    times, durations, shown = list[NDArray[np.float64]](), np.zeros(len(split)), 0
    with (
        (folder / "frames").open("wb") as file,
        ProgressBar(f"decoding {name}", len(split)) as told,
    ):
        for index in range(len(split)):
            try:
                frames, moments, durations[index] = read_video(
                    split.path(index), partial(open_video, index), _everything
                )
            except DecodeError:
                told.advance(broken=True)
                continue
            times.append(moments)
            places[index] = file.tell(), shown, *frames.shape[:3]
            shown += len(frames)
            file.write(np.ascontiguousarray(frames).data)
            told.advance()
    found = (places, np.concatenate([*times, np.empty(0)]), durations)
    for array, values in zip(ARRAYS, found, strict=True):
        np.save(folder / f"{array}.npy", values)

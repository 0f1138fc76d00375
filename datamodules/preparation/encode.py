"""Encode one video anew: frame i is frame i of the old one, smaller, and shown at the same time.

It is H.264 in MP4 under the old name, whatever its ending says: decoders look at what is in a file.
A folder of pictures becomes a file, too. Sound is left out.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from datamodules.decoding.indexed_video import IndexedVideo
from datamodules.decoding.open import open_video
from datamodules.decoding.reading import demand_readable
from datamodules.decoding.video import DecodeError, RandomAccessVideo
from datamodules.files import atomic_path
from datamodules.preparation.resumable import Row
from datamodules.shards.paths import total_bytes

AT_ONCE = 2**27  # bytes of frames in memory
CLOCK, FINEST = 90_000, 1_000_000  # ticks per second: where times are of no rate, and at most


@dataclass(frozen=True)
class Encoding:
    """How videos of one folder are encoded into another; called with a name."""

    root: str
    out: str
    short_side: int
    group: int
    quality: int

    def __call__(self, name: str) -> dict[str, Any]:
        """Encode one video and return its sizes in bytes and its frames.

        Raises:
            DecodeError: It is broken, or the new one is not as long.
            OSError: The machine does not deliver it, or nothing can be written.
        """
        source, target = os.path.join(self.root, name), Path(self.out, name)
        target.unlink(missing_ok=True)  # of a source that has changed since
        try:
            with open_video(source) as video, atomic_path(target) as part:
                height, width = self.size(*video.frames([0]).shape[1:3])
                self.write(part, pieces(video), video.times, height, width)
                check(part, video.times)
        except DecodeError:
            demand_readable(source)
            raise
        before, after = total_bytes(source), target.stat().st_size
        return {**self.settings, "frames": len(video), "before": before, "after": after}

    @property
    def settings(self) -> dict[str, int]:
        """What a row says of how its video was encoded."""
        return {"short_side": self.short_side, "group": self.group, "quality": self.quality}

    def holds(self, row: Row) -> bool:
        """Return whether the video of a row need not be encoded again."""
        if row["problem"] is not None:
            return True
        return row.items() >= self.settings.items() and Path(self.out, row["name"]).exists()

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return the new height and width: smaller or the same, and even."""
        scale = min(1.0, self.short_side / min(height, width))
        new = max(2, round(height * scale) // 2 * 2), max(2, round(width * scale) // 2 * 2)
        return new

    def write(
        self,
        path: Path,
        pieces: Iterator[NDArray[np.uint8]],
        times: NDArray[np.float64],
        height: int,
        width: int,
    ) -> None:
        """Write frames (T, H, W, 3), shown at `times`, in pieces."""
        scaler = VideoReformatter()
        ticks = rate(times)
        base, stamps = Fraction(1, ticks), iter(np.rint(times * ticks).astype(int).tolist())
        options = {"crf": str(self.quality), "preset": "veryfast", "g": str(self.group)}
        with av.open(str(path), "w", format="mp4") as container:
            stream = container.add_stream("libx264", options={**options, "sc_threshold": "0"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.time_base = stream.codec_context.time_base = base
            stream.codec_context.thread_count = 1
            for piece in pieces:
                for picture in piece:
                    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                    frame = scaler.reformat(
                        *(frame, width, height, "yuv420p"), interpolation="BICUBIC", threads=1
                    )
                    frame.pts, frame.time_base = next(stamps), base
                    container.mux(stream.encode(frame))
            container.mux(stream.encode(None))


def pieces(video: RandomAccessVideo) -> Iterator[NDArray[np.uint8]]:
    """Yield all frames of a video (T, H, W, 3), a few at a time."""
    count = max(1, AT_ONCE // video.frames([0]).nbytes)
    for start in range(0, len(video), count):
        yield video.frames(range(start, min(start + count, len(video))))


def rate(times: NDArray[np.float64]) -> int:
    """Return the fewest ticks per second that times in seconds are whole numbers of."""
    steps = np.diff(times)
    _, first = np.unique(np.round(steps, 9), return_index=True)
    fractions = [Fraction(step).limit_denominator(FINEST) for step in steps[first].tolist()]
    ticks = math.lcm(*(each.denominator for each in fractions))
    return ticks if len(times) > 1 and ticks <= FINEST else CLOCK


def check(path: Path, times: NDArray[np.float64]) -> None:
    """Check that a video has frames at `times`, and no others.

    Raises:
        DecodeError: It has not.
    """
    with IndexedVideo(path) as video:
        if len(video) != len(times):
            raise DecodeError(f"it became {len(video)} frames of {len(times)}")
        if not np.allclose(video.times, times, rtol=0, atol=1 / CLOCK):
            raise DecodeError("its frames came out at other times")

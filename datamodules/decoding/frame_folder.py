"""A folder of pictures, one per frame, as a video."""

import os
import re
from pathlib import Path

import numpy as np
from av.video.reformatter import VideoReformatter

from datamodules.decoding.ffmpeg import errors_of, open_file, picture, video_stream
from datamodules.decoding.video import DecodeError, Picture, RandomAccessVideo
from datamodules.shards.paths import ABSENT, entries

NUMBERED = re.compile(r"(.*?)(\d+)\.(?:jpe?g|png)", re.IGNORECASE)  # img_00001.jpg
COLOUR = ("", "img_", "image_", "frame_")  # prefixes of frames where optical flow lies beside them


class FrameFolder(RandomAccessVideo):
    """A folder of numbered pictures, turned upright as their cameras say (Exif).

    Args:
        folder: Path of the folder.
        rate: Frames per second, which a folder does not tell.

    Raises:
        DecodeError: There is no such folder, no picture in it, or a number is left out.
    """

    def __init__(self, folder: str | Path, *, rate: float = 25.0) -> None:
        self.file, self._rate = str(folder), rate
        try:
            names = entries(folder)
        except ABSENT as error:
            raise DecodeError(f"{folder}: {error.strerror}") from error
        series: dict[str, dict[int, str]] = {}  # prefix -> number -> name
        for name in names:
            if match := NUMBERED.fullmatch(name):
                series.setdefault(match[1], {})[int(match[2])] = name
        if len(series) > 1:
            series = {prefix: own for prefix, own in series.items() if prefix in COLOUR}
        if len(series) != 1:
            raise DecodeError(
                f"{folder}: it holds {len(series)} series of numbered pictures, not 1"
            )
        (numbered,) = series.values()
        numbers = sorted(numbered)
        if gaps := sorted(set(range(numbers[0], numbers[-1])) - set(numbers)):
            raise DecodeError(f"{folder}: picture {gaps[0]} is missing")
        self._names = [numbered[number] for number in numbers]
        self.times = np.arange(len(numbers), dtype=np.float64) / rate

    @property
    def duration(self) -> float:
        """Seconds from the start of the first frame to the end of the last."""
        return len(self) / self._rate

    def _pictures(self, wanted: list[int]) -> list[Picture]:
        reformatter = VideoReformatter()
        return [self._read(self._names[number], reformatter) for number in wanted]

    def _read(self, name: str, reformatter: VideoReformatter) -> Picture:
        file = os.path.join(self.file, name)
        with open_file(file) as container, errors_of(file):
            stream = video_stream(container, file)
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    break
                return picture(frame, reformatter)
        raise DecodeError(f"{file}: the picture is damaged")

"""Videos that are folders of pictures, one per frame; only the wanted ones are opened."""

import os
import re
from pathlib import Path
from types import TracebackType

import av
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pytorchvideo.data.video import Video

from datamodules._decode import DecodeError, IndexedVideo, Picture

NUMBERED = re.compile(r"(.*?)(\d+)\.(?:jpe?g|png)", re.IGNORECASE)  # img_00001.jpg
COLOUR = ("", "img_", "image_", "frame_")  # prefixes of frames where optical flow lies beside them


def open_video(path: str | Path) -> "IndexedVideo | FrameFolder":
    """Return the video at `path`, whichever of the two it is.

    Raises:
        DecodeError: It is neither.
    """
    return FrameFolder(path) if os.path.isdir(path) else IndexedVideo(path)


class FrameFolder(Video):  # type: ignore[misc]  # pytorchvideo has no types
    """A folder of numbered pictures, whose frames are taken as those of an `IndexedVideo` are.

    Args:
        folder: Path of the folder.
        rate: Frames per second, which a folder does not tell.

    Attributes:
        times: When each frame is shown, in seconds after the first.

    Raises:
        DecodeError: There is no such folder, no picture in it, or a number is left out.
    """

    def __init__(self, folder: str | Path, *, rate: float = 25.0) -> None:
        self.file, self._rate = str(folder), rate
        try:
            names = os.listdir(folder)
        except OSError as error:
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

    def __enter__(self) -> "FrameFolder":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def __len__(self) -> int:
        return len(self._names)

    @property
    def duration(self) -> float:
        """Seconds from the start of the first frame to the end of the last."""
        return len(self) / self._rate

    def get_clip(self, start_sec: float, end_sec: float) -> dict[str, torch.Tensor | None]:
        """Return the frames shown from `start_sec` up to before `end_sec`, as pytorchvideo does.

        Returns:
            "video": float32 (C, T, H, W), 0 to 255, or None if no frame lies there; "audio": None.
        """
        numbers = np.flatnonzero((self.times >= start_sec) & (self.times < end_sec))
        if not len(numbers):
            return {"video": None, "audio": None}
        video = torch.from_numpy(self.frames(numbers)).permute(3, 0, 1, 2)
        return {"video": video.to(torch.float32), "audio": None}

    def frames(self, indices: ArrayLike) -> NDArray[np.uint8]:
        """Return the frames at `indices`, in any order and as often as asked, RGB (T, H, W, C).

        Raises:
            IndexError: There is no such frame.
            DecodeError: A picture that is wanted cannot be read, or has another size.
        """
        wanted, places = np.unique(np.asarray(indices, np.int64), return_inverse=True)
        if not len(wanted) or wanted[0] < 0 or wanted[-1] >= len(self):
            raise IndexError(f"{self.file} has frames 0 to {len(self) - 1}, not {indices!r}")
        pictures = [self._picture(index) for index in wanted.tolist()]
        if len({picture.shape for picture in pictures}) > 1:
            raise DecodeError(f"{self.file}: its pictures differ in size")
        return np.stack(pictures)[places]

    def _picture(self, index: int) -> Picture:
        file = os.path.join(self.file, self._names[index])
        try:
            with av.open(file) as container:
                frame = next(container.decode(video=0))
                return frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
        except (av.FFmpegError, OSError, ValueError, IndexError, StopIteration) as error:
            reason = getattr(error, "strerror", None) or str(error) or "there is no picture in it"
            raise DecodeError(f"{file}: {reason}") from error

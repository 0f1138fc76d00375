"""What all videos here can do, whatever decodes them: pytorchvideo's Video, on frames by number."""

from abc import abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pytorchvideo.data.video import Video

Picture = NDArray[np.uint8]  # (H, W, C)


class DecodeError(Exception):
    """A video is broken, or not there; the message is one line that names the file and the reason.

    Attributes:
        known: Whether that was found before, and the file not touched.
    """

    known = False


class KnownBroken(DecodeError):
    """A video was found to be broken before."""

    known = True


class ReadError(Exception):
    """The machine does not deliver a video, whatever the video is; the message is one line."""


class RandomAccessVideo(Video):  # type: ignore[misc]  # pytorchvideo has no types
    """A video whose frames are taken by number, or by seconds as pytorchvideo does.

    Attributes:
        file: Path of the video.
        times: When each frame is shown, in seconds after the first, float64 (frames,).
    """

    file: str
    times: NDArray[np.float64]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; closing twice does nothing."""

    def __len__(self) -> int:
        return len(self.times)

    @abstractmethod
    def _pictures(self, wanted: list[int]) -> list[Picture]:
        """Return the frames at `wanted`: numbers that exist, ascending, each once."""

    def frames(self, indices: ArrayLike) -> NDArray[np.uint8]:
        """Return the frames at `indices`, in any order and as often as asked, RGB (T, H, W, C).

        Raises:
            IndexError: There is no such frame.
            DecodeError: A frame that is wanted is damaged, or frames differ in size.
        """
        wanted, places = np.unique(np.asarray(indices, np.int64), return_inverse=True)
        if not len(wanted) or wanted[0] < 0 or wanted[-1] >= len(self):
            raise IndexError(f"{self.file} has frames 0 to {len(self) - 1}, not {indices!r}")
        pictures = self._pictures(wanted.tolist())
        height, width, _ = pictures[0].shape
        for number, picture in zip(wanted.tolist(), pictures, strict=True):
            if picture.shape != pictures[0].shape:
                raise DecodeError(
                    f"{self.file}: frame {wanted[0]} is {width}x{height}, "
                    f"but frame {number} is {picture.shape[1]}x{picture.shape[0]}"
                )
        return np.stack([pictures[place] for place in places.tolist()])

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


Open = Callable[[int], RandomAccessVideo]  # of the video at an index, or DecodeError

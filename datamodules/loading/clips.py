"""A sample: one random clip of a video to train on, or all its views to test on."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.dataset_info import Split
from datamodules.decoding.video import DecodeError, Open
from datamodules.loading.clip_sampling import Frames
from datamodules.loading.samplers import Key
from datamodules.randomness import Stream, generator
from datamodules.transforms.augmentation import Augmentation
from datamodules.transforms.random_erasing import draw_box
from datamodules.transforms.spatial import short_side, square_crops

ATTEMPTS = 10  # so many broken videos in a row are no accident

Item = dict[str, Any]


class TrainingClips(Dataset[Item]):
    """One random clip of a video, asked for by (epoch, index), on which alone it depends.

    A video that cannot be decoded is replaced by another one.

    Args:
        split: The videos.
        open_video: Opens one of them.
        choose: Which frames: a sampling.
        augment: Crops, flips and colours.
        size: Pixels of a side.
        erasing: Probability of erasing a part.
        swaps: Labels that a flip turns into others, both ways.
        seed: Of all that is random.
    """

    def __init__(
        self,
        split: Split,
        open_video: Open,
        choose: Callable[..., Frames],
        augment: Augmentation,
        *,
        size: int,
        erasing: float,
        swaps: Mapping[int, int],
        seed: int,
    ) -> None:
        self.split, self.open, self.choose, self.augment = split, open_video, choose, augment
        self.size, self.erasing, self.swaps, self.seed = size, erasing, swaps, seed

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, key: Key) -> Item:
        epoch, asked = key
        rng = generator(Stream.SAMPLE, self.seed, epoch, asked)
        index = asked
        for attempt in range(ATTEMPTS):
            try:
                with self.open(index) as video:
                    frames = video.frames(self.choose(video.times, clips=1, rng=rng)[0])
            except DecodeError:
                if attempt == ATTEMPTS - 1:
                    raise
                index = int(rng.integers(len(self)))
            else:
                break
        clip, mirrored = self.augment(_tensor(frames), rng, self.size)
        label = self.split.label(index)
        return {
            "video": clip.transpose(0, 1),
            "label": self.swaps.get(label, label) if mirrored else label,
            "index": index,
            "broken": asked if attempt else -1,
            "epoch": epoch,
            "erase": draw_box(rng, self.size, self.erasing),
            "noise": int(rng.integers(2**62)),
        }


class AllViews(Dataset[Item]):
    """All views of a video, clip by clip: crops of the first clip, crops of the second.

    Args:
        split: The videos.
        open_video: Opens one of them.
        choose: Which frames: a sampling.
        frames: T, per clip.
        clips: Per video.
        crops: Per clip, 1 or 3.
        short_side: Pixels that the shorter side is resized to.
        size: Pixels of a side of the crops.
        interpolation: Of the resize.
        tolerant: A video that cannot be decoded is black and said to be broken; or DecodeError.
    """

    def __init__(
        self,
        split: Split,
        open_video: Open,
        choose: Callable[..., Frames],
        *,
        frames: int,
        clips: int,
        crops: int,
        short_side: int,
        size: int,
        interpolation: str,
        tolerant: bool,
    ) -> None:
        self.split, self.open, self.choose = split, open_video, choose
        self.frames, self.clips, self.crops = frames, clips, crops
        self.short_side, self.size, self.interpolation = short_side, size, interpolation
        self.tolerant = tolerant

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> Item:
        try:
            views, broken = self._views(index), False
        except DecodeError:
            if not self.tolerant:
                raise
            shape = (self.clips * self.crops, 3, self.frames, self.size, self.size)
            views, broken = torch.zeros(shape, dtype=torch.uint8), True
        label = self.split.label(index)
        return {"video": views, "label": label, "index": index, "broken": index if broken else -1}

    def _views(self, index: int) -> Tensor:
        """Return the views of a video, uint8 (V, C, T, H, W)."""
        with self.open(index) as video:
            numbers = self.choose(video.times, clips=self.clips, rng=None)  # (clips, T)
            frames = _tensor(video.frames(numbers.reshape(-1)))
        frames = short_side(frames, self.short_side, self.interpolation)
        views = torch.stack(
            square_crops(frames, self.size, self.crops)
        )  # (crops, clips T, C, H, W)
        return rearrange(views, "s (v t) c h w -> (v s) c t h w", v=self.clips)


def _tensor(pictures: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2)  # (T, C, H, W)

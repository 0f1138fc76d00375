"""A sample: one random clip of a video to train on, or all its views to test on."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.dataset_info import DatasetInfo, Split
from datamodules.decoding.reading import read_video
from datamodules.decoding.video import DecodeError, KnownBroken, Open, RandomAccessVideo
from datamodules.errors import UserError, nearest
from datamodules.loading.clip_sampling import SAMPLINGS, Frames
from datamodules.loading.reads import Reads
from datamodules.loading.samplers import Key
from datamodules.randomness import Stream, generator
from datamodules.transforms import spatial
from datamodules.transforms.augmentation import augment_clip
from datamodules.transforms.random_erasing import draw_box
from datamodules.transforms.settings import Augment

ATTEMPTS = 10  # so many broken videos in a row are no accident

Item = dict[str, Any]
Sampling = Callable[..., Frames]  # of `clip_sampling`, but for times, clips and rng
Clip = tuple[int, int]  # epoch, index
Share = Callable[[Clip, Callable[[Clip], Item]], Item]  # a clip of another run, or a new one
Alter = Callable[[Tensor, int], Tensor]  # views of a video, uint8 (V, C, T, H, W), and its index


def sampling(
    name: str, *, frames: int, interval: int = 1, seconds: float | None = None
) -> Sampling:
    """Return which frames make a clip.

    Args:
        name: Of a function in `datamodules.loading.clip_sampling`.
        frames: T, frames per clip.
        interval: Distance between frames, where the sampling has one.
        seconds: Length of a clip, where the sampling has one.

    Raises:
        UserError: There is no such function.
    """
    if name not in SAMPLINGS:
        raise UserError(f"no sampling {name!r}{nearest(name, SAMPLINGS)}")
    return partial(SAMPLINGS[name], frames=frames, interval=interval, seconds=seconds)


class TrainingClips(Dataset[Item]):
    """One random clip of a video, asked for by (epoch, index), on which alone it depends.

    A third number that is asked for is what its loss counts, its "weight".

    A video that cannot be decoded is replaced by another one.

    Args:
        data: The dataset: the videos of its "train". Flips are done as far as it allows them.
        open_video: Opens one of them.
        choose: Which frames.
        augment: How clips are varied.
        size: Pixels of a side.
        interpolation: Of every resize: "bilinear" or "bicubic".
        seed: Of all that is random.

    Attributes:
        decoder: What they are decoded with; None: not said, or they come from a cache.
        share: Where clips come from that other runs have decoded; None: this one decodes all.
        reads: Where loader workers note what they read; None: nobody asks.
        given_up: Videos that are not tried any more, by their index, and why.
    """

    def __init__(
        self,
        data: DatasetInfo,
        open_video: Open,
        choose: Sampling,
        augment: Augment,
        *,
        size: int,
        interpolation: str,
        seed: int,
    ) -> None:
        self.split, self.open, self.choose = data.splits["train"], open_video, choose
        self.augment = augment if data.flip in ("ok", "swap") else replace(augment, flip=0.0)
        self.swaps = {a: b for pair in data.swaps for a, b in (pair, pair[::-1])}
        self.size, self.interpolation, self.seed = size, interpolation, seed
        tried = choose(np.zeros(1), clips=1, rng=np.random.default_rng(0))
        self.frames = tried.shape[1]  # an option it lacks has been told by now
        self.decoder: str | None = None
        self.share: Share | None = None
        self.reads: Reads | None = None
        self.given_up: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, key: Key) -> Item:
        clip = key[:2]
        item = self.make(clip) if self.share is None else self.share(clip, self.make)
        return {**item, "weight": torch.tensor(key[2])} if len(key) == 3 else item

    def make(self, key: Clip) -> Item:
        """Decode a clip, whoever else may have."""
        epoch, asked = key
        rng = generator(Stream.SAMPLE, self.seed, epoch, asked)
        index = asked
        for attempt in range(ATTEMPTS):
            try:
                frames = self._frames(key, index, rng)
            except DecodeError:
                if attempt == ATTEMPTS - 1:
                    raise
                index = int(rng.integers(len(self)))
            else:
                break
        clip, mirrored = augment_clip(
            *(_tensor(frames), rng, self.augment), size=self.size, interpolation=self.interpolation
        )
        label = self.split.label(index)
        return {
            "video": clip.transpose(0, 1),
            "label": self.swaps.get(label, label) if mirrored else label,
            "index": index,
            "broken": asked if attempt else -1,
            "epoch": epoch,
            "erase": draw_box(rng, self.size, self.augment.erasing.probability),
            "noise": int(rng.integers(2**62)),
        }

    def _frames(self, clip: Clip, index: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return the frames of a random clip (T, H, W, C) of a video, for `clip`."""
        begin = rng.bit_generator.state

        def take(video: RandomAccessVideo) -> NDArray[np.uint8]:
            rng.bit_generator.state = begin  # a second try is to be the first one
            return video.frames(self.choose(video.times, clips=1, rng=rng)[0])

        return _read(self, clip, index, take)


class AllViews(Dataset[Item]):
    """All views of a video, clip by clip: crops of the first clip, crops of the second.

    Args:
        split: The videos.
        open_video: Opens one of them.
        choose: Which frames.
        clips: Per video.
        crops: Per clip, 1 or 3.
        size: Pixels of a side of the crops.
        short_side: Pixels that the shorter side is resized to; None: `size`.
        interpolation: Of the resize: "bilinear" or "bicubic".
        tolerant: A video that cannot be decoded is black and said to be broken; or DecodeError.
        alter: Changes the views of every video, such as the order of frames; None: nothing does.

    Attributes:
        reads: Where loader workers note what they read; None: nobody asks.
        given_up: Videos that are not tried any more, by their index, and why.

    Raises:
        UserError: An argument is wrong.
    """

    def __init__(
        self,
        split: Split,
        open_video: Open,
        choose: Sampling,
        *,
        clips: int,
        crops: int,
        size: int,
        short_side: int | None,
        interpolation: str,
        tolerant: bool,
        alter: Alter | None = None,
    ) -> None:
        if crops not in (1, 3):
            raise UserError(f"test.crops must be 1 or 3, not {crops}")
        if short_side is not None and short_side < size:
            raise UserError(f"test.short_side={short_side} is less than clip.size={size}")
        self.split, self.open, self.choose = split, open_video, choose
        self.clips, self.crops, self.size = clips, crops, size
        self.short_side = size if short_side is None else short_side
        self.interpolation, self.tolerant, self.alter = interpolation, tolerant, alter
        tried = choose(np.zeros(1), clips=clips, rng=None)  # an option it lacks: told now
        self.frames = tried.shape[1]
        self.reads: Reads | None = None
        self.given_up: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.split)

    @property
    def views(self) -> int:
        """V, clips x crops."""
        return self.clips * self.crops

    def __getitem__(self, index: int) -> Item:
        try:
            views, broken = self.views_of(index), False
        except DecodeError:
            if not self.tolerant:
                raise
            shape = (self.views, 3, self.frames, self.size, self.size)
            views, broken = torch.zeros(shape, dtype=torch.uint8), True
        if self.alter is not None:
            views = self.alter(views, index)
        label = self.split.label(index)
        return {"video": views, "label": label, "index": index, "broken": index if broken else -1}

    def views_of(self, index: int) -> Tensor:
        """Return the views of a video, uint8 (V, C, T, H, W).

        Raises:
            DecodeError: It cannot be decoded.
        """

        def take(video: RandomAccessVideo) -> NDArray[np.uint8]:
            numbers = self.choose(video.times, clips=self.clips, rng=None)  # (clips, T)
            return video.frames(numbers.reshape(-1))

        frames = _tensor(_read(self, (0, index), index, take))
        frames = spatial.short_side(frames, self.short_side, self.interpolation)
        crops = spatial.square_crops(frames, self.size, self.crops)  # each (clips T, C, H, W)
        return rearrange(torch.stack(crops), "s (v t) c h w -> (v s) c t h w", v=self.clips)


def _read(
    clips: TrainingClips | AllViews,
    clip: Clip,
    index: int,
    take: Callable[[RandomAccessVideo], NDArray[np.uint8]],
) -> NDArray[np.uint8]:
    """Return what `take` makes of a video, for `clip`."""
    path = clips.split.path(index)
    if reason := clips.given_up.get(index):
        raise KnownBroken(f"{path}: {reason}")
    with clips.reads.noted(clip, index) if clips.reads else nullcontext():
        return read_video(path, partial(clips.open, index), take)


def _tensor(pictures: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2)  # (T, C, H, W)

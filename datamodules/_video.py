"""The one LightningDataModule: any dataset of videos, as clips.

Shapes: B clips or videos, V views of a video, C T H W one clip.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from einops import rearrange
from lightning import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler

from benchmark.errors import UserError, nearest
from datamodules._clips import SAMPLINGS, Frames
from datamodules._data import Data, Split, hold_out
from datamodules._decode import DecodeError
from datamodules._frames import open_video
from datamodules._transforms import augment, cut, short_side

SAMPLE, ORDER = 0, 1  # what random numbers are for: no two uses may share them
ATTEMPTS = 10  # so many broken videos in a row are no accident

Item = dict[str, Any]
Key = tuple[int, int]  # epoch, index


class TrainingClips(Dataset[Item]):
    """One random clip of a video, asked for by (epoch, index)."""

    def __init__(
        self,
        split: Split,
        choose: Callable[..., Frames],
        transform: Callable[[Tensor, np.random.Generator], Tensor],
        seed: int,
    ) -> None:
        self.split, self.choose, self.transform, self.seed = split, choose, transform, seed

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, key: Key) -> Item:
        epoch, asked = key
        rng = np.random.default_rng([SAMPLE, self.seed, epoch, asked])
        index = asked
        for attempt in range(ATTEMPTS):
            try:
                with open_video(self.split.path(index)) as video:
                    clip = _tensor(video.frames(self.choose(len(video), clips=1, rng=rng)[0]))
            except DecodeError:
                if attempt == ATTEMPTS - 1:
                    raise
                index = int(rng.integers(len(self)))
            else:
                break
        return {
            "video": self.transform(clip, rng).transpose(0, 1),
            "label": self.split.label(index),
            "index": index,
            "broken": asked if attempt else -1,
        }


class AllViews(Dataset[Item]):
    """All views of a video, clip by clip: crops of the first clip, crops of the second."""

    def __init__(
        self, split: Split, choose: Callable[..., Frames], size: int, clips: int, crops: int
    ) -> None:
        self.split, self.choose, self.size = split, choose, size
        self.clips, self.crops = clips, crops

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> Item:
        with open_video(self.split.path(index)) as video:
            numbers = self.choose(len(video), clips=self.clips, rng=None)  # (V, T)
            frames = _tensor(video.frames(numbers.reshape(-1)))
        squares = cut(short_side(frames, self.size), self.size, self.crops)
        views = torch.stack(squares)  # (crops, clips T, C, H, W)
        views = rearrange(views, "s (v t) c h w -> (v s) c t h w", v=self.clips)
        return {"video": views, "label": self.split.label(index), "index": index}


class Shuffled(DistributedSampler[Key]):
    """Keys of a rank's training clips. Its base class tells Lightning to leave it as it is.

    Step s of an epoch takes the same clips at any number of ranks: each rank its share of the
    s-th stretch of one permutation. Clips that do not fill a last batch are left out.
    """

    def __init__(self, clips: TrainingClips, batch: int, world: int, rank: int) -> None:
        super().__init__(clips, world, rank, seed=clips.seed)
        self.batch, self.share = batch, batch // world
        self.steps = len(clips) // batch

    def __iter__(self) -> Iterator[Key]:
        rng = np.random.default_rng([ORDER, self.seed, self.epoch])
        order = rng.permutation(len(self.dataset))  # type: ignore[arg-type]
        stretches = order[: self.steps * self.batch].reshape(self.steps, self.num_replicas, -1)
        for index in stretches[:, self.rank].reshape(-1).tolist():
            yield self.epoch, index

    def __len__(self) -> int:
        return self.steps * self.share


class Dealt(DistributedSampler[int]):
    """A rank's test videos: whole batches are dealt out in turn, nothing is padded or repeated.

    So every forward pass is over the same videos at any number of ranks, and gives the same bits.
    """

    def __init__(self, videos: AllViews, batch: int, world: int, rank: int) -> None:
        super().__init__(videos, world, rank)
        numbers = np.arange(len(videos))
        self.mine = numbers[numbers // batch % world == rank].tolist()

    def __iter__(self) -> Iterator[int]:
        return iter(self.mine)

    def __len__(self) -> int:
        return len(self.mine)


def _tensor(pictures: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2)  # (T, C, H, W)


class VideoDataModule(LightningDataModule):
    """Train on one random clip of every video, test on all views of every video.

    A batch holds "video" uint8 (B, C, T, H, W), in testing (B, V, C, T, H, W), which becomes
    normalised float32 on the device; "label" and "index" (B,), the latter counted within the
    split; in training "broken" (B,): -1, or the index of a video that could not be decoded and
    that this one stands in for. In testing such a video raises DecodeError.

    What is random about a training sample is a function of (seed, epoch, index). A step sees the
    same clips at every world size, and so does every forward pass of a test.

    Args:
        data: The dataset.
        frames: T, frames per clip.
        size: H and W, in pixels.
        sampling: Which frames: a name in `datamodules._clips`.
        interval: Distance between frames, where the sampling has one.
        batch: Clips per step, over all ranks.
        scale: Smallest and largest share of a frame that a training crop covers.
        ratio: Smallest and largest width / height of a training crop.
        flip: Probability of mirroring a training clip; 0 where the dataset forbids it.
        test_batch: Clips per forward pass in testing.
        clips: Test clips per video.
        crops: Test crops per clip, 1 or 3.
        mean: Of the backbone's input, per channel, pixels being 0 to 1.
        std: Likewise.
        holdout: Share of the training videos held out. Above 0 everything but training reads those.
        workers: Processes that decode; 0 decodes where it trains.
        seed: Of the holdout, the order and the samples.

    Attributes:
        data: The dataset, with the holdout taken out of its training split.
        num_classes: K.
        views: V, clips x crops.
        evaluation_split: The split that is tested on, "test" or "holdout".
    """

    def __init__(
        self,
        data: Data,
        *,
        frames: int,
        size: int,
        sampling: str,
        interval: int,
        batch: int,
        scale: Sequence[float],
        ratio: Sequence[float],
        flip: float,
        test_batch: int,
        clips: int,
        crops: int,
        mean: Sequence[float],
        std: Sequence[float],
        holdout: float,
        workers: int,
        seed: int,
    ) -> None:
        super().__init__()
        if sampling not in SAMPLINGS:
            raise UserError(f"no clip.sampling {sampling!r}{nearest(sampling, SAMPLINGS)}")
        if crops not in (1, 3):
            raise UserError(f"test.crops must be 1 or 3, not {crops}")
        self.data = hold_out(data, holdout, seed)
        self.num_classes = len(data.classes)
        self.views = clips * crops
        self.evaluation_split = "holdout" if holdout > 0 else "test"
        choose = partial(SAMPLINGS[sampling], frames=frames, interval=interval)
        mirror = flip if data.flip == "ok" else 0.0
        transform = partial(augment, size=size, scale=scale, ratio=ratio, flip=mirror)
        self._training = TrainingClips(self.data.splits["train"], choose, transform, seed)
        evaluated = self.data.splits[self.evaluation_split]
        self._testing = AllViews(evaluated, choose, size, clips, crops)
        self._batch, self._test_batch = batch, max(1, test_batch // self.views)
        self._mean = torch.tensor(mean).view(-1, 1, 1, 1)
        self._std = torch.tensor(std).view(-1, 1, 1, 1)
        self._workers = workers

    def train_dataloader(self) -> DataLoader[Item]:
        """Return this rank's training clips; its sampler wants to be told the epoch."""
        world, rank = self._place()
        if self._batch % world:
            low = self._batch // world * world
            options = f"{low} or {low + world}" if low else f"{world}"
            raise UserError(
                f"train.batch={self._batch} cannot be split over {world} devices; "
                f"the nearest that can: {options}"
            )
        if self._batch > len(self._training):
            raise UserError(
                f"train.batch={self._batch} is more than the {len(self._training)} "
                f"training videos of {self.data.name}"
            )
        sampler = Shuffled(self._training, self._batch, world, rank)
        return self._loader(self._training, sampler, sampler.share)

    def val_dataloader(self) -> DataLoader[Item] | list[Any]:
        """Return this rank's videos of the holdout, or nothing where there is none."""
        return self.test_dataloader() if self.evaluation_split == "holdout" else []

    def test_dataloader(self) -> DataLoader[Item]:
        """Return this rank's videos of the evaluation split."""
        sampler = Dealt(self._testing, self._test_batch, *self._place())
        return self._loader(self._testing, sampler, self._test_batch)

    def on_after_batch_transfer(self, batch: Item, dataloader_idx: int) -> Item:
        """Normalise "video" where it is now, (..., C, T, H, W)."""
        video: Tensor = batch["video"]
        self._mean, self._std = self._mean.to(video.device), self._std.to(video.device)
        normal = video.to(torch.float32).div_(255).sub_(self._mean).div_(self._std)
        return {**batch, "video": normal}

    def _place(self) -> tuple[int, int]:
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)

    def _loader(self, dataset: Dataset[Item], sampler: Any, batch: int) -> DataLoader[Item]:
        return DataLoader(
            dataset,
            batch_size=batch,
            sampler=sampler,
            generator=torch.Generator(),  # starting a loader draws a number: not from the model's
            num_workers=self._workers,
            persistent_workers=self._workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

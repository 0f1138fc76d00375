"""The one LightningDataModule: any dataset of videos, as clips.

Shapes: B clips or videos, V views of a video, C T H W one clip.
"""

import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from typing import Any, Literal

import numpy as np
import torch
from lightning import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from datamodules.dataset_info import DatasetInfo, Split, hold_out
from datamodules.errors import UserError, nearest
from datamodules.loading.clip_sampling import SAMPLINGS
from datamodules.loading.clips import AllViews, Item, TrainingClips
from datamodules.loading.opener import opener
from datamodules.loading.samplers import EvaluationSampler, TrainingSampler, accumulation
from datamodules.preparation.audit import known_broken
from datamodules.transforms.augmentation import Augmentation
from datamodules.transforms.mixup import mix
from datamodules.transforms.random_erasing import erase

MIX = 2  # what random numbers are for: no two uses may share them; 0 and 1 are samples and order


class VideoDataModule(LightningDataModule):
    """Train on one random clip of every video, test on all views of every video.

    A batch holds "video" uint8 (B, C, T, H, W), in testing (B, V, C, T, H, W), which becomes
    normalised float32 on the device; "label" and "index" (B,), the latter counted within the
    split, -1 for a stand-in that is not scored; "broken" (B,): -1, or the index of a video that
    could not be decoded: in training another one stands in for it, in testing it is black.
    Training batches also hold "epoch" (B,) and, where clips are mixed, "target" (B, K).

    What is random about a training sample is a function of (seed, epoch, index). A step sees the
    same clips at every world size, and so does every forward pass of a test.

    Args:
        data: The dataset.
        frames: T, frames per clip.
        size: H and W, in pixels.
        sampling: Which frames: a name in `datamodules.loading.clip_sampling`.
        interval: Distance between frames, where the sampling has one.
        seconds: Length of a clip, where the sampling has one.
        batch: Clips per step, over all ranks.
        augment: How training clips are varied; flips as far as the dataset allows them.
        erasing: Probability of erasing a part of a training clip.
        fill: What it is filled with: "zero", "grey" or "noise".
        mixup: Alpha of mixing pairs of training clips; 0: none.
        cutmix: Alpha of pasting a part of one into the other; 0: none.
        test_batch: Clips per forward pass in testing.
        clips: Test clips per video.
        crops: Test crops per clip, 1 or 3.
        test_sampling: Which frames of a test clip; None: as `sampling`.
        test_short_side: Pixels of the shorter side before the crops; None: `size`.
        broken: "stop" at a test video that cannot be decoded, or count it as "wrong".
        mean: Of the backbone's input, per channel, pixels being 0 to 1.
        std: Likewise.
        holdout: Share of the training videos held out. Above 0 everything but training reads those.
        decoder: "pyav" or "torchcodec".
        cache: Keep decoded videos on disk, for all runs.
        workers: Processes that decode; 0 decodes where it trains.
        max_batch_per_device: Clips at once; a larger share of a step is accumulated.
        seed: Of the holdout, the order and the samples.

    Attributes:
        data: The dataset, with the holdout taken out of its training split.
        num_classes: K.
        views: V, clips x crops.
        evaluation_split: The split that is tested on, "test" or "holdout".

    Raises:
        UserError: An argument is wrong, or an audit found test videos broken.
    """

    def __init__(
        self,
        data: DatasetInfo,
        *,
        frames: int,
        size: int,
        sampling: str,
        interval: int,
        batch: int,
        augment: Augmentation,
        test_batch: int,
        clips: int,
        crops: int,
        mean: Sequence[float],
        std: Sequence[float],
        holdout: float,
        workers: int,
        seed: int,
        seconds: float | None = None,
        erasing: float = 0.0,
        fill: Literal["zero", "grey", "noise"] = "zero",
        mixup: float = 0.0,
        cutmix: float = 0.0,
        test_sampling: str | None = None,
        test_short_side: int | None = None,
        broken: Literal["stop", "wrong"] = "stop",
        decoder: str = "pyav",
        cache: bool = False,
        max_batch_per_device: int | None = None,
    ) -> None:
        super().__init__()
        if crops not in (1, 3):
            raise UserError(f"test.crops must be 1 or 3, not {crops}")
        short_side = size if test_short_side is None else test_short_side
        if short_side < size:
            raise UserError(f"test.short_side={short_side} is less than clip.size={size}")
        options: dict[str, Any] = {"frames": frames, "interval": interval, "seconds": seconds}
        self.data = hold_out(data, holdout, seed)
        self.num_classes = len(data.classes)
        self.views = clips * crops
        self.evaluation_split: Literal["test", "holdout"] = "holdout" if holdout > 0 else "test"
        train, test = self.data.splits["train"], self.data.splits[self.evaluation_split]
        train_broken, test_broken = (known_broken(each, data.name) for each in (train, test))
        if broken == "stop":
            _demand_whole(test, test_broken, data.name)
        self._training = TrainingClips(
            train,
            opener(train, data.name, train_broken, decoder=decoder, cache=cache),
            _sampling("clip.sampling", sampling, **options),
            augment if data.flip in ("ok", "swap") else replace(augment, flip=0.0),
            size=size,
            erasing=erasing,
            swaps={a: b for pair in data.swaps for a, b in (pair, pair[::-1])},
            seed=seed,
        )
        self._testing = AllViews(
            test,
            opener(test, data.name, test_broken, decoder=decoder, cache=cache),
            _sampling("test.sampling", test_sampling or sampling, test_clips=clips, **options),
            frames=frames,
            clips=clips,
            crops=crops,
            short_side=short_side,
            size=size,
            interpolation=augment.interpolation,
            tolerant=broken == "wrong",
        )
        self._batch, self._test_batch = batch, max(1, test_batch // self.views)
        self._erasing, self._fill, self._mixup, self._cutmix = erasing, fill, mixup, cutmix
        self._mean = torch.tensor(mean).view(-1, 1, 1, 1)
        self._std = torch.tensor(std).view(-1, 1, 1, 1)
        self._workers, self._seed, self._most = workers, seed, max_batch_per_device

    def train_dataloader(self) -> DataLoader[Item]:
        """Return this rank's training clips, from where training is."""
        if self._batch > len(self._training):
            raise UserError(
                f"train.batch={self._batch} is more than the {len(self._training)} "
                f"training videos of {self.data.name}"
            )
        world, rank = self._place()
        part = self._batch // world // self.accumulation(world)
        epoch, done = self._progress()
        sampler = TrainingSampler(
            self._training,
            seed=self._seed,
            batch=self._batch,
            world=world,
            rank=rank,
            epoch=epoch,
            done=done * part,
        )
        return self._loader(self._training, sampler, part)

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return len(self._training) // self._batch

    def val_dataloader(self) -> DataLoader[Item] | list[Any]:
        """Return this rank's videos of the holdout, or nothing where there is none."""
        return self.test_dataloader() if self.evaluation_split == "holdout" else []

    def test_dataloader(self) -> DataLoader[Item]:
        """Return this rank's videos of the evaluation split."""
        sampler = EvaluationSampler(self._testing, self._test_batch, *self._place())
        return self._loader(self._testing, sampler, self._test_batch)

    def accumulation(self, world: int) -> int:
        """Return over how many batches of this loader gradients are accumulated to one step.

        Raises:
            UserError: `batch` cannot be split over `world` ranks, or into parts small enough.
        """
        pairs = self._mixup > 0 or self._cutmix > 0
        return accumulation(self._batch, world, self._most, multiple=2 if pairs else 1)

    def on_after_batch_transfer(self, batch: Item, dataloader_idx: int) -> Item:
        """Normalise "video" where it is now, (..., C, T, H, W); erase and mix training clips."""
        video: Tensor = batch["video"]
        self._mean, self._std = self._mean.to(video.device), self._std.to(video.device)
        video = video.to(torch.float32).div_(255).sub_(self._mean).div_(self._std)
        if "erase" not in batch:  # of a test
            return {**batch, "video": video}
        kept = {key: value for key, value in batch.items() if key not in ("erase", "noise")}
        if self._erasing > 0:
            places, seeds = batch["erase"], batch["noise"]
            video = erase(video, places, seeds, fill=self._fill, mean=self._mean, std=self._std)
        if self._mixup > 0 or self._cutmix > 0:
            firsts = zip(batch["epoch"][::2].tolist(), batch["index"][::2].tolist(), strict=True)
            video, kept["target"] = mix(
                video,
                batch["label"],
                num_classes=self.num_classes,
                rngs=[np.random.default_rng([MIX, self._seed, *each]) for each in firsts],
                mixup=self._mixup,
                cutmix=self._cutmix,
            )
        return {**kept, "video": video}

    def _place(self) -> tuple[int, int]:
        """Return number of ranks, and this one."""
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)

    def _progress(self) -> tuple[int, int]:
        """Return the epoch that training is in, and how many of its batches are done."""
        if self.trainer is None:
            return 0, 0
        loop: Any = self.trainer.fit_loop
        epoch = loop.epoch_progress.current
        begun = epoch.ready > epoch.processed  # else it was saved between two epochs
        return epoch.processed, loop.epoch_loop.batch_progress.current.processed if begun else 0

    def _loader(self, dataset: Dataset[Item], sampler: Any, batch: int) -> DataLoader[Item]:
        several = self._workers > 0 and self._place()[0] > 1
        return DataLoader(
            dataset,
            multiprocessing_context=_fork_server() if several else None,
            batch_size=batch,
            sampler=sampler,
            generator=torch.Generator(),  # starting a loader draws a number: not from the model's
            num_workers=self._workers,
            worker_init_fn=_ignore_sigterm,
            persistent_workers=self._workers > 0,
            pin_memory=torch.cuda.is_available(),
        )


def _fork_server() -> ForkServerContext:
    """Return what starts the workers of one of several ranks.

    A rank has threads that talk to the others; a fork while one of them starts or ends may hang in
    the child for good (CPython before 3.12: seen). A fork server has no such threads.
    """
    context = get_context("forkserver")
    main = sys.modules["__main__"].__spec__
    # Every worker imports the main module, seconds, unless the server has; of itself it does so
    # for `python file`, not for `python -m module` (CPython 3.11).
    known = [main.name] if main and not main.name.endswith("__main__") else []
    context.set_forkserver_preload([__name__, *known])
    return context


def _ignore_sigterm(worker: int) -> None:
    """Leave SIGTERM, which Slurm sends to every process, to the run: it needs workers to save."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _sampling(key: str, name: str, *, test_clips: int = 0, **options: Any) -> Any:
    """Return the sampling called `name`, as `key` of the recipe says, with its options."""
    if name not in SAMPLINGS:
        raise UserError(f"no {key} {name!r}{nearest(name, SAMPLINGS)}")
    choose = partial(SAMPLINGS[name], **options)
    rng = None if test_clips else np.random.default_rng(0)
    choose(np.zeros(1), clips=test_clips or 1, rng=rng)  # an option it lacks is told now
    return choose


def _demand_whole(split: Split, broken: NDArray[np.bool_] | None, name: str) -> None:
    """Raise a UserError if test videos are known to be broken: now, not after training."""
    if broken is not None and broken.any():
        raise UserError(
            f"{name}: its audit found {broken.sum()} of {len(split)} test videos broken, such as "
            f"{split.path(int(broken.argmax()))}; test.broken=wrong counts them as wrong answers"
        )

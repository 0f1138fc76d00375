"""The one LightningDataModule: any dataset of videos, as clips.

Shapes: B clips or videos, V views of a video, C T H W one clip.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from datamodules.dataset_info import DatasetInfo
from datamodules.errors import UserError
from datamodules.loading.clips import AllViews, Alter, Item, Sampling, TrainingClips
from datamodules.loading.deadline import DeadlineLoader
from datamodules.loading.opener import opener
from datamodules.loading.samplers import EvaluationSampler, TrainingSampler, accumulation
from datamodules.loading.workers import begin_worker, fork_server
from datamodules.preparation.audit import known_broken
from datamodules.randomness import Stream, generator
from datamodules.sharing import servers
from datamodules.sharing.client import SharedClips
from datamodules.sharing.kept_views import KeptViews
from datamodules.sharing.key import training_key
from datamodules.sharing.memory import slot_size
from datamodules.sharing.wire import Hello
from datamodules.transforms.mixup import mix
from datamodules.transforms.random_erasing import erase
from datamodules.transforms.settings import Augment

ON_DEVICE = "video", "label"  # what a model computes with; all else of a batch is only read


class VideoDataModule(LightningDataModule):
    """Train on one random clip of every video, test on all views of every video.

    A batch holds "video" uint8 (B, C, T, H, W), in testing (B, V, C, T, H, W), which becomes
    normalised float32 on the device; "label" (B,), there too; "index" (B,), counted within the
    split, -1 for a stand-in that is not scored; "broken" (B,): -1, or the index of a video that
    could not be decoded: in training another one stands in for it, in testing it is black.
    These two stay on the host, where reading them waits for nothing. Training batches also hold
    "epoch" (B,), where clips are mixed "target" (B, K), and in a smaller last step "weight" (B,),
    what the loss of each clip counts in their mean, 0 for one that fills the step up.

    What is random about a training sample is a function of (seed, epoch, index). A step sees the
    same clips at every world size, and so does every forward pass of a test.

    Here is all of it, for a dataset of anyone's:

        data = hold_out(ssv2(root="/data/ssv2"), 0.1, seed=0)
        choose, shape = sampling("uniform", frames=8), {"size": 224, "interpolation": "bilinear"}
        datamodule = VideoDataModule(
            data,
            training=training_clips(data, choose, augment, seed=0, **shape),
            testing=all_views(data, choose, clips=1, crops=3, **shape),
            batch=32, test_batch=64, mean=[0.5] * 3, std=[0.5] * 3, workers=4,
        )

    Args:
        data: The dataset, the videos for tuning being held out of it (`hold_out`).
        training: Its training clips. Their seed is that of their order and their mixing, too.
        testing: All views of its evaluation split.
        batch: Clips per step, over all ranks.
        test_batch: Clips per forward pass in testing.
        mean: Of the backbone's input, per channel, pixels being 0 to 1.
        std: Likewise.
        workers: Processes that decode; 0 decodes where it trains.
        max_batch_per_device: Clips at once; a larger share of a step is accumulated.
        drop_last: Whether training clips that do not fill an epoch's last step are left out; else
            they make a smaller one.
        patience: Seconds that reading a video may take in such a process; None: any time.

    Attributes:
        data: The dataset.
        num_classes: K.
        views: V, clips x crops.
        evaluation_split: The split that is tested on, "test" or "holdout".
        decoded: How many of the training clips this rank decoded, and how many it got, where runs
            share them; of a run that was resumed, rank 0's before that are every rank's.

    Raises:
        ValueError: `training` or `testing` is of other videos than those of `data`.
    """

    def __init__(
        self,
        data: DatasetInfo,
        *,
        training: TrainingClips,
        testing: AllViews,
        batch: int,
        test_batch: int,
        mean: Sequence[float],
        std: Sequence[float],
        workers: int,
        max_batch_per_device: int | None = None,
        drop_last: bool = True,
        patience: float | None = None,
    ) -> None:
        super().__init__()
        self.data, self.evaluation_split = data, data.evaluation_split
        for name, clips in (("train", training), (self.evaluation_split, testing)):
            if clips.split is not data.splits[name]:
                raise ValueError(f"the clips are not of the videos of {name!r} of {data.name}")
        self.num_classes, self.views = len(data.classes), testing.views
        self._training, self._testing = training, testing
        self._batch, self._test_batch = batch, max(1, test_batch // self.views)
        self._mean = torch.tensor(mean).view(-1, 1, 1, 1)
        self._std = torch.tensor(std).view(-1, 1, 1, 1)
        self._workers, self._most, self._drop_last = workers, max_batch_per_device, drop_last
        self._patience = patience
        self.decoded = [0, 0]
        self._kept: KeptViews | None = None

    def train_dataloader(self) -> DataLoader[Item]:
        """Return this rank's training clips, from where training is."""
        if self._batch > len(self._training):
            raise UserError(
                f"train.batch={self._batch} is more than the {len(self._training)} "
                f"training videos of {self.data.name}"
            )
        world, rank = self._world_and_rank()
        part = self._batch // world // self.accumulation(world)
        epoch, done = self._progress()
        self._training.share = self._share()
        sampler = TrainingSampler(
            self._training,
            seed=self._training.seed,
            batch=self._batch,
            world=world,
            rank=rank,
            epoch=epoch,
            done=done * part,
            part=part,
            drop_last=self._drop_last,
            multiple=self.least,
        )
        return self._loader(self._training, self._training, sampler, part)

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        full, rest = divmod(len(self._training), self._batch)
        return full + (rest > 0 and not self._drop_last)

    @property
    def used(self) -> int:
        """Clips that an epoch trains on."""
        return min(len(self._training), self.steps * self._batch)

    def val_dataloader(self) -> DataLoader[Item] | list[Any]:
        """Return this rank's videos of the holdout, or nothing where there is none."""
        return self.test_dataloader() if self.evaluation_split == "holdout" else []

    def test_dataloader(self) -> DataLoader[Item]:
        """Return this rank's videos of the evaluation split."""
        sampler = EvaluationSampler(self._testing, self._test_batch, *self._world_and_rank())
        kept = self._kept or self._testing
        return self._loader(kept, self._testing, sampler, self._test_batch)

    def keep_views(self, size: float) -> None:
        """Keep the views that are tested for the next pass over them, in so many bytes of memory.

        Several ranks keep none: their workers are not forked from them.
        """
        if size and servers.possible() and self._world_and_rank()[0] == 1:
            self._kept = KeptViews(self._testing, size)

    def accumulation(self, world: int) -> int:
        """Return over how many batches of this loader gradients are accumulated to one step.

        Raises:
            UserError: `batch` cannot be split over `world` ranks, or into parts small enough.
        """
        return accumulation(self._batch, world, self._most, multiple=self.least)

    @property
    def least(self) -> int:
        """How many clips at once cannot be fewer: two where they are mixed in pairs."""
        return 2 if self._mixes else 1

    @property
    def _mixes(self) -> bool:
        return self._training.augment.mixup > 0 or self._training.augment.cutmix > 0

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run goes on from."""
        return {"decoded": list(self.decoded)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from an earlier start of the run."""
        self.decoded = list(state_dict["decoded"])

    def on_before_batch_transfer(self, batch: Item, dataloader_idx: int) -> Item:
        """Count the clips that this rank has decoded."""
        if "decoded" not in batch:
            return batch
        self.decoded[0] += int(batch["decoded"].sum())
        self.decoded[1] += len(batch["decoded"])
        return {key: value for key, value in batch.items() if key != "decoded"}

    def transfer_batch_to_device(
        self, batch: Item, device: torch.device, dataloader_idx: int
    ) -> Item:
        """Move clips and labels; what stays on the host is read there without waiting for it."""
        moving = {key: batch[key] for key in ON_DEVICE}
        moved: Item = super().transfer_batch_to_device(moving, device, dataloader_idx)
        return {**batch, **moved}

    def on_after_batch_transfer(self, batch: Item, dataloader_idx: int) -> Item:
        """Normalise "video" where it is now, (..., C, T, H, W); erase and mix training clips."""
        video: Tensor = batch["video"]
        self._mean, self._std = self._mean.to(video.device), self._std.to(video.device)
        video = video.to(torch.float32).div_(255).sub_(self._mean).div_(self._std)
        if "erase" not in batch:  # of a test
            return {**batch, "video": video}
        kept = {key: value for key, value in batch.items() if key not in ("erase", "noise")}
        how, seed = self._training.augment, self._training.seed
        if how.erasing.probability > 0:
            boxes, seeds = batch["erase"], batch["noise"]
            fill = how.erasing.fill
            video = erase(video, boxes, seeds, fill=fill, mean=self._mean, std=self._std)
        if self._mixes:
            firsts = zip(batch["epoch"][::2].tolist(), batch["index"][::2].tolist(), strict=True)
            video, kept["target"] = mix(
                video,
                batch["label"],
                num_classes=self.num_classes,
                rngs=[generator(Stream.MIX, seed, *each) for each in firsts],
                mixup=how.mixup,
                cutmix=how.cutmix,
            )
        return {**kept, "video": video}

    def _world_and_rank(self) -> tuple[int, int]:
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

    def _share(self) -> SharedClips | None:
        """Return where training clips come from that other runs decode, if there is a server."""
        clips, told = self._training, servers.told()
        if told is None or self.trainer is None or clips.decoder is None:
            return None
        if not isinstance(clips.choose, partial):  # anybody's own: nothing tells it from others
            return None
        run, address = told
        hello = Hello(
            key=training_key(
                self.data,
                {"name": clips.choose.func.__name__, **clips.choose.keywords},
                clips.augment,
                size=clips.size,
                interpolation=clips.interpolation,
                seed=clips.seed,
                decoder=clips.decoder,
            ),
            run=run,
            lends=False,
            seed=clips.seed,
            videos=len(clips),
            used=self.used,
            epochs=max(1, self.trainer.max_epochs or 1),
            slack=(2 * self._workers + 2) * self._batch,  # a loader prefetches two of each worker
            size=slot_size(clips.frames, 3, clips.size, clips.size),
        )
        return SharedClips(address, hello)

    def _loader(
        self,
        dataset: Dataset[Item],
        clips: TrainingClips | AllViews,
        sampler: TrainingSampler | EvaluationSampler,
        batch: int,
    ) -> DataLoader[Item]:
        """Return what loads a dataset, which reads `clips`."""
        world, rank = self._world_and_rank()
        options: dict[str, Any] = {
            "multiprocessing_context": fork_server() if self._workers and world > 1 else None,
            "batch_size": batch,
            "sampler": sampler,
            # starting a loader draws a number: not from the model's
            "generator": torch.Generator(),
            "num_workers": self._workers,
            "worker_init_fn": begin_worker,
            "persistent_workers": self._workers > 0,
            "pin_memory": torch.cuda.is_available(),
        }
        if self._workers and self._patience is not None:
            return DeadlineLoader(dataset, clips, seconds=self._patience, rank=rank, **options)
        return DataLoader(dataset, **options)


def training_clips(
    data: DatasetInfo,
    choose: Sampling,
    augment: Augment,
    *,
    size: int,
    interpolation: str,
    seed: int,
    decoder: str = "pyav",
    cache: bool = False,
) -> TrainingClips:
    """Return the training clips of a dataset; what its audit found broken is not tried.

    Args:
        data: The dataset.
        choose: Which frames.
        augment: How clips are varied.
        size: H and W, in pixels.
        interpolation: Of every resize: "bilinear" or "bicubic".
        seed: Of all that is random.
        decoder: "pyav" or "torchcodec".
        cache: Keep decoded videos on disk, for all runs.

    Raises:
        UserError: An argument is wrong.
    """
    split = data.splits["train"]
    broken = known_broken(split, data.name)
    open_video = opener(split, data.name, broken, decoder=decoder, cache=cache)
    clips = TrainingClips(
        data, open_video, choose, augment, size=size, interpolation=interpolation, seed=seed
    )
    clips.decoder = None if cache else decoder  # a cache's clips are there at once
    return clips


def all_views(
    data: DatasetInfo,
    choose: Sampling,
    *,
    clips: int,
    crops: int,
    size: int,
    interpolation: str,
    short_side: int | None = None,
    broken: Literal["stop", "wrong"] = "stop",
    decoder: str = "pyav",
    cache: bool = False,
    alter: Alter | None = None,
) -> AllViews:
    """Return all views of the videos that a dataset is evaluated on.

    Args:
        data: The dataset.
        choose: Which frames.
        clips: Per video.
        crops: Per clip, 1 or 3.
        size: H and W, in pixels.
        interpolation: Of the resize: "bilinear" or "bicubic".
        short_side: Pixels of the shorter side before the crops; None: `size`.
        broken: "stop" at a video that cannot be decoded, or count it as "wrong".
        decoder: "pyav" or "torchcodec".
        cache: Keep decoded videos on disk, for all runs.
        alter: Changes the views of every video before they are scored; None: nothing does.

    Raises:
        UserError: An argument is wrong, or an audit found videos broken at which to stop.
    """
    split = data.splits[data.evaluation_split]
    known = known_broken(split, data.name)
    if broken == "stop" and known is not None and known.any():  # now, not after training
        raise UserError(
            f"{data.name}: its audit found {known.sum()} of {len(split)} test videos broken, such "
            f"as {split.path(int(known.argmax()))}; test.broken=wrong counts them as wrong answers"
        )
    return AllViews(
        split,
        opener(split, data.name, known, decoder=decoder, cache=cache),
        choose,
        clips=clips,
        crops=crops,
        size=size,
        short_side=short_side,
        interpolation=interpolation,
        tolerant=broken == "wrong",
        alter=alter,
    )

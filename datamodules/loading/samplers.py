"""Which rank takes which video when: steps and test batches are the same at any world size."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Dataset
from torch.utils.data.distributed import DistributedSampler

from datamodules.errors import UserError
from datamodules.loading.order import training_order

Key = tuple[int, int]  # epoch, index


class TrainingSampler(DistributedSampler[Key]):
    """Keys of a rank's training clips. Its base class tells Lightning to leave it as it is.

    Step s of an epoch takes positions s x batch to (s + 1) x batch of one permutation, at any
    number of ranks; each rank has its share of them, in one batch or in several whose gradients are
    accumulated. Clips that do not fill a last step are left out. The epoch is part of the key:
    loader workers that live on never hear of a new one.

    Args:
        clips: The training clips.
        seed: Of the permutation.
        batch: Clips per step, over all ranks.
        world: Number of ranks.
        rank: This one.
        epoch: The first one to come.
        done: Clips of it that this rank was already trained on: they are not repeated.

    Attributes:
        left_out: Clips that an iteration which begins now leaves out: the loader has given them.
    """

    def __init__(
        self,
        clips: Dataset[object],
        *,
        seed: int,
        batch: int,
        world: int,
        rank: int,
        epoch: int = 0,
        done: int = 0,
    ) -> None:
        super().__init__(clips, world, rank, seed=seed)
        self.batch, self.share = batch, batch // world
        self.steps = len(clips) // batch  # type: ignore[arg-type]
        self.epoch, self._begun = epoch, (epoch, done)
        self.left_out = 0

    def __iter__(self) -> Iterator[Key]:
        order = training_order(self.seed, self.epoch, len(self.dataset))  # type: ignore[arg-type]
        stretches = order[: self.steps * self.batch].reshape(self.steps, self.num_replicas, -1)
        begun, done = self._begun
        first = self.left_out + (done if self.epoch == begun else 0)
        for index in stretches[:, self.rank].reshape(-1)[first:]:
            yield self.epoch, int(index)

    def __len__(self) -> int:
        return self.steps * self.share  # of a whole epoch: Lightning counts what is done itself


class EvaluationSampler(DistributedSampler[int]):
    """A rank's test videos: whole batches are dealt out in turn, nothing is padded or repeated.

    So every forward pass is over the same videos at any number of ranks, and gives the same bits.
    Lightning leaves out the test of a rank that has no batch, and the others would wait for it:
    such a rank gets index -1, any video that is not scored.

    Attributes:
        left_out: As a TrainingSampler's.
    """

    def __init__(self, videos: Dataset[object], batch: int, world: int, rank: int) -> None:
        super().__init__(videos, world, rank)
        numbers = np.arange(len(videos))  # type: ignore[arg-type]
        self.mine = numbers[numbers // batch % world == rank].tolist() or [-1]
        self.left_out = 0

    def __iter__(self) -> Iterator[int]:
        return iter(self.mine[self.left_out :])

    def __len__(self) -> int:
        return len(self.mine)


def accumulation(batch: int, world: int, most: int | None, multiple: int = 1) -> int:
    """Return in how many parts a rank takes its share of a step, so that no part is too large.

    Args:
        batch: Clips per step, over all ranks.
        world: Number of ranks.
        most: Clips that fit on a device; None: any number.
        multiple: Of which a part has to be one, such as 2 where clips are mixed in pairs.

    Raises:
        UserError: The batch cannot be split so; the nearest that can are named.
    """
    unit = world * multiple
    pairs = " in pairs" if multiple > 1 else ""
    if batch % unit:
        low = batch // unit * unit
        options = f"{low} or {low + unit}" if low else f"{unit}"
        raise UserError(
            f"train.batch={batch} cannot be split{pairs} over {world} devices; "
            f"the nearest that can: {options}"
        )
    share = batch // world
    most = share if most is None else most
    sizes = [size for size in range(multiple, share + 1, multiple) if share % size == 0]
    if sizes[0] > most:
        raise UserError(
            f"max_batch_per_device={most} is too small for clips that are mixed in pairs; "
            f"the least that will do: {multiple}"
        )
    return share // max(size for size in sizes if size <= most)

"""Which rank takes which video when: steps and test batches are the same at any world size."""

from collections.abc import Iterator
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset
from torch.utils.data.distributed import DistributedSampler

from datamodules.errors import UserError
from datamodules.loading.order import training_order

Key = tuple[int, int] | tuple[int, int, float]  # epoch, index, in a smaller step what it counts


class TrainingSampler(DistributedSampler[Key]):
    """Keys of a rank's training clips. Its base class tells Lightning to leave it as it is.

    Step s of an epoch takes positions s x batch to (s + 1) x batch of one permutation, at any
    number of ranks; each rank has its share of them, in one batch or in several whose gradients are
    accumulated. The epoch is part of the key: loader workers that live on never hear of a new one.

    Clips that do not fill a last step are left out, or make a smaller one. Of that, too, every rank
    has as many, in as many batches: the epoch's first clips, which count nothing, fill it up. What
    a clip counts is the weight of its loss in the mean over its batch. The mean over all batches of
    a full step, of all ranks, is then the mean over the smaller step's own clips.

    Args:
        clips: The training clips.
        seed: Of the permutation.
        batch: Clips per step, over all ranks.
        world: Number of ranks.
        rank: This one.
        epoch: The first one to come.
        done: Clips of it that this rank was already trained on: they are not repeated.
        part: Clips that a rank takes at once; None: its share of a step.
        drop_last: Whether clips that do not fill a last step are left out.
        multiple: Of which a rank's share of a smaller step has to be one.

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
        part: int | None = None,
        drop_last: bool = True,
        multiple: int = 1,
    ) -> None:
        super().__init__(clips, world, rank, seed=seed)
        self.batch, self.share, self.part = batch, batch // world, part or batch // world
        self.full, rest = divmod(len(clips), batch)  # type: ignore[arg-type]
        self.rest = 0 if drop_last else rest  # clips of a smaller step
        self.last = -(-self.rest // (world * multiple)) * multiple  # of them, a rank's share
        self.epoch, self._begun = epoch, (epoch, done)
        self.left_out = 0

    def __iter__(self) -> Iterator[Key]:
        order = training_order(self.seed, self.epoch, len(self.dataset))  # type: ignore[arg-type]
        stretches = order[: self.full * self.batch].reshape(self.full, self.num_replicas, -1)
        begun, done = self._begun
        keys: Iterator[Key] = chain(
            ((self.epoch, int(index)) for index in stretches[:, self.rank].reshape(-1)),
            ((self.epoch, *each) for each in self._smaller(order)),
        )
        yield from islice(keys, self.left_out + (done if self.epoch == begun else 0), None)

    def _smaller(self, order: NDArray[np.int64]) -> Iterator[tuple[int, float]]:
        """Yield this rank's clips of the smaller step, and what each counts."""
        for place in range(self.rank * self.last, (self.rank + 1) * self.last):
            within = place - self.rank * self.last
            together = min(self.part, self.last - within // self.part * self.part)
            weight = self.batch / self.rest * together / self.part
            own = place < self.rest
            index = order[self.full * self.batch + place if own else place - self.rest]
            yield int(index), weight if own else 0.0

    def __len__(self) -> int:  # of a whole epoch: Lightning counts what is done itself
        return self.full * self.share + self.last


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

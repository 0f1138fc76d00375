"""Which clips a step trains on: the same at any number of ranks, in whatever parts."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from datamodules.loading.order import training_order
from datamodules.loading.samplers import TrainingSampler, accumulation

SHAPES = [  # clips, clips per step, ranks, clips of a device at once, multiple
    *((53, 12, 1, None, 1), (53, 12, 1, 5, 1), (53, 12, 3, None, 1), (53, 12, 2, 2, 1)),
    *((53, 12, 4, 1, 1), (49, 12, 4, None, 1), (53, 12, 1, None, 2), (53, 12, 3, 2, 2)),
    *((54, 12, 2, 4, 2), (48, 12, 2, 3, 1), (53, 53, 1, 7, 1)),
]


def parts(
    clips: int, batch: int, world: int, most: int | None, multiple: int, *, drop_last: bool = False
) -> tuple[list[list[list[tuple[int, float | None]]]], int, int]:
    """Return the batches of every rank in epoch 1, how many make a step, and clips of each."""
    often = accumulation(batch, world, most, multiple)
    part, found = batch // world // often, []
    for rank in range(world):
        sampler = TrainingSampler(
            range(clips),  # type: ignore[arg-type]
            **{"seed": 3, "batch": batch, "world": world, "rank": rank, "epoch": 1},
            **{"part": part, "drop_last": drop_last, "multiple": multiple},
        )
        keys = [(key[1], key[2] if len(key) == 3 else None) for key in sampler]
        assert len(keys) == len(sampler)
        full = clips // batch * batch // world
        starts = [*range(0, full, part), *range(full, len(keys), part), len(keys)]
        found.append([keys[a:b] for a, b in pairwise(starts)])
        # a loader cuts the keys into parts from the first one on, without knowing of steps
        assert [len(each) for each in found[-1][:-1]] == [part] * (len(found[-1]) - 1)
    return found, often, part


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_an_epoch_takes_every_clip_once(shape: tuple[int, int, int, int | None, int]) -> None:
    clips, batch, world, _, multiple = shape
    ranks, _, _ = parts(*shape)
    assert len({len(each) for each in ranks}) == 1  # or they would wait for each other
    keys = [key for rank in ranks for each in rank for key in each]
    own = [index for index, weight in keys if weight is None or weight > 0]
    assert sorted(own) == list(range(clips))
    assert len(keys) - len(own) < world * multiple
    order = training_order(3, 1, clips)
    smaller = {index for index, weight in keys if weight}
    assert smaller == set(order[clips // batch * batch :].tolist())
    assert all(index in order[: world * multiple] for index, weight in keys if weight == 0)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_smaller_step_is_the_mean_over_its_own_clips(
    shape: tuple[int, int, int, int | None, int],
) -> None:
    clips, batch, world, *_ = shape
    ranks, often, part = parts(*shape)
    loss = np.random.default_rng(0).normal(size=clips)
    full = clips // batch * often  # batches of a rank before the smaller step
    means = [
        np.mean([loss[index] * weight for index, weight in each])
        for rank in ranks
        for each in rank[full:]
    ]
    rest = training_order(3, 1, clips)[clips // batch * batch :]
    # gradients are averaged over ranks, and over as many batches as a full step has
    expected = loss[rest].mean() if len(rest) else 0
    assert np.sum(means) / world / often == pytest.approx(expected, abs=1e-12)
    assert all(len(each) <= part for rank in ranks for each in rank)
    assert all(weight is None for rank in ranks for each in rank[:full] for _, weight in each)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_pairs_that_are_mixed_are_the_same_at_any_number_of_ranks(
    shape: tuple[int, int, int, int | None, int],
) -> None:
    clips, batch, _, _, multiple = shape
    if multiple == 1:
        pytest.skip("nothing is mixed")

    def pairs(world: int, most: int | None) -> set[tuple[int, int]]:
        ranks, _, _ = parts(clips, batch, world, most, multiple)
        batches = [[index for index, _ in each] for rank in ranks for each in rank]
        assert all(len(each) % 2 == 0 for each in batches)
        return {pair for each in batches for pair in zip(each[::2], each[1::2], strict=True)}

    alone = pairs(1, None)
    for world, most in ((2, None), (3, 2), (6, None)):
        others = pairs(world, most)
        assert alone <= others  # those that only fill up come on top
        extra = training_order(3, 1, clips)[: 2 * world].tolist()
        assert all(set(pair) <= set(extra) for pair in others - alone)


def test_where_no_clip_is_over_nothing_changes() -> None:
    one, other = (parts(48, 12, 2, 3, 1, drop_last=drop) for drop in (True, False))
    assert one == other
    dropped, _, _ = parts(53, 12, 2, 3, 1, drop_last=True)
    kept, _, _ = parts(53, 12, 2, 3, 1)
    assert [rank[:8] for rank in kept] == dropped


def test_it_goes_on_where_it_was() -> None:
    given = {"seed": 0, "batch": 4, "world": 2, "drop_last": False, "epoch": 2}
    whole = list(TrainingSampler(torch.zeros(11), rank=1, **given))  # type: ignore[arg-type]
    resumed = TrainingSampler(torch.zeros(11), rank=1, done=2, **given)  # type: ignore[arg-type]
    assert list(resumed) == whole[2:]
    resumed.set_epoch(3)
    assert len(list(resumed)) == len(whole) == 6

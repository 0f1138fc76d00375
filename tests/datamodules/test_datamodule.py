"""The data module: exact, reproducible, the same at any number of ranks and workers."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from augments import AS_IT_IS
from lightning import Trainer
from make_videos import SHAPE, write
from torch import Tensor
from torch.utils.data.distributed import DistributedSampler

from datamodules import datamodule
from datamodules.datamodule import VideoDataModule, all_views, training_clips
from datamodules.dataset_info import DatasetInfo, Split, hold_out
from datamodules.decoding.video import DecodeError
from datamodules.errors import UserError
from datamodules.loading.clips import sampling
from datamodules.transforms.settings import Augment, Erasing

OPTIONS: dict[str, Any] = {
    "frames": 3,
    "size": 24,
    "sampling": "uniform",
    "batch": 4,
    "augment": replace(AS_IT_IS, scale=[0.3, 1.0], ratio=[0.75, 1.33], flip=0.5),
    "test_batch": 4,
    "clips": 1,
    "crops": 1,
    "mean": [0.5, 0.4, 0.3],
    "std": [0.2, 0.3, 0.4],
    "holdout": 0,
    "workers": 0,
    "seed": 0,
}
MIXUP = replace(AS_IT_IS, mixup=1.0)


def module(data: DatasetInfo, world: int = 1, rank: int = 0, **options: Any) -> VideoDataModule:
    given = {**OPTIONS, **options}
    data = hold_out(data, given.pop("holdout"), given["seed"])
    choose = sampling(given.pop("sampling"), frames=given.pop("frames"))
    shared = {"size": given.pop("size"), "interpolation": "bilinear"}
    views = {k: given.pop(k) for k in ("clips", "crops", "short_side", "broken") if k in given}
    testing = all_views(data, choose, **views, **shared)
    training = training_clips(data, choose, given.pop("augment"), seed=given.pop("seed"), **shared)
    made = VideoDataModule(data, training=training, testing=testing, **given)
    if world > 1:
        made.trainer = SimpleNamespace(  # type: ignore[assignment]
            world_size=world, global_rank=rank, fit_loop=Trainer(logger=False).fit_loop
        )
    return made


def epoch(data: DatasetInfo, number: int = 0, **options: Any) -> list[dict[str, Tensor]]:
    loader = module(data, **options).train_dataloader()
    loader.sampler.set_epoch(number)
    batches = list(loader)
    assert len(batches) == len(loader)
    return batches


def evaluated(data: DatasetInfo, **options: Any) -> list[dict[str, Tensor]]:
    return list(module(data, **options).test_dataloader())


def joined(batches: Iterable[dict[str, Tensor]]) -> dict[str, Tensor]:
    batches = list(batches)
    return {key: torch.cat([batch[key] for batch in batches]) for key in batches[0]}


def same(one: Iterable[dict[str, Tensor]], other: Iterable[dict[str, Tensor]]) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a.keys() == b.keys() and all(a[k].equal(b[k]) for k in a) for a, b in pairs)


def test_a_training_batch(listed: DatasetInfo):
    batches = epoch(listed, augment=AS_IT_IS, size=48)
    assert [batch["video"].shape for batch in batches] == [(4, 3, 3, 48, 48)] * 3  # 13 videos
    both = joined(batches)
    assert both["video"].dtype == torch.uint8 and both["label"].dtype == torch.int64
    assert (both["label"] == both["index"] % 2).all() and (both["broken"] == -1).all()
    levels = both["video"][:, 0, :, 0, 0] - 10 * both["index"][:, None]  # frame t of 6 is 10 i + t
    assert ((levels // 2) == torch.arange(3)).all()  # one of each third
    assert len(set(both["index"].tolist())) == 12


def test_a_test_batch_has_all_views(listed: DatasetInfo):
    made = module(listed, clips=2, crops=3, frames=2, test_batch=13)
    assert made.views == 6 and made.evaluation_split == "test" and made.num_classes == 2
    batches = list(made.test_dataloader())
    assert [len(batch["label"]) for batch in batches] == [2] * 6 + [1]
    assert batches[0]["video"].shape == (2, 6, 3, 2, 24, 24)
    both = joined(batches)
    assert both["index"].tolist() == list(range(13))
    levels = both["video"][:, :, 0, :, 0, 0] - 10 * both["index"][:, None, None]
    assert (levels == torch.tensor([[1, 3]] * 3 + [[2, 4]] * 3)).all()  # two clips, three crops


def test_views_are_crops_of_the_first_clip_then_of_the_second(tmp_path: Path):
    picture = np.zeros((*SHAPE, 3), np.uint8)
    picture[..., 1] = np.arange(64) * 3  # green tells the column
    pictures = [picture.copy() for _ in range(6)]
    for t, each in enumerate(pictures):
        each[..., 0] = t  # red tells the frame
    write(tmp_path / "a.mp4", pictures)
    split = Split.of(["a.mp4"], [0], tmp_path)
    data = DatasetInfo("data", ("a",), {"train": split, "test": split}, flip="ok")
    (batch,) = evaluated(data, sampling="dense", clips=2, crops=3, frames=2, size=48)
    corner = batch["video"][0, :, :, :, 0, 0]  # (V, C, T)
    assert corner[:, 0].tolist() == [[0, 1]] * 3 + [[4, 5]] * 3
    assert corner[:, 1, 0].tolist() == [0, 24, 48] * 2


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 4])
def test_a_step_takes_the_same_clips_at_any_number_of_ranks(listed: DatasetInfo, world: int):
    alone = epoch(listed, 3)
    ranks = [epoch(listed, 3, world=world, rank=rank) for rank in range(world)]
    assert same(alone, [joined(shares) for shares in zip(*ranks, strict=True)])


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("test_batch", [1, 2, 3, 5, 100])
def test_test_batches_are_the_same_at_any_number_of_ranks(listed, world, test_batch):
    alone = evaluated(listed, test_batch=test_batch)
    ranks = [evaluated(listed, test_batch=test_batch, world=world, rank=r) for r in range(world)]
    ranks = [[batch for batch in batches if (batch["index"] >= 0).all()] for batches in ranks]
    dealt = [batches[i] for i in range(len(alone)) for batches in ranks if i < len(batches)]
    assert same(alone, dealt)
    assert sorted(joined(dealt)["index"].tolist()) == list(range(13))


def test_a_rank_without_videos_gets_one_that_is_not_scored(listed: DatasetInfo):
    (batch,) = evaluated(listed, test_batch=100, world=2, rank=1)
    assert batch["index"].tolist() == [-1]


def test_lightning_leaves_the_samplers_as_they_are(listed: DatasetInfo):
    made = module(listed)
    for loader in (made.train_dataloader(), made.test_dataloader()):
        assert isinstance(loader.sampler, DistributedSampler)


@pytest.mark.slow
def test_samples_depend_on_seed_epoch_and_index_alone(listed: DatasetInfo):
    def samples(**options: Any) -> dict[int, Tensor]:
        both = joined(epoch(listed, **options))
        return dict(zip(both["index"].tolist(), both["video"], strict=True))

    torch.manual_seed(5)
    first = samples(number=1)
    torch.manual_seed(6)
    np.random.seed(7)
    assert all(each.equal(first[index]) for index, each in samples(number=1).items())
    other_order = samples(number=1, batch=13)  # one more video, other neighbours
    assert all(each.equal(other_order[index]) for index, each in first.items())
    for options in ({"number": 2}, {"number": 1, "seed": 1}):
        other = samples(**options)
        shared = first.keys() & other.keys()
        assert len(shared) > 8 and sum(first[i].equal(other[i]) for i in shared) < 3


@pytest.mark.slow
def test_epochs_come_in_different_orders_and_leave_out_different_videos(listed: DatasetInfo):
    orders = [tuple(joined(epoch(listed, n))["index"].tolist()) for n in range(8)]
    assert len(set(orders)) == 8
    assert set.union(*map(set, orders)) == set(range(13))
    assert len({frozenset(order) for order in orders}) > 2


@pytest.mark.slow
def test_workers_change_nothing(listed: DatasetInfo):
    assert same(epoch(listed, 2), epoch(listed, 2, workers=2))
    assert same(evaluated(listed, clips=2), evaluated(listed, clips=2, workers=2))


def broken(data: DatasetInfo, *numbers: int) -> DatasetInfo:
    for number in numbers:
        Path(data.splits["train"].path(number)).write_bytes(b"broken")
    return data


def test_a_broken_training_video_is_replaced_and_told(listed: DatasetInfo):
    whole = joined(epoch(listed, batch=13))
    first, again = (joined(epoch(broken(listed, 4), batch=13)) for _ in range(2))
    assert same([first], [again])
    place = whole["index"].tolist().index(4)
    stand_in = int(first["index"][place])
    assert stand_in != 4 and int(first["label"][place]) == stand_in % 2
    assert first["broken"].tolist() == [4 if i == place else -1 for i in range(13)]
    level = int(first["video"][place].float().mean())
    assert 10 * stand_in <= level <= 10 * stand_in + 5  # it shows what its index says
    others = torch.arange(13) != place
    assert first["video"][others].equal(whole["video"][others])


def test_replacements_may_be_broken_too_but_not_all(listed: DatasetInfo):
    few = joined(epoch(broken(listed, *range(7)), batch=13))
    assert sorted(few["broken"].tolist()) == [-1] * 6 + list(range(7))
    assert few["index"].min() >= 7
    with pytest.raises(DecodeError):
        epoch(broken(listed, *range(13)))


def test_a_broken_test_video_may_count_as_wrong(listed: DatasetInfo):
    found = joined(evaluated(broken(listed, 4), broken="wrong"))
    assert found["broken"].tolist() == [-1] * 4 + [4] + [-1] * 8
    assert (found["video"][4] == 0).all() and found["label"].tolist() == [i % 2 for i in range(13)]


def test_what_an_audit_found_broken_is_not_tried_and_stops_before_training(
    listed: DatasetInfo, monkeypatch: pytest.MonkeyPatch
):
    tried = joined(epoch(broken(listed, 4), batch=13))
    mask = np.arange(13) == 4
    monkeypatch.setattr(datamodule, "known_broken", lambda split, name: mask)
    Path(listed.splits["train"].path(4)).unlink()  # opening it would be told otherwise
    with pytest.raises(UserError, match=r"1 of 13 test videos broken, such as .*4\.mp4"):
        module(listed)
    assert same([tried], [joined(epoch(listed, batch=13, broken="wrong"))])


def test_a_flip_swaps_labels_where_the_dataset_knows_how(listed: DatasetInfo):
    mirrored = replace(listed, flip="swap", swaps=((0, 1),))
    one, other = (joined(epoch(mirrored, augment=replace(AS_IT_IS, flip=flip))) for flip in (0, 1))
    assert other["label"].tolist() == [1 - label for label in one["label"].tolist()]


@pytest.mark.slow
@pytest.mark.parametrize(("mixup", "cutmix"), [(0.8, 0), (0, 1.0), (0.8, 1.0)])
def test_clips_mix_alike_at_any_number_of_ranks(listed: DatasetInfo, mixup: float, cutmix: float):
    def mixed(**options: Any) -> dict[str, Tensor]:
        varied: Augment = OPTIONS["augment"]
        augment = replace(varied, mixup=mixup, cutmix=cutmix, erasing=Erasing(0.5, "zero"))
        made = module(listed, batch=12, augment=augment, **options)
        batches = [made.on_after_batch_transfer(each, 0) for each in made.train_dataloader()]
        return joined(batches)

    alone = mixed()
    assert ((alone["target"] > 0).sum(dim=1) == 2).any()  # of two classes
    torch.testing.assert_close(alone["target"].sum(dim=1), torch.ones(12))
    for world, most in ((2, None), (3, 2), (1, 4)):
        ranks = [mixed(world=world, rank=r, max_batch_per_device=most) for r in range(world)]
        assert same([alone], [joined(ranks)])


@pytest.mark.slow
def test_what_does_not_fit_is_accumulated_in_the_same_order(listed: DatasetInfo):
    whole = joined(epoch(listed, batch=12))
    for world, most, parts in ((1, 5, 3), (1, 1, 12), (2, 4, 2), (3, 100, 1)):
        made = [
            module(listed, batch=12, world=world, rank=r, max_batch_per_device=most)
            for r in range(world)
        ]
        assert made[0].accumulation(world) == parts
        ranks = [list(each.train_dataloader()) for each in made]
        assert all(len(batches) == parts for batches in ranks)
        assert same([whole], [joined(map(joined, ranks))])


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_broken_test_video_stops_the_test_and_is_named(listed: DatasetInfo, workers: int):
    with pytest.raises(DecodeError, match=r"4\.mp4"):
        evaluated(broken(listed, 4), workers=workers)


def test_tuning_never_touches_the_test_split(listed: DatasetInfo):
    final = module(listed)
    assert final.val_dataloader() == [] and "holdout" not in final.data.splits
    tuning = module(listed, holdout=0.3)
    assert tuning.evaluation_split == "holdout" and len(tuning.data.held_out) == 4
    held = {listed.splits["train"].path(i) for i in tuning.data.held_out}
    for loader in (tuning.val_dataloader(), tuning.test_dataloader()):
        split = loader.dataset.split
        assert {split.path(i) for i in joined(loader)["index"].tolist()} == held
    split = tuning.train_dataloader().dataset.split
    assert not {split.path(i) for i in range(len(split))} & held and len(split) == 9


def test_the_dataset_decides_whether_clips_may_be_mirrored(motion: DatasetInfo):
    assert motion.flip == "never"
    one, other = (
        epoch(motion, frames=8, size=32, augment=replace(AS_IT_IS, flip=flip)) for flip in (0, 1)
    )
    assert same(one, other)


@pytest.mark.slow
def test_clips_of_twins_hold_the_same_frames(motion: DatasetInfo):
    for frames in (8, 4, 2, 16):
        clips = joined(evaluated(motion, frames=frames, size=32))["video"][:, 0]  # (B, C, T, H, W)
        assert clips[1::2].equal(clips[::2].flip(2))


@pytest.mark.parametrize("shape", [(2, 3, 4, 5, 5), (2, 6, 3, 4, 5, 5)])
def test_videos_are_normalised_after_the_transfer(listed: DatasetInfo, shape: tuple[int, ...]):
    video = torch.randint(256, shape, dtype=torch.uint8)
    batch = {"video": video, "label": torch.tensor([0, 1])}
    done = module(listed).on_after_batch_transfer(batch, 0)
    mean, std = (torch.tensor(OPTIONS[key]).view(3, 1, 1, 1) for key in ("mean", "std"))
    torch.testing.assert_close(done["video"], (video / 255 - mean) / std)
    assert done["label"] is batch["label"] and batch["video"] is video


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"world": 3}, "3 devices; the nearest that can: 3 or 6"),
        ({"world": 8}, "8 devices; the nearest that can: 8"),
        ({"world": 4, "augment": MIXUP}, "in pairs over 4 devices; the nearest that can: 8"),
        ({"augment": MIXUP, "max_batch_per_device": 1}, "the least that will do: 2"),
        ({"short_side": 20}, "test.short_side=20 is less than clip.size=24"),
        ({"batch": 14}, "more than the 13 training videos of listed"),
        ({"sampling": "unifrom"}, "did you mean 'uniform'"),
        ({"crops": 2}, "1 or 3, not 2"),
        ({"holdout": 1.0}, "train.holdout"),
    ],
)
def test_mistakes_are_told_in_one_line(listed: DatasetInfo, wrong: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message) as caught:
        module(listed, **wrong).train_dataloader()
    assert "\n" not in str(caught.value)


def test_clips_of_other_videos_than_the_datas_are_refused(listed: DatasetInfo):
    """Whoever holds videos out afterwards would train on them, or test on the test split."""
    choose, shared = sampling("uniform", frames=2), {"size": 24, "interpolation": "bilinear"}
    held = hold_out(listed, 0.3, seed=0)
    parts: dict[str, Any] = {"batch": 4, "test_batch": 4, "mean": [0.5], "std": [0.5], "workers": 0}
    for wrong, split in (("training", "train"), ("testing", "holdout")):
        of = {"training": held, "testing": held, wrong: listed}
        with pytest.raises(ValueError, match=f"not of the videos of '{split}' of listed"):
            VideoDataModule(
                held,
                training=training_clips(of["training"], choose, AS_IT_IS, seed=0, **shared),
                testing=all_views(of["testing"], choose, clips=1, crops=1, **shared),
                **parts,
            )


def test_an_option_that_a_sampling_lacks_is_told_before_a_video_is_opened(listed: DatasetInfo):
    with pytest.raises(UserError, match=r"clip\.seconds is not set"):
        module(listed, sampling="pytorchvideo_constant")
    with pytest.raises(UserError, match=r"test\.clips is 2"):
        module(listed, sampling="st_adapter_uniform", clips=2)

"""Erasing and mixing of clips on the device: exact values, and the same however they are split."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from datamodules.transforms.mixup import mix
from datamodules.transforms.random_erasing import draw_box, erase

MEAN = torch.tensor([0.5, 0.4, 0.3]).view(-1, 1, 1, 1)
STD = torch.tensor([0.2, 0.3, 0.4]).view(-1, 1, 1, 1)
SEEDS = torch.arange(100)


def clips(count: int = 4, size: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, 2, size, size, generator=generator)


def test_boxes_have_the_areas_and_shapes_of_timm():
    rng = np.random.default_rng(0)
    boxes = np.stack([draw_box(rng, 224, 1.0) for _ in range(2000)])
    top, left, height, width = boxes.T
    area, aspect = height * width / 224**2, height / width
    assert 0.0195 < area.min() < 0.025 and 0.32 < area.max() < 0.335
    assert 0.29 < aspect.min() < 0.32 and 3.1 < aspect.max() < 3.4
    assert abs(np.log(aspect).mean()) < 0.05  # as often wide as high
    assert (top + height <= 224).all() and (left + width <= 224).all()
    assert min(top.min(), left.min()) == 0
    assert max((top + height).max(), (left + width).max()) == 224


def test_boxes_are_drawn_as_often_as_asked_and_nothing_is_drawn_for_none():
    rng = np.random.default_rng(0)
    assert 0.2 < np.mean([draw_box(rng, 32, 0.25).any() for _ in range(1000)]) < 0.3
    rng = np.random.default_rng(0)
    assert draw_box(rng, 32, 0.0).tolist() == [0, 0, 0, 0]
    assert rng.random() == np.random.default_rng(0).random()


@pytest.mark.parametrize(("fill", "value"), [("zero", torch.zeros(3)), ("grey", 128 / 255)])
def test_erasing_fills_one_rectangle_of_all_frames(fill: str, value: Any):
    video = clips(3)
    boxes = torch.tensor([[1, 2, 3, 4], [0, 0, 0, 0], [0, 0, 8, 8]])
    done = erase(video.clone(), boxes, SEEDS[:3], fill=fill, mean=MEAN, std=STD)
    colour = (value - MEAN) / STD if fill == "grey" else torch.zeros(3, 1, 1, 1)
    torch.testing.assert_close(done[0, :, :, 1:4, 2:6], colour.expand(3, 2, 3, 4))
    outside = torch.ones(8, 8, dtype=torch.bool)
    outside[1:4, 2:6] = False
    assert done[0][..., outside].equal(video[0][..., outside])
    assert done[1].equal(video[1])
    torch.testing.assert_close(done[2], colour.expand(3, 2, 8, 8))


def test_noise_is_of_pixels_new_in_every_frame_and_depends_on_the_seed_alone():
    video, boxes = clips(3, 32), torch.tensor([[0, 0, 32, 32], [4, 5, 9, 3], [0, 0, 0, 0]])
    done = erase(video.clone(), boxes, SEEDS[:3], fill="noise", mean=MEAN, std=STD)
    pixels = (done[0] * STD + MEAN) * 255
    torch.testing.assert_close(pixels, pixels.round(), atol=1e-3, rtol=0)
    assert pixels.round().min() == 0 and pixels.round().max() == 255
    assert 120 < pixels.mean() < 135 and 70 < pixels.std() < 77  # 255 / sqrt(12) = 73.6
    assert not done[0, :, 0].equal(done[0, :, 1])
    assert done[2].equal(video[2])
    last = slice(1, 3)
    alone = erase(video[last].clone(), boxes[last], SEEDS[last], fill="noise", mean=MEAN, std=STD)
    assert alone.equal(done[last])
    other = erase(video.clone(), boxes, SEEDS[1:4], fill="noise", mean=MEAN, std=STD)
    assert not other[0].equal(done[0])


def rngs(count: int, first: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(first, first + count)]


def test_mixup_adds_neighbours():
    video, label = clips(), torch.tensor([0, 1, 4, 4])
    done, target = mix(video.clone(), label, num_classes=5, rngs=rngs(2), mixup=0.8, cutmix=0.0)
    for k in range(2):
        share = float(np.random.default_rng(k).beta(0.8, 0.8))
        a, b = video[2 * k], video[2 * k + 1]
        torch.testing.assert_close(done[2 * k], (1 - share) * a + share * b)
        torch.testing.assert_close(done[2 * k + 1], (1 - share) * b + share * a)
    share = float(np.random.default_rng(0).beta(0.8, 0.8))
    expected = torch.tensor([[1 - share, share, 0, 0, 0], [share, 1 - share, 0, 0, 0]])
    torch.testing.assert_close(target[:2], expected)
    torch.testing.assert_close(target[2:], torch.eye(5)[[4, 4]])


def test_cutmix_pastes_the_neighbours_rectangle_and_counts_its_true_area():
    video = torch.arange(64.0).view(-1, 1, 1, 1, 1).expand(64, 3, 2, 12, 16).clone()
    label = torch.arange(64)
    done, target = mix(video, label, num_classes=64, rngs=rngs(32), mixup=0.0, cutmix=1.0)
    shares = set()
    for i in range(64):
        other = i ^ 1
        pasted = done[i] == other
        assert (pasted | (done[i] == i)).all()
        assert (pasted == pasted[:1, :1]).all()  # in all frames and channels alike
        inside = pasted[0, 0]
        rows, columns = inside.any(1), inside.any(0)
        assert inside.equal(rows[:, None] & columns)  # a rectangle
        share = inside.sum().item() / (12 * 16)
        assert target[i, other].item() == pytest.approx(share)
        assert target[i, i].item() == pytest.approx(1 - share)
        shares.add(share)
    assert len(shares) > 10 and max(shares) > 0.3


def test_targets_are_shares_and_each_pair_draws_which():
    video, label = clips(200), torch.arange(200) % 7
    done, target = mix(video.clone(), label, num_classes=7, rngs=rngs(100), mixup=0.8, cutmix=1.0)
    torch.testing.assert_close(target.sum(1), torch.ones(200))
    assert target.min() >= 0 and target.dtype == torch.float32
    pasted = [
        ((done[i] == video[i]) | (done[i] == video[i + 1])).all().item() for i in range(0, 200, 2)
    ]
    assert 35 < sum(pasted) < 65


@pytest.mark.parametrize("options", [{"mixup": 0.8, "cutmix": 1.0}, {"mixup": 0.2, "cutmix": 0.0}])
def test_a_batch_split_between_ranks_is_mixed_the_same(options: dict[str, float]):
    video, label = clips(8), torch.arange(8) % 3
    whole = mix(video.clone(), label, num_classes=3, rngs=rngs(4), **options)
    shares = [
        mix(
            video[s : s + 4].clone(),
            label[s : s + 4],
            num_classes=3,
            rngs=rngs(2, s // 2),
            **options,
        )
        for s in (0, 4)
    ]
    for both, parts in zip(whole, zip(*shares, strict=True), strict=True):
        assert both.equal(torch.cat(parts))


def test_without_mixing_clips_and_labels_stay():
    video, label = clips(), torch.tensor([0, 1, 2, 2])
    done, target = mix(video.clone(), label, num_classes=3, rngs=rngs(2), mixup=0, cutmix=0)
    assert done.equal(video) and target.equal(torch.eye(3)[label])


def test_a_clip_without_a_neighbour_is_an_error():
    with pytest.raises(ValueError, match="3 clips are not 1 pairs"):
        mix(clips(3), torch.zeros(3).long(), num_classes=2, rngs=rngs(1), mixup=1, cutmix=0)

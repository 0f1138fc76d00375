"""Crops, flips and colours treat all frames alike, and do nothing where nothing is to do."""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from augments import AS_IT_IS, RAND
from torch import Tensor
from torchvision.transforms.v2 import functional

from datamodules.transforms.augmentation import (
    COLOUR_AXES,
    augment_clip,
    pca_lighting,
    random_crop,
    random_resized_crop,
)
from datamodules.transforms.randaugment import rand_augment
from datamodules.transforms.spatial import resize, short_side, square_crops


def varied(
    clip: Tensor, rng: np.random.Generator, size: int, how: str = "bilinear", **options: Any
) -> tuple[Tensor, bool]:
    """Return a clip, and whether it is mirrored, after what `options` change of no augmentation."""
    return augment_clip(clip, rng, replace(AS_IT_IS, **options), size=size, interpolation=how)


def places(height: int, width: int, frames: int = 4) -> torch.Tensor:
    """Return a clip (T, C, H, W) whose pixels say where they are: red the row, green the column."""
    picture = torch.zeros(3, height, width, dtype=torch.uint8)
    picture[0] = torch.arange(height)[:, None]
    picture[1] = torch.arange(width)
    return picture.expand(frames, 3, height, width)


def test_a_clip_that_fits_is_left_alone():
    clip = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
    for seed in range(20):
        done, mirrored = varied(clip, np.random.default_rng(seed), 32)
        assert done.data_ptr() == clip.data_ptr() and not mirrored
    assert short_side(clip, 32) is clip
    assert square_crops(clip, 32, 1)[0].equal(clip)


EVERYTHING: list[dict[str, Any]] = [
    {},
    {"short_side": (20, 30), "crop": "plain", "how": "bicubic"},
    {"short_side": (256, 256), "randaugment": replace(RAND, operations=4)},
    {"randaugment": replace(RAND, operations=4, when="after"), "lighting": 0.1},
    {"randaugment": replace(RAND, operations=4, when="after", library="imgaug"), "greyscale": 0.5},
    {"randaugment": replace(RAND, operations=4, library="timm"), "crop": "plain"},
]


@pytest.mark.parametrize("options", EVERYTHING)
@pytest.mark.parametrize("seed", range(5))
def test_all_frames_are_treated_alike(seed: int, options: dict[str, Any]):
    clip = places(40, 60)
    options = {"scale": (0.2, 1), "ratio": (0.7, 1.4), "flip": 0.5, **options}
    done, _ = varied(clip, np.random.default_rng(seed), 16, **options)
    assert done.shape == (4, 3, 16, 16) and done.dtype == torch.uint8
    assert (done == done[:1]).all()
    again, _ = varied(clip, np.random.default_rng(seed), 16, **options)
    assert again.equal(done)


# Recorded before there was anything but this crop and this flip: what is new and off draws nothing.
# The last number is the next random one.
@pytest.mark.parametrize(
    ("seed", "shape", "size", "scale", "ratio", "flip", "digest", "following"),
    [
        (0, (32, 32), 32, (0.8, 1), (0.9, 1.1111111), 0.0, "218da9a944fa85e7", 0.81327023),
        (1, (40, 60), 16, (0.08, 1), (0.75, 1.3333333), 0.5, "7ec82ede68c52625", 0.31183145),
        (2, (60, 40), 24, (0.08, 1), (0.75, 1.3333333), 0.5, "9fcefaf12bb2f1cf", 0.60010052),
        (3, (20, 100), 20, (1, 1), (1, 1), 0.5, "43d49556ad43d548", 0.97346027),
        (5, (48, 64), 48, (0.3, 1), (0.75, 1.3333), 1.0, "b7aac131534bb601", 0.05393070),
    ],
)
def test_crop_and_flip_are_what_they_always_were(
    seed, shape, size, scale, ratio, flip, digest, following
):
    clip = places(*shape, frames=2).clone()
    clip[:, 2] = torch.arange(shape[0])[:, None] ^ torch.arange(shape[1])
    rng = np.random.default_rng(seed)
    done, _ = varied(clip, rng, size, scale=scale, ratio=ratio, flip=flip)
    assert hashlib.sha256(done.contiguous().numpy().tobytes()).hexdigest()[:16] == digest
    assert rng.random() == pytest.approx(following, abs=1e-8)


@pytest.mark.slow
def test_crops_cover_the_areas_and_shapes_that_are_asked_for():
    rng = np.random.default_rng(0)
    areas, ratios, corners = [], [], set()
    for _ in range(300):
        crop = random_resized_crop(places(120, 120), 120, rng, scale=(0.25, 0.5), ratio=(0.5, 2))
        rows, columns = (int(crop[0, c].max()) - int(crop[0, c].min()) + 1 for c in (0, 1))
        areas.append(rows * columns / 120**2)
        ratios.append(columns / rows)
        corners.add((int(crop[0, 0].min()), int(crop[0, 1].min())))
    assert 0.24 < min(areas) < 0.27 and 0.48 < max(areas) < 0.51
    assert 0.48 < min(ratios) < 0.55 and 1.8 < max(ratios) < 2.1
    assert len(corners) > 200


def test_where_no_crop_fits_it_is_the_largest_in_the_middle():
    crop = random_resized_crop(
        places(20, 100), 20, np.random.default_rng(0), scale=(1, 1), ratio=(1, 1)
    )
    assert (crop[0, 1, 0].min(), crop[0, 1, 0].max()) == (40, 59)


def test_a_plain_crop_lies_anywhere_and_keeps_the_pixels():
    rng = np.random.default_rng(0)
    clip = places(7, 10)
    corners = set()
    for _ in range(300):
        crop = random_crop(clip, 5, rng)
        top, left = int(crop[0, 0, 0, 0]), int(crop[0, 1, 0, 0])
        assert crop.equal(clip[..., top : top + 5, left : left + 5])
        corners.add((top, left))
    assert corners == {(top, left) for top in range(3) for left in range(6)}
    assert random_crop(places(4, 8), 12, rng).shape == (4, 3, 12, 12)  # enlarged to 12 x 24


def test_a_share_of_the_clips_becomes_grey():
    clip = torch.randint(256, (2, 3, 8, 8), dtype=torch.uint8)
    rng, grey = np.random.default_rng(0), 0
    for _ in range(300):
        done, _ = varied(clip, rng, 8, greyscale=0.2)
        if not done.equal(clip):
            weights = torch.tensor([0.2989, 0.587, 0.114])[:, None, None]  # Rec. 601
            assert ((clip * weights).sum(1, keepdim=True) - done).abs().max() <= 1
            assert done.equal(done[:, :1].expand_as(done))
            grey += 1
    assert 40 < grey < 80


def test_the_short_side_is_drawn_between_its_bounds():
    clip = places(40, 80)
    sides = set()
    wide: dict[str, Any] = {"ratio": (2, 2)}
    for seed in range(100):
        side = round(np.random.default_rng(seed).uniform(20, 24))
        done, _ = varied(clip, np.random.default_rng(seed), 20, short_side=(20, 24), **wide)
        expected = resize(short_side(clip, side), 20, 20)  # the whole of it: ratio 2, area 1
        assert done.equal(expected)
        sides.add(side)
    assert sides == {20, 21, 22, 23, 24}
    state = []
    for fixed in ((20, 20), None):
        rng = np.random.default_rng(0)
        varied(clip, rng, 20, short_side=fixed, **wide)
        state.append(rng.random())
    assert state[0] == state[1]  # a fixed side draws nothing


@pytest.mark.parametrize("how", ["bilinear", "bicubic"])
def test_interpolation_is_that_of_torchvision(how: str):
    clip = torch.randint(256, (2, 3, 30, 40), dtype=torch.uint8)
    expected = functional.resize(clip, [15, 20], functional.InterpolationMode(how), antialias=True)
    assert short_side(clip, 15, how).equal(expected)
    done, _ = varied(clip, np.random.default_rng(0), 15, how, ratio=(4 / 3, 4 / 3))
    assert done.equal(resize(clip, 15, 15, how))


def test_flips_happen_as_often_as_asked_and_are_told():
    clip = places(8, 8)
    rng = np.random.default_rng(0)
    done = [varied(clip, rng, 8, flip=0.25) for _ in range(400)]
    assert all(each.equal(clip.flip(-1) if mirrored else clip) for each, mirrored in done)
    assert 0.2 < np.mean([mirrored for _, mirrored in done]) < 0.3


def test_randaugment_stands_where_it_is_asked_to():
    clip = places(40, 60)
    rand = replace(RAND, operations=14, probability=1.0, std=0.0, magnitude=10.0)
    options: dict[str, Any] = {"scale": (0.2, 0.3), "ratio": (0.7, 1.4), "flip": 1.0}

    def expected(when: str, rng: np.random.Generator) -> Tensor:
        crop = {key: options[key] for key in ("scale", "ratio")}
        if when == "before":
            return random_resized_crop(rand_augment(clip, rng, rand), 16, rng, **crop).flip(-1)
        done = random_resized_crop(clip, 16, rng, **crop)
        rng.random()  # of the flip
        return rand_augment(done.flip(-1), rng, rand)

    for when in ("before", "after"):
        placed = replace(rand, when=when)
        done, _ = varied(clip, np.random.default_rng(3), 16, **options, randaugment=placed)
        assert done.equal(expected(when, np.random.default_rng(3))), when


def test_lighting_shifts_all_pixels_by_one_colour():
    clip = torch.full((2, 3, 4, 4), 128, dtype=torch.uint8)
    shifts = np.stack(
        [
            pca_lighting(clip, np.random.default_rng(seed), 0.1)[0, :, 0, 0].numpy() - 128.0
            for seed in range(300)
        ]
    )
    # the variance along the first axis, sqrt(3) x 0.577 grey, dominates: 0.1 x 55.46 = 5.5
    along = shifts @ COLOUR_AXES
    assert 5.0 < along[:, 0].std() < 6.1 and 0.3 < along[:, 1].std() < 0.8
    shifted = pca_lighting(clip, np.random.default_rng(1), 0.1)
    assert (shifted == shifted[:1, :, :1, :1]).all()
    white = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    assert all(pca_lighting(white, np.random.default_rng(s), 1.0).max() <= 255 for s in range(5))
    assert (pca_lighting(white, np.random.default_rng(0), 1e-9) == white).all()


def test_test_crops_lie_where_they_should():
    wide = square_crops(places(32, 50), 32, 3)
    assert [int(crop[0, 1, 0, 0]) for crop in wide] == [0, 9, 18]
    tall = square_crops(places(50, 32), 32, 3)
    assert [int(crop[0, 0, 0, 0]) for crop in tall] == [0, 9, 18]
    assert square_crops(places(32, 50), 32, 1)[0].equal(wide[1])
    assert short_side(places(48, 64), 24).shape == (4, 3, 24, 32)
    assert short_side(places(64, 48), 24).shape == (4, 3, 32, 24)


@pytest.mark.parametrize(
    ("shape", "corners"),
    [
        ((256, 341), [(16, 0), (16, 58), (16, 117)]),  # halves are rounded down, as in the papers
        ((341, 256), [(0, 16), (58, 16), (117, 16)]),
        ((256, 256), [(16, 0), (16, 16), (16, 32)]),
        ((224, 225), [(0, 0), (0, 0), (0, 1)]),
        ((224, 224), [(0, 0)] * 3),
    ],
)
def test_test_crops_of_clips_that_are_larger(shape, corners):
    height, width = shape
    rows = torch.arange(height)[:, None].expand(shape)
    columns = torch.arange(width).expand(shape)
    clip = torch.stack([rows, columns])[None]
    crops = square_crops(clip, 224, 3)
    assert [(int(crop[0, 0, 0, 0]), int(crop[0, 1, 0, 0])) for crop in crops] == corners
    assert all(crop.shape[-2:] == (224, 224) for crop in crops)
    assert square_crops(clip, 224, 1)[0].equal(crops[1])

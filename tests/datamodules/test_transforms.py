"""Crops and flips treat all frames of a clip alike, and do nothing where nothing is to do."""

import numpy as np
import pytest
import torch

from datamodules._transforms import augment, cut, random_resized_crop, short_side

WHOLE = {"scale": (1, 1), "ratio": (1, 1), "flip": 0}


def places(height: int, width: int, frames: int = 4) -> torch.Tensor:
    """Return a clip (T, C, H, W) whose pixels say where they are: red the row, green the column."""
    picture = torch.zeros(3, height, width, dtype=torch.uint8)
    picture[0] = torch.arange(height)[:, None]
    picture[1] = torch.arange(width)
    return picture.expand(frames, 3, height, width)


def test_a_clip_that_fits_is_left_alone():
    clip = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        assert augment(clip, rng, size=32, **WHOLE).data_ptr() == clip.data_ptr()
    assert short_side(clip, 32) is clip
    assert cut(clip, 32, 1)[0].equal(clip)


@pytest.mark.parametrize("seed", range(5))
def test_all_frames_are_treated_alike(seed):
    clip = places(40, 60)
    done = augment(
        clip, np.random.default_rng(seed), size=16, scale=(0.2, 1), ratio=(0.7, 1.4), flip=0.5
    )
    assert done.shape == (4, 3, 16, 16) and done.dtype == torch.uint8
    assert (done == done[:1]).all()


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


def test_flips_happen_as_often_as_asked():
    clip = places(8, 8)
    rng = np.random.default_rng(0)
    flipped = [augment(clip, rng, size=8, **{**WHOLE, "flip": 0.25}) for _ in range(400)]
    share = np.mean([clip.flip(-1).equal(each) for each in flipped])
    assert 0.2 < share < 0.3 and all(each.equal(clip) for each in flipped if each[0, 1, 0, 0] == 0)


def test_test_crops_lie_where_they_should():
    wide = cut(places(32, 50), 32, 3)
    assert [int(crop[0, 1, 0, 0]) for crop in wide] == [0, 9, 18]
    tall = cut(places(50, 32), 32, 3)
    assert [int(crop[0, 0, 0, 0]) for crop in tall] == [0, 9, 18]
    assert cut(places(32, 50), 32, 1)[0].equal(wide[1])
    assert short_side(places(48, 64), 24).shape == (4, 3, 24, 32)
    assert short_side(places(64, 48), 24).shape == (4, 3, 32, 24)

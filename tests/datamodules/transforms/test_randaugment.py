"""RandAugment: what its operations do to pixels, and how they are drawn."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from augments import RAND, blobs
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from datamodules.errors import UserError
from datamodules.transforms import randaugment
from datamodules.transforms.randaugment import OPERATIONS, rand_augment
from datamodules.transforms.settings import RandAugment

GREY = 128.0
SIGNED = {"rotate", "saturation", "contrast", "brightness", "sharpness", "shear_x", "shear_y"}
SIGNED |= {"translate_x", "translate_y"}
FIXED = {"autocontrast", "equalize", "invert"}  # they have no magnitude


def affine(*matrix: float) -> Callable[[Image.Image], Image.Image]:
    """Return what takes pixel (x, y) from (a x + b y + c, d x + e y + f), as timm does."""
    return lambda image: image.transform(
        image.size,
        Image.Transform.AFFINE,
        matrix,
        resample=Image.Resampling.BILINEAR,
        fillcolor=(128, 128, 128),
    )


# At magnitude 7 of 10: 30 degrees become 21, an enhancement of 0.9 becomes 0.63, 4 bits become 2
# and the threshold of 256 becomes 77, a shear of 0.3 becomes 0.21, 45 % of 64 and 48 px 20.16 and
# 15.12. The share of pixels that may differ by more than 2 levels is that of the filled edge.
@pytest.mark.parametrize(
    ("name", "reference", "edge"),
    [
        ("autocontrast", ImageOps.autocontrast, 0),
        ("equalize", ImageOps.equalize, 0),
        ("invert", ImageOps.invert, 0),
        ("posterize", lambda image: ImageOps.posterize(image, 2), 0),
        ("solarize", lambda image: ImageOps.solarize(image, 77), 0),
        ("solarize_add", lambda image: image.point([min(255, x + 77) if x < 128 else x
                                                    for x in range(256)] * 3), 0),
        ("saturation", lambda image: ImageEnhance.Color(image).enhance(1.63), 0),
        ("contrast", lambda image: ImageEnhance.Contrast(image).enhance(1.63), 0),
        ("brightness", lambda image: ImageEnhance.Brightness(image).enhance(1.63), 0),
        ("sharpness", lambda image: ImageEnhance.Sharpness(image).enhance(1.63), 0),
        ("rotate", lambda image: image.rotate(21, Image.Resampling.BILINEAR,
                                              fillcolor=(128, 128, 128)), 0.04),
        ("shear_x", affine(1, 0.21, 0, 0, 1, 0), 0.04),
        ("shear_y", affine(1, 0, 0, 0.21, 1, 0), 0.04),
        ("translate_x", affine(1, 0, 20.16, 0, 1, 0), 0.04),
        ("translate_y", affine(1, 0, 0, 0, 1, 15.12), 0.04),
    ],
)  # fmt: skip
def test_operations_do_what_pillow_does(
    name: str, reference: Callable[[Image.Image], Image.Image], edge: float
):
    clip = blobs()
    done = OPERATIONS[name](clip, 0.7, GREY)
    images = [Image.fromarray(frame.permute(1, 2, 0).numpy()) for frame in clip]
    expected = torch.stack(
        [torch.from_numpy(np.array(reference(image))).permute(2, 0, 1) for image in images]
    )
    assert done.dtype == torch.uint8 and done.shape == clip.shape
    apart = (done.int() - expected.int()).abs() > 2
    assert apart.float().mean() <= edge
    assert not done.equal(clip)


@pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - FIXED))
def test_operations_grow_from_nothing(name: str):
    clip = blobs() // 2 + 64  # no white, which pytorchvideo solarizes even at 0
    untouched = OPERATIONS[name](clip, 0.0, GREY)
    if name == "posterize":
        assert untouched.equal(clip & 0b11110000)  # increasing: from 4 bits to none
        assert not OPERATIONS[name](clip, 1.0, GREY).any()
    else:
        assert untouched.equal(clip)
    fill = GREY if name == "solarize" else 0.0
    changes = [
        (OPERATIONS[name](clip, strength, fill).float() - untouched.float()).abs().mean()
        for strength in (0.5, 1.0)
    ]
    assert 0 < changes[0] < changes[1]


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_only_some_operations_have_a_sign(name: str):
    clip = blobs()
    both = (OPERATIONS[name](clip, sign * 0.6, GREY) for sign in (1, -1))
    assert next(both).equal(next(both)) == (name not in SIGNED)


def test_white_becomes_black_by_pytorchvideos_threshold_alone():
    white = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    assert not OPERATIONS["solarize"](white, 0.0, 0.0).any()
    assert OPERATIONS["solarize"](white, 0.0, GREY).equal(white)
    grey = torch.full((1, 3, 2, 2), 76, dtype=torch.uint8)
    assert OPERATIONS["solarize"](grey, 0.7, 0.0).equal(255 - grey)  # int(0.3 x 255) = 76
    assert OPERATIONS["solarize"](grey, 0.7, GREY).equal(grey)  # 256 - int(0.7 x 256) = 77


@pytest.mark.parametrize(("fill", "level"), [(0.0, 0), (GREY, 128)])
def test_what_comes_from_outside_is_filled(fill: float, level: int):
    clip = torch.full((1, 3, 20, 20), 200, dtype=torch.uint8)
    moved = OPERATIONS["translate_x"](clip, 1.0, fill)  # 9 px of 20 from the right
    assert (moved[..., :11] == 200).all() and (moved[..., 11:] == level).all()


def drawn(
    monkeypatch: pytest.MonkeyPatch, how: RandAugment, seed: int = 0
) -> list[list[tuple[str, float, float]]]:
    """Return what is carried out for each of 400 clips: name, strength and fill."""
    done: list[tuple[str, float, float]] = []

    def noted(name: str) -> Callable[[Tensor, float, float], Tensor]:
        def note(clip: Tensor, strength: float, fill: float) -> Tensor:
            done.append((name, strength, fill))
            return clip

        return note

    monkeypatch.setattr(randaugment, "OPERATIONS", {name: noted(name) for name in OPERATIONS})
    rng, clip, all_done = np.random.default_rng(seed), blobs(1, 8, 8), []
    for _ in range(400):
        rand_augment(clip, rng, how)
        all_done.append(list(done))
        done.clear()
    return all_done


SETTING = replace(RAND, operations=4)


def test_pytorchvideo_draws_each_of_14_operations_at_most_once(monkeypatch: pytest.MonkeyPatch):
    clips = drawn(monkeypatch, replace(SETTING, probability=1.0))
    assert all(len({name for name, *_ in clip}) == len(clip) == 4 for clip in clips)
    counts = np.unique([name for clip in clips for name, *_ in clip], return_counts=True)
    assert set(counts[0].tolist()) == OPERATIONS.keys() - {"solarize_add"}
    assert 80 < counts[1].min() and counts[1].max() < 150  # 1600 / 14 = 114
    assert {fill for clip in clips for *_, fill in clip} == {0.0}


def test_timm_draws_any_of_15_operations_again(monkeypatch: pytest.MonkeyPatch):
    clips = drawn(monkeypatch, replace(SETTING, probability=1.0, library="timm"))
    assert {name for clip in clips for name, *_ in clip} == OPERATIONS.keys()
    assert sum(len({name for name, *_ in clip}) < 4 for clip in clips) > 80
    assert {fill for clip in clips for *_, fill in clip} == {128.0}


def test_operations_are_carried_out_as_often_and_as_strongly_as_asked(
    monkeypatch: pytest.MonkeyPatch,
):
    strengths = [s for clip in drawn(monkeypatch, SETTING) for _, s, _ in clip]
    assert 700 < len(strengths) < 900  # half of 1600
    assert 0.45 < np.mean([s > 0 for s in strengths]) < 0.55
    assert 0.69 < np.mean(np.abs(strengths)) < 0.71 and 0.04 < np.std(np.abs(strengths)) < 0.06
    strongest = drawn(monkeypatch, replace(SETTING, magnitude=10.0, std=3.0))
    assert max(abs(s) for clip in strongest for _, s, _ in clip) == 1.0
    assert not any(drawn(monkeypatch, replace(SETTING, probability=0.0)))


def test_the_same_random_numbers_give_the_same_clip():
    clip = blobs()
    done = [rand_augment(clip, np.random.default_rng(s), SETTING) for s in (0, 0, 1)]
    assert done[0].equal(done[1]) and not done[0].equal(done[2])
    still = clip[:1].expand(5, -1, -1, -1)
    for seed in range(20):
        moved = rand_augment(still, np.random.default_rng(seed), SETTING)
        assert (moved == moved[:1]).all()


def test_wrong_settings_are_told():
    rng, clip = np.random.default_rng(0), blobs()
    with pytest.raises(UserError, match="no RandAugment of 'tim'; did you mean 'timm'"):
        rand_augment(clip, rng, replace(SETTING, library="tim"))
    with pytest.raises(UserError, match="operations is 15, pytorchvideo has 14"):
        rand_augment(clip, rng, replace(SETTING, operations=15))

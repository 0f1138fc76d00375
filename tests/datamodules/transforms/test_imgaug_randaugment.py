"""imgaug's RandAugment: Pillow's operations at its strengths, and how they are drawn."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from augments import RAND, blobs
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from torch import Tensor

from datamodules.transforms import imgaug_randaugment
from datamodules.transforms.imgaug_randaugment import OPERATIONS, mirror_and_cut
from datamodules.transforms.randaugment import rand_augment
from datamodules.transforms.settings import RandAugment

AIM = replace(RAND, operations=4, std=0, probability=1, library="imgaug")  # magnitude 7
TAN = np.tanh(0.07)  # of a shear of 0.3 at magnitude 7 of 30


def moved(*matrix: float) -> Callable[[Image.Image], Image.Image]:
    """Return what takes pixel (x, y) from (a x + b y + c, d x + e y + f)."""
    return lambda image: image.transform(
        image.size, Image.Transform.AFFINE, matrix, fillcolor=(128, 128, 128)
    )


# At magnitude 7 of 30: 30 degrees become 7, an enhancement of 0.9 becomes 0.21, 8 bits become 7,
# the threshold of 256 becomes 197, and 33 % of 80 and of 60 px 6 and 5. The levels are those by
# which a few pixels may differ, and the share of pixels that may have another neighbour's.
REFERENCES: dict[str, tuple[Callable[[Image.Image], Image.Image], int, float]] = {
    "identity": (lambda image: image, 0, 0),
    "autocontrast": (ImageOps.autocontrast, 1, 0),
    "equalize": (ImageOps.equalize, 0, 0),
    "invert": (ImageOps.invert, 0, 0),
    "rotate": (lambda image: image.rotate(-7, fillcolor=(128, 128, 128)), 0, 0.01),
    "posterize": (lambda image: ImageOps.posterize(image, 7), 0, 0),
    "solarize": (lambda image: ImageOps.solarize(image, 197), 0, 0),
    "saturation": (lambda image: ImageEnhance.Color(image).enhance(1.21), 1, 0),
    "contrast": (lambda image: ImageEnhance.Contrast(image).enhance(1.21), 1, 0),
    "brightness": (lambda image: ImageEnhance.Brightness(image).enhance(1.21), 1, 0),
    "sharpness": (lambda image: ImageEnhance.Sharpness(image).enhance(1.21), 1, 0),
    "shear_x": (moved(1, -TAN, 0, 0, 1, 0), 0, 0.001),
    "shear_y": (moved(1, 0, 0, -TAN, 1, 0), 0, 0.001),
    "translate_x": (moved(1, 0, -6, 0, 1, 0), 0, 0),
    "translate_y": (moved(1, 0, 0, 0, 1, -5), 0, 0),
    "blur": (lambda image: image.filter(ImageFilter.BLUR), 0, 0),
    "smooth": (lambda image: image.filter(ImageFilter.SMOOTH), 0, 0),
}


def test_every_operation_has_a_reference_but_the_square() -> None:
    assert OPERATIONS.keys() - REFERENCES.keys() == {"cutout"}


@pytest.mark.parametrize("name", REFERENCES)
def test_operations_do_what_pillow_does(name: str) -> None:
    reference, levels, share = REFERENCES[name]
    clip = blobs(2, 60, 80)
    done = OPERATIONS[name](clip, 7 / 30, 1, np.random.default_rng(0))
    images = [Image.fromarray(frame.permute(1, 2, 0).numpy()) for frame in clip]
    expected = torch.stack(
        [torch.from_numpy(np.array(reference(image))).permute(2, 0, 1) for image in images]
    )
    assert done.dtype == torch.uint8 and done.shape == clip.shape
    apart = (done.int() - expected.int()).abs() > levels
    assert apart.float().mean() <= share
    assert done.equal(clip) == (name == "identity")


def test_a_square_is_filled() -> None:
    clip = torch.zeros(2, 3, 60, 80, dtype=torch.uint8)
    rng = np.random.default_rng(1)
    x, y = np.random.default_rng(1).random(2) * (80, 60)
    done = OPERATIONS["cutout"](clip, 7 / 30, 1, rng)
    rows, columns = (done[0, 0] == 128).nonzero(as_tuple=True)
    half = 60 * 20 / 32 * 7 / 30 / 2  # 4.4 of 60 pixels
    assert [int(columns.min()), int(columns.max()) + 1] == [int(x - half), int(x + half)]
    assert [int(rows.min()), int(rows.max()) + 1] == [int(y - half), min(60, int(y + half))]
    assert len(rows) == (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)


def test_half_of_the_clips_are_mirrored_and_up_to_a_magnitude_is_cut() -> None:
    ramp = torch.arange(224, dtype=torch.uint8).expand(1, 3, 224, 224).contiguous()
    rng, lefts, rights = np.random.default_rng(0), [], []
    for _ in range(200):
        row = mirror_and_cut(ramp, rng, 7)[0, 0, 100].int().tolist()
        lefts.append(row[0])
        rights.append(row[-1])
    mirrored = [left > right for left, right in zip(lefts, rights, strict=True)]
    assert 80 < sum(mirrored) < 120
    cut = [min(pair) for pair in zip(lefts, rights, strict=True)]
    assert min(cut) == 0 and max(cut) == 7 and 3 < np.mean(cut) < 4


def test_four_of_18_are_drawn_each_at_most_once(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, float, float]] = []

    def noted(name: str) -> Callable[..., Tensor]:
        def note(clip: Tensor, strength: float, sign: float, rng: object) -> Tensor:
            done.append((name, strength, sign))
            return clip

        return note

    monkeypatch.setattr(
        imgaug_randaugment, "OPERATIONS", {name: noted(name) for name in OPERATIONS}
    )
    rng, clip, names = np.random.default_rng(0), blobs(1, 8, 8), []
    for _ in range(400):
        done.clear()
        rand_augment(clip, rng, AIM)
        names += [name for name, *_ in done]
        assert len({name for name, *_ in done}) == len(done) == 4
        assert all(strength == 7 / 30 for _, strength, _ in done)
    counts = np.unique(names, return_counts=True)[1]
    assert len(counts) == 18 and 60 < counts.min() and counts.max() < 120  # 1600 / 18 = 89


def settings(**changes: object) -> RandAugment:
    return replace(AIM, **changes)  # type: ignore[arg-type]


def test_the_same_random_numbers_give_the_same_clip() -> None:
    clip = blobs(2, 60, 80)
    one, same, other = (rand_augment(clip, np.random.default_rng(s), AIM) for s in (0, 0, 1))
    assert one.equal(same) and not one.equal(other)
    still = clip[:1].expand(3, -1, -1, -1)
    for seed in range(20):
        moved_ = rand_augment(still, np.random.default_rng(seed), AIM)
        assert (moved_ == moved_[:1]).all()


def test_probability_and_spread_hold_here_too() -> None:
    clip = blobs(2, 60, 80)
    none = rand_augment(clip, np.random.default_rng(0), settings(probability=0))
    assert none.equal(mirror_and_cut(clip, np.random.default_rng(0), 7))
    spread = [rand_augment(clip, np.random.default_rng(0), settings(std=s)) for s in (0, 3)]
    assert not spread[0].equal(spread[1])

"""Crops and flips of whole clips: uint8 (..., C, H, W) in and out, alike for all frames.

What is random takes its random numbers as an argument and draws once per clip.
"""

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor
from torchvision.transforms.v2 import functional  # type: ignore[import-untyped]


def resize(clip: Tensor, height: int, width: int) -> Tensor:
    """Resize with antialiasing; a clip that has the size comes back as it is."""
    if clip.shape[-2:] == (height, width):
        return clip
    resized: Tensor = functional.resize(clip, [height, width], antialias=True)
    return resized


def random_resized_crop(
    clip: Tensor,
    size: int,
    rng: np.random.Generator,
    *,
    scale: Sequence[float],
    ratio: Sequence[float],
) -> Tensor:
    """Cut out a random part and resize it to a square, as torchvision's RandomResizedCrop.

    Args:
        clip: Frames (..., C, H, W).
        size: Height and width of the result.
        rng: Random numbers.
        scale: Smallest and largest area of the part, as a share of the whole.
        ratio: Smallest and largest width / height of the part.
    """
    height, width = clip.shape[-2:]
    for _ in range(10):
        area = height * width * rng.uniform(scale[0], scale[1])
        aspect = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
            break
    else:  # nothing fits: the largest central part of an allowed shape
        w = min(width, round(height * ratio[1]))
        h = min(height, round(width / ratio[0]))
        top, left = (height - h) // 2, (width - w) // 2
    return resize(clip[..., top : top + h, left : left + w], size, size)


def augment(
    clip: Tensor,
    rng: np.random.Generator,
    *,
    size: int,
    scale: Sequence[float],
    ratio: Sequence[float],
    flip: float,
) -> Tensor:
    """Crop at random, and mirror left and right with probability `flip`."""
    clip = random_resized_crop(clip, size, rng, scale=scale, ratio=ratio)
    return functional.horizontal_flip(clip) if rng.random() < flip else clip


def short_side(clip: Tensor, size: int) -> Tensor:
    """Resize so that the shorter side has `size` pixels and the shape stays."""
    height, width = clip.shape[-2:]
    short = min(height, width)
    return resize(clip, height * size // short, width * size // short)


def cut(clip: Tensor, size: int, count: int) -> list[Tensor]:
    """Cut squares out of a clip whose shorter side is `size`: the middle, or both ends as well."""
    height, width = clip.shape[-2:]
    down, right = height - size, width - size  # one of them is 0
    middle = (round(down / 2), round(right / 2))
    places = [(0, 0), middle, (down, right)] if count == 3 else [middle]
    return [clip[..., top : top + size, left : left + size] for top, left in places]

"""Sizes, crops, flips and colours of whole clips: uint8 (..., C, H, W) in and out.

What is random takes its random numbers as an argument and draws once per clip, so that all frames
are treated alike. What is switched off draws nothing.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional  # type: ignore[import-untyped]

from datamodules.transforms.randaugment import rand_augment
from datamodules.transforms.settings import Augment
from datamodules.transforms.spatial import resize, short_side

# Variances and directions of the colours of ImageNet, in pixels of 0..255 (AlexNet, 2012).
COLOUR_SPREAD = np.array([55.46, 4.794, 1.148])
COLOUR_AXES = np.array(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
)


def augment_clip(
    clip: Tensor, rng: np.random.Generator, how: Augment, *, size: int, interpolation: str
) -> tuple[Tensor, bool]:
    """Vary a clip, up to its crop and its colours: it is erased and mixed where the model is.

    Args:
        clip: Frames, uint8 (T, 3, H, W).
        rng: Random numbers.
        how: What is done to it.
        size: Height and width of the result.
        interpolation: Of every resize: "bilinear" or "bicubic".

    Returns:
        The clip (T, 3, size, size), and whether it was mirrored.
    """
    rand = how.randaugment
    if how.short_side is not None:
        low, high = how.short_side
        side = low if low == high else round(rng.uniform(low, high))
        clip = short_side(clip, side, interpolation)
    if rand.operations and rand.when == "before":
        clip = rand_augment(clip, rng, rand)
    if how.crop == "plain":
        clip = random_crop(clip, size, rng, interpolation)
    else:
        clip = random_resized_crop(
            clip, size, rng, scale=how.scale, ratio=how.ratio, interpolation=interpolation
        )
    mirrored = bool(rng.random() < how.flip)
    if mirrored:
        clip = functional.horizontal_flip(clip)
    if rand.operations and rand.when == "after":
        clip = rand_augment(clip, rng, rand)
    if how.greyscale and rng.random() < how.greyscale:
        clip = functional.rgb_to_grayscale(clip, num_output_channels=3)
    if how.lighting:
        clip = pca_lighting(clip, rng, how.lighting)
    return clip, mirrored


def random_resized_crop(
    clip: Tensor,
    size: int,
    rng: np.random.Generator,
    *,
    scale: Sequence[float],
    ratio: Sequence[float],
    interpolation: str = "bilinear",
) -> Tensor:
    """Cut out a random part and resize it to a square, as torchvision's RandomResizedCrop.

    Args:
        clip: Frames (..., C, H, W).
        size: Height and width of the result.
        rng: Random numbers.
        scale: Smallest and largest area of the part, as a share of the whole.
        ratio: Smallest and largest width / height of the part.
        interpolation: "bilinear" or "bicubic".
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
    return resize(clip[..., top : top + h, left : left + w], size, size, interpolation)


def random_crop(
    clip: Tensor, size: int, rng: np.random.Generator, interpolation: str = "bilinear"
) -> Tensor:
    """Cut out a random square; a clip that is smaller is first enlarged to the size."""
    if min(clip.shape[-2:]) < size:
        clip = short_side(clip, size, interpolation)
    height, width = clip.shape[-2:]
    top, left = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
    return clip[..., top : top + size, left : left + size]


def pca_lighting(clip: Tensor, rng: np.random.Generator, std: float) -> Tensor:
    """Shift all pixels by a random colour, along the colours of ImageNet (AlexNet's PCA noise)."""
    shift = COLOUR_AXES @ (COLOUR_SPREAD * rng.normal(0, std, 3))
    shifted = clip.to(torch.float32) + torch.from_numpy(shift).to(torch.float32)[:, None, None]
    return shifted.round_().clamp_(0, 255).to(torch.uint8)

"""RandAugment as imgaug 0.4.0 has it, which AIM trains with on Something-Something.

It mirrors half of the clips, whatever their labels mean, and cuts up to magnitude / 224 off each
side. Then some of 18 operations are carried out, each at most once, at a magnitude of 30: weaker
ones than other libraries', without interpolation, and a filled square and two blurs among them.
The operations are Pillow's, done here on all frames at once. Measured against imgaug itself, at the
same random numbers: the same levels, but one level apart in a fifth of the pixels where the crop is
stretched and in a tenth where colours are mixed, and in 0.15 % of a rotation's another neighbour.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional  # type: ignore[import-untyped]

from datamodules.transforms.settings import RandAugment

HIGHEST = 30.0  # magnitude
FILL = 128
MIRRORED = 0.5
CUT = 224.0  # pixels of ImageNet's pictures, off whose sides a magnitude is cut

Operation = Callable[[Tensor, float, float, np.random.Generator], Tensor]


def imgaug_rand_augment(clip: Tensor, rng: np.random.Generator, how: RandAugment) -> Tensor:
    """Return a clip, uint8 (T, 3, H, W), after a mirroring, a crop and some random operations."""
    clip, known = mirror_and_cut(clip, rng, how.magnitude), [*OPERATIONS.values()]
    for choice in rng.choice(len(known), how.operations, replace=False).tolist():
        if rng.random() < how.probability:
            strength = float(np.clip(rng.normal(how.magnitude, how.std), 0, HIGHEST)) / HIGHEST
            clip = known[choice](clip, strength, 1 if rng.random() < 0.5 else -1, rng)
    return clip


def mirror_and_cut(clip: Tensor, rng: np.random.Generator, magnitude: float) -> Tensor:
    """Mirror half of the clips, cut a little off every side, and stretch to the size it had."""
    if rng.random() < MIRRORED:
        clip = functional.horizontal_flip(clip)
    height, width = clip.shape[-2:]
    top, right, bottom, left = rng.uniform(0, magnitude, 4) / CUT
    y, x = round(height * top), round(width * left)
    part = clip[..., y : height - round(height * bottom), x : width - round(width * right)]
    found: Tensor = functional.resize(part, [height, width], antialias=False)
    return found


def identity(clip: Tensor, strength: float, sign: float, rng: np.random.Generator) -> Tensor:
    """Leave it."""
    return clip


def autocontrast(clip: Tensor, strength: float, sign: float, rng: np.random.Generator) -> Tensor:
    """Stretch every channel of every frame to 0..255."""
    return functional.autocontrast(clip)


def equalize(clip: Tensor, strength: float, sign: float, rng: np.random.Generator) -> Tensor:
    """Make the levels of every channel of every frame equally frequent."""
    return functional.equalize(clip)


def invert(clip: Tensor, strength: float, sign: float, rng: np.random.Generator) -> Tensor:
    """Turn every level x into 255 - x."""
    return functional.invert(clip)


def rotate(clip: Tensor, strength: float, sign: float, rng: np.random.Generator) -> Tensor:
    """Rotate by up to 30 degrees, around the middle."""
    angle = math.radians(30 * sign * strength)
    cos, sin = math.cos(angle), math.sin(angle)
    y, x = clip.shape[-2] / 2, clip.shape[-1] / 2
    return _moved(clip, cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y)


def posterize(clip: Tensor, strength: float, sign: float, rng: np.random.Generator) -> Tensor:
    """Keep the upper bits of every level, of 8 at least 2."""
    return functional.posterize(clip, 8 - int(6 * strength))


def solarize(clip: Tensor, strength: float, sign: float, rng: np.random.Generator) -> Tensor:
    """Invert the levels from a threshold on, which falls from white to black."""
    threshold = 256 - int(256 * strength)
    return clip if threshold > 255 else functional.solarize(clip, threshold)


def saturation(clip: Tensor, strength: float, sign: float, rng: np.random.Generator) -> Tensor:
    """Mix with or away from its greys, by up to 0.9."""
    return functional.adjust_saturation(clip, 1 + 0.9 * sign * strength)


def contrast(clip: Tensor, strength: float, sign: float, rng: np.random.Generator) -> Tensor:
    """Mix with or away from every frame's mean grey, by up to 0.9."""
    return functional.adjust_contrast(clip, 1 + 0.9 * sign * strength)


def brightness(clip: Tensor, strength: float, sign: float, rng: np.random.Generator) -> Tensor:
    """Mix with or away from black, by up to 0.9."""
    return functional.adjust_brightness(clip, 1 + 0.9 * sign * strength)


def sharpness(clip: Tensor, strength: float, sign: float, rng: np.random.Generator) -> Tensor:
    """Mix with or away from a blurred picture, by up to 0.9."""
    return functional.adjust_sharpness(clip, 1 + 0.9 * sign * strength)


def shear_x(clip: Tensor, strength: float, sign: float, rng: np.random.Generator) -> Tensor:
    """Take row y from up to 0.29 y pixels further right: tanh of 0.3, where others have 0.3."""
    return _moved(clip, 1, -math.tanh(0.3 * sign * strength), 0, 0, 1, 0)


def shear_y(clip: Tensor, strength: float, sign: float, rng: np.random.Generator) -> Tensor:
    """Take column x from up to 0.29 x pixels further down."""
    return _moved(clip, 1, 0, 0, -math.tanh(0.3 * sign * strength), 1, 0)


def translate_x(clip: Tensor, strength: float, sign: float, rng: np.random.Generator) -> Tensor:
    """Take everything from up to 33 % of the width further right."""
    return _moved(clip, 1, 0, -round(0.33 * sign * strength * clip.shape[-1]), 0, 1, 0)


def translate_y(clip: Tensor, strength: float, sign: float, rng: np.random.Generator) -> Tensor:
    """Take everything from up to 33 % of the height further down."""
    return _moved(clip, 1, 0, 0, 0, 1, -round(0.33 * sign * strength * clip.shape[-2]))


def cutout(clip: Tensor, strength: float, sign: float, rng: np.random.Generator) -> Tensor:
    """Fill a square, its side up to 20 / 32 of the height, its centre anywhere."""
    height, width = clip.shape[-2:]
    x, y, half = rng.random() * width, rng.random() * height, 20 / 32 * strength * height / 2
    y1, y2, x1, x2 = (int(max(0, each)) for each in (y - half, y + half, x - half, x + half))
    filled = clip.clone()
    filled[..., y1:y2, x1:x2] = FILL
    return filled


def blur(clip: Tensor, strength: float, sign: float, rng: np.random.Generator) -> Tensor:
    """Take the mean of the 16 pixels around 5 x 5, where all are there."""
    kernel = torch.ones(5, 5)
    kernel[1:4, 1:4] = 0
    return _filtered(clip, kernel)


def smooth(clip: Tensor, strength: float, sign: float, rng: np.random.Generator) -> Tensor:
    """Take the mean of 3 x 3 pixels, the middle one five times, where all are there."""
    kernel = torch.ones(3, 3)
    kernel[1, 1] = 5
    return _filtered(clip, kernel)


def _filtered(clip: Tensor, kernel: Tensor) -> Tensor:
    edge = len(kernel) // 2
    frames = clip.to(torch.float32).reshape(-1, 1, *clip.shape[-2:])
    means = F.conv2d(frames, (kernel / kernel.sum())[None, None]).add_(0.5).clamp_(0, 255)
    filtered = clip.clone()
    inner = filtered[..., edge:-edge, edge:-edge]
    inner.copy_(means.to(torch.uint8).reshape(inner.shape))
    return filtered


def _moved(clip: Tensor, a: float, b: float, c: float, d: float, e: float, f: float) -> Tensor:
    """Take pixel (x, y) from (a x + b y + c, d x + e y + f), the nearest, as Pillow does."""
    height, width = clip.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float64) + 0.5,
        torch.arange(width, dtype=torch.float64) + 0.5,
        indexing="ij",
    )
    column = (a * x + b * y + c).floor().long()
    row = (d * x + e * y + f).floor().long()
    outside = (column < 0) | (column >= width) | (row < 0) | (row >= height)
    taken = clip[..., row.clamp(0, height - 1), column.clamp(0, width - 1)]
    return taken.masked_fill_(outside, FILL)


OPERATIONS: dict[str, Operation] = {
    each.__name__: each
    for each in (
        *(identity, autocontrast, equalize, invert, rotate, posterize, solarize),
        *(saturation, contrast, brightness, sharpness, shear_x, shear_y, translate_x, translate_y),
        *(cutout, blur, smooth),
    )
}

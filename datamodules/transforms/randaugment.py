"""RandAugment (Cubuk et al., 2020, https://arxiv.org/abs/1909.13719), as video papers use it.

A few operations are drawn from a list; each is carried out with some probability, the same on all
frames, at a magnitude drawn around the one given, from 0 to 10: the higher, the stronger. Three
implementations are in use, and they differ:

    "pytorchvideo" (ZeroI2V)    14 operations, each at most once; what comes in from outside the
                                frame is black (it fills with 0.5, made for pixels from 0 to 1)
    "timm" (ST-Adapter)         15 operations with `solarize_add`, any of them more than once; grey.
                                Its setting is called rand-m7-n4-mstd0.5-inc1
    "imgaug" (AIM)              weaker, and mirrors: `datamodules.transforms.imgaug_randaugment`
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional  # type: ignore[import-untyped]

from datamodules.errors import UserError, nearest
from datamodules.transforms.imgaug_randaugment import imgaug_rand_augment
from datamodules.transforms.settings import RandAugment

HIGHEST = 10.0  # magnitude
FILL = {"pytorchvideo": 0.0, "timm": 128.0}

BILINEAR = functional.InterpolationMode.BILINEAR  # timm's is drawn or set; tensors have no other


def rand_augment(clip: Tensor, rng: np.random.Generator, how: RandAugment) -> Tensor:
    """Return a clip, uint8 (T, 3, H, W), after some random operations.

    Raises:
        UserError: there is no such library, or it has fewer operations.
    """
    library, operations = how.library, how.operations
    if library == "imgaug":
        return imgaug_rand_augment(clip, rng, how)
    if library not in FILL:
        raise UserError(f"no RandAugment of {library!r}{nearest(library, [*FILL, 'imgaug'])}")
    known = [name for name in OPERATIONS if library == "timm" or name != "solarize_add"]
    if library == "pytorchvideo" and operations > len(known):
        raise UserError(f"randaugment.operations is {operations}, pytorchvideo has {len(known)}")
    for choice in rng.choice(len(known), operations, replace=library == "timm").tolist():
        if rng.random() < how.probability:
            strength = float(np.clip(rng.normal(how.magnitude, how.std), 0, HIGHEST)) / HIGHEST
            sign = 1 if rng.random() < 0.5 else -1
            clip = OPERATIONS[known[choice]](clip, sign * strength, FILL[library])
    return clip


def autocontrast(clip: Tensor, strength: float, fill: float) -> Tensor:
    """Stretch every channel of every frame to 0..255."""
    return functional.autocontrast(clip)


def equalize(clip: Tensor, strength: float, fill: float) -> Tensor:
    """Make the levels of every channel of every frame equally frequent."""
    return functional.equalize(clip)


def invert(clip: Tensor, strength: float, fill: float) -> Tensor:
    """Turn every level x into 255 - x."""
    return functional.invert(clip)


def rotate(clip: Tensor, strength: float, fill: float) -> Tensor:
    """Rotate by up to 30 degrees, counter-clockwise above 0."""
    return functional.rotate(clip, 30 * strength, BILINEAR, fill=fill)


def posterize(clip: Tensor, strength: float, fill: float) -> Tensor:
    """Keep the upper 4 bits of every level, of a strong one none."""
    return functional.posterize(clip, 4 - int(4 * abs(strength)))


def solarize(clip: Tensor, strength: float, fill: float) -> Tensor:
    """Invert the levels from a threshold on, which falls from white to black."""
    # pytorchvideo's threshold starts at 255, so that even at magnitude 0 white becomes black
    threshold = 256 - int(256 * abs(strength)) if fill else int(255 * (1 - abs(strength)))
    return clip if threshold > 255 else functional.solarize(clip, threshold)


def solarize_add(clip: Tensor, strength: float, fill: float) -> Tensor:
    """Raise the levels below 128 by up to 110."""
    raised = (clip.to(torch.int16) + int(110 * abs(strength))).clamp(max=255).to(torch.uint8)
    return torch.where(clip < 128, raised, clip)


def saturation(clip: Tensor, strength: float, fill: float) -> Tensor:
    """Mix with (below 0) or away from its greys, by up to 0.9."""
    return functional.adjust_saturation(clip, 1 + 0.9 * strength)


def contrast(clip: Tensor, strength: float, fill: float) -> Tensor:
    """Mix with or away from every frame's mean grey, by up to 0.9."""
    return functional.adjust_contrast(clip, 1 + 0.9 * strength)


def brightness(clip: Tensor, strength: float, fill: float) -> Tensor:
    """Mix with or away from black, by up to 0.9."""
    return functional.adjust_brightness(clip, 1 + 0.9 * strength)


def sharpness(clip: Tensor, strength: float, fill: float) -> Tensor:
    """Mix with or away from a blurred picture, by up to 0.9."""
    return functional.adjust_sharpness(clip, 1 + 0.9 * strength)


def shear_x(clip: Tensor, strength: float, fill: float) -> Tensor:
    """Take row y from 0.3 y pixels further right, at most; the top row stays."""
    return _affine(clip, fill, shear=[math.degrees(math.atan(0.3 * strength)), 0.0])


def shear_y(clip: Tensor, strength: float, fill: float) -> Tensor:
    """Take column x from 0.3 x pixels further down, at most; the left column stays."""
    return _affine(clip, fill, shear=[0.0, math.degrees(math.atan(0.3 * strength))])


def translate_x(clip: Tensor, strength: float, fill: float) -> Tensor:
    """Take everything from 45 % of the width further right, at most."""
    return _affine(clip, fill, translate=[-0.45 * strength * clip.shape[-1], 0.0])


def translate_y(clip: Tensor, strength: float, fill: float) -> Tensor:
    """Take everything from 45 % of the height further down, at most."""
    return _affine(clip, fill, translate=[0.0, -0.45 * strength * clip.shape[-2]])


def _affine(
    clip: Tensor,
    fill: float,
    *,
    translate: list[float] | None = None,
    shear: list[float] | None = None,
) -> Tensor:
    return functional.affine(
        clip,
        angle=0.0,
        translate=translate or [0.0, 0.0],
        scale=1.0,
        shear=shear or [0.0, 0.0],
        interpolation=BILINEAR,
        fill=fill,
        center=[0.0, 0.0],
    )


OPERATIONS: dict[str, Callable[[Tensor, float, float], Tensor]] = {
    each.__name__: each
    for each in (
        *(autocontrast, equalize, invert, rotate, posterize, solarize, solarize_add),
        *(saturation, contrast, brightness, sharpness),
        *(shear_x, shear_y, translate_x, translate_y),
    )
}

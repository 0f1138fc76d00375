"""Corruptions of ImageNet-C on clips (Hendrycks and Dietterich 2019, arXiv:1903.12261).

They are done to what the model sees, after resize and crop, and alike to all frames of a clip: what
flickers would be another test. Strengths are those of severity 3 and 5 in the authors' code
(github.com/hendrycks/robustness at e0377d4, `ImageNet-C/create_c/make_imagenet_c.py`). Their blur
is in pixels of 224, here of as many parts of the picture, and reflects at the edge, where theirs
repeats it; pixels are rounded, where theirs are cut off and stored as JPEG of quality 85.
"""

import io
import math
from collections.abc import Callable

import numpy as np
import torch
from einops import rearrange
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional  # type: ignore[import-untyped]

from datamodules.randomness import Stream, generator

SEVERITIES = (3, 5)


def corrupt(views: Tensor, index: int, *, name: str, severity: int, seed: int) -> Tensor:
    """Return the views of a video, corrupted, a function of the arguments alone.

    Args:
        views: uint8 (V, C, T, H, W).
        index: Of the video.
        name: Of the corruption, in CORRUPTIONS.
        severity: 3 or 5.
        seed: Of the noise.
    """
    act, strengths = CORRUPTIONS[name]
    frames = rearrange(views, "v c t h w -> v t c h w")
    rng = generator(Stream.EXAMINATION, seed, index)
    corrupted = act(frames, strengths[SEVERITIES.index(severity)], rng)
    return rearrange(corrupted, "v t c h w -> v c t h w")


def gaussian_noise(frames: Tensor, deviation: float, rng: Generator) -> Tensor:
    """Add noise, the same to all frames of the video."""
    noise = rng.standard_normal(tuple(frames.shape[2:])) * deviation
    return _pixels(_unit(frames) + torch.from_numpy(noise).float())


def gaussian_blur(frames: Tensor, deviation: float, rng: Generator) -> Tensor:
    """Blur with a standard deviation in pixels of a picture of 224."""
    height, width = frames.shape[-2:]
    sigma = deviation * min(height, width) / 224
    reach = min(math.ceil(4 * sigma), min(height, width) - 1)  # there is no more to reflect
    return _pixels(functional.gaussian_blur(_unit(frames), [2 * reach + 1] * 2, [sigma] * 2))


def brightness(frames: Tensor, more: float, rng: Generator) -> Tensor:
    """Raise the value of HSV, keeping hue and saturation."""
    x = _unit(frames)
    value = x.amax(dim=2, keepdim=True)
    raised = (value + more).clamp(max=1)
    return _pixels(torch.where(value > 0, x * (raised / value.clamp(min=1e-6)), raised))


def contrast(frames: Tensor, kept: float, rng: Generator) -> Tensor:
    """Draw every frame towards its mean colour."""
    x = _unit(frames)
    mean = x.mean(dim=(-2, -1), keepdim=True)
    return _pixels((x - mean) * kept + mean)


def jpeg(frames: Tensor, quality: float, rng: Generator) -> Tensor:
    """Store every frame as a JPEG of a low quality."""
    flat = rearrange(frames, "v t c h w -> (v t) h w c").contiguous().numpy()
    stored = np.stack([_jpeg(picture, int(quality)) for picture in flat])
    return rearrange(torch.from_numpy(stored), "(v t) h w c -> v t c h w", v=len(frames))


Corruption = Callable[[Tensor, float, Generator], Tensor]  # of uint8 (V, T, C, H, W)
CORRUPTIONS: dict[str, tuple[Corruption, tuple[float, float]]] = {  # with SEVERITIES' strengths
    "gaussian_noise": (gaussian_noise, (0.18, 0.38)),
    "gaussian_blur": (gaussian_blur, (3, 6)),
    "brightness": (brightness, (0.3, 0.5)),
    "contrast": (contrast, (0.2, 0.05)),
    "jpeg": (jpeg, (15, 7)),
}


def _jpeg(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return a picture (H, W, C) as it is read back; torchvision is giving up its own JPEG."""
    stored = io.BytesIO()
    Image.fromarray(picture).save(stored, "JPEG", quality=quality)
    return np.asarray(Image.open(stored))


def _unit(frames: Tensor) -> Tensor:
    return frames.float() / 255


def _pixels(x: Tensor) -> Tensor:
    return (x.clamp(0, 1) * 255).round().to(torch.uint8)

"""What happens to training clips after normalisation, where the model is: erasing and mixing.

B clips (B, C, T, H, W), a float tensor of which nobody else holds a part: it is changed in place.
What is random was drawn with the sample, or comes from seeds that were: it is the same at any
number of ranks and in any batch.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

AREA = 0.02, 1 / 3  # of a frame, least and most of it that is erased (timm's defaults)
ASPECT = 0.3, 1 / 0.3  # height / width of what is erased
GREY = 128 / 255


def box(rng: np.random.Generator, size: int, probability: float) -> NDArray[np.int64]:
    """Draw the rectangle of a frame to erase (Zhong et al., 2020, arXiv:1708.04896).

    Args:
        rng: Random numbers; none are drawn at probability 0.
        size: Height and width of the frame.
        probability: Of there being one.

    Returns:
        Top, left, height and width in pixels; zeros: there is nothing to erase.
    """
    if probability and rng.random() < probability:
        for _ in range(10):
            area = size * size * rng.uniform(*AREA)
            aspect = math.exp(rng.uniform(math.log(ASPECT[0]), math.log(ASPECT[1])))
            height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if height < size and width < size:
                top, left = rng.integers(size - height + 1), rng.integers(size - width + 1)
                return np.array([top, left, height, width], np.int64)
    return np.zeros(4, np.int64)


def erase(
    video: Tensor, boxes: Tensor, seeds: Tensor, *, fill: str, mean: Tensor, std: Tensor
) -> Tensor:
    """Erase a rectangle of every clip, the same in all its frames.

    Args:
        video: Normalised clips (B, C, T, H, W); changed.
        boxes: What `box` drew for each (B, 4).
        seeds: Of the noise of each (B,).
        fill: "zero": 0 after normalisation, the mean colour (AIM). "grey": pixels of 128
            (ZeroI2V). "noise": pixels drawn from 0 to 255, anew for every frame (ZeroI2V).
        mean: Of the normalisation, of pixels from 0 to 1 (C, 1, 1, 1).
        std: Likewise.
    """
    if fill == "noise":
        for clip, place, seed in zip(video, boxes.tolist(), seeds.tolist(), strict=True):
            part = _part(clip, place)
            noise = torch.randint(
                256, part.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
            )
            part.copy_(noise.to(part).div_(255).sub_(mean).div_(std))
        return video
    top, left, height, width = boxes[:, :, None, None].unbind(1)  # each (B, 1, 1)
    rows = torch.arange(video.shape[-2], device=video.device)[:, None]
    columns = torch.arange(video.shape[-1], device=video.device)
    inside = (rows >= top) & (rows < top + height) & (columns >= left) & (columns < left + width)
    colour = (GREY - mean) / std if fill == "grey" else torch.zeros_like(mean)  # (C, 1, 1, 1)
    return torch.where(inside[:, None, None], colour.to(video), video)


def mix(
    video: Tensor,
    label: Tensor,
    *,
    num_classes: int,
    rngs: Sequence[np.random.Generator],
    mixup: float,
    cutmix: float,
) -> tuple[Tensor, Tensor]:
    """Mix every clip with its neighbour: 0 with 1, 2 with 3. Each gets a share of the other.

    The share comes from Beta(alpha, alpha), one per pair. Mixup (Zhang et al., 2018,
    arXiv:1710.09412) adds the clips; cutmix (Yun et al., 2019, arXiv:1905.04899) pastes a
    rectangle, in all frames, whose true area is the share.

    Args:
        video: Clips (B, C, T, H, W), B even; changed.
        label: Their classes (B,).
        num_classes: K.
        rngs: Random numbers of each pair, B / 2.
        mixup: Alpha; 0: no mixup.
        cutmix: Alpha; 0: no cutmix. Where both are above 0, each pair draws which, half and half.

    Returns:
        The clips, and the shares of the classes in each, float32 (B, K).

    Raises:
        ValueError: a clip has no neighbour, or a pair no random numbers.
    """
    if len(video) != 2 * len(rngs):
        raise ValueError(f"{len(video)} clips are not {len(rngs)} pairs")
    target = F.one_hot(label, num_classes).to(torch.float32)
    for k, rng in enumerate(rngs):
        pair = video[2 * k : 2 * k + 2]
        if cutmix and (not mixup or rng.random() < 0.5):
            part = _part(pair, _pasted(rng, video.shape[-2:], cutmix))
            part.copy_(part.flip(0))
            share = part.numel() / pair.numel()
        elif mixup:
            share = float(rng.beta(mixup, mixup))
            pair.copy_(pair * (1 - share) + pair.flip(0) * share)
        else:
            continue
        both = target[2 * k : 2 * k + 2]
        both.copy_(both * (1 - share) + both.flip(0) * share)
    return video, target


def _part(video: Tensor, place: Sequence[int]) -> Tensor:
    """Return the rectangle (top, left, height, width) of all frames (..., H, W), as a view."""
    top, left, height, width = place
    return video[..., top : top + height, left : left + width]


def _pasted(rng: np.random.Generator, shape: Sequence[int], alpha: float) -> list[int]:
    """Draw a rectangle of the shape of a frame around a random point, cut off at its borders."""
    side = math.sqrt(float(rng.beta(alpha, alpha)))
    bounds = []
    for length in shape:
        half, centre = int(length * side) // 2, int(rng.integers(length))
        low, high = max(0, centre - half), min(length, centre + half)
        bounds.append((low, high - low))
    (top, height), (left, width) = bounds
    return [top, left, height, width]

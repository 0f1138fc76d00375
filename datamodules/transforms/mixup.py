"""Mixup and cutmix of training clips, after normalisation and where the model is.

B clips (B, C, T, H, W), a float tensor of which nobody else holds a part: it is changed in place.
What is random was drawn with the sample, or comes from seeds that were: it is the same at any
number of ranks and in any batch.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


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
            part = rectangle(pair, _pasted(rng, video.shape[-2:], cutmix))
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


def rectangle(video: Tensor, place: Sequence[int]) -> Tensor:
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

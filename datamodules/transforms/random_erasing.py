"""Random erasing: the rectangle is drawn with the sample, and erased where the model is."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.transforms.mixup import rectangle

AREA = 0.02, 1 / 3  # of a frame, least and most of it that is erased (timm's defaults)
ASPECT = 0.3, 1 / 0.3  # height / width of what is erased
GREY = 128 / 255


def draw_box(rng: np.random.Generator, size: int, probability: float) -> NDArray[np.int64]:
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
        boxes: What `draw_box` drew for each (B, 4), on the host.
        seeds: Of the noise of each (B,), on the host.
        fill: "zero": 0 after normalisation, the mean colour (AIM). "grey": pixels of 128
            (ZeroI2V). "noise": pixels drawn from 0 to 255, anew for every frame (ZeroI2V).
        mean: Of the normalisation, of pixels from 0 to 1 (C, 1, 1, 1).
        std: Likewise.
    """
    if fill == "noise":
        for clip, place, seed in zip(video, boxes.tolist(), seeds.tolist(), strict=True):
            part = rectangle(clip, place)
            noise = torch.randint(
                256, part.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
            )
            part.copy_(noise.to(part, non_blocking=True).div_(255).sub_(mean).div_(std))
        return video
    boxes = boxes.to(video.device, non_blocking=True)
    top, left, height, width = boxes[:, :, None, None].unbind(1)  # each (B, 1, 1)
    rows = torch.arange(video.shape[-2], device=video.device)[:, None]
    columns = torch.arange(video.shape[-1], device=video.device)
    inside = (rows >= top) & (rows < top + height) & (columns >= left) & (columns < left + width)
    colour = (GREY - mean) / std if fill == "grey" else torch.zeros_like(mean)  # (C, 1, 1, 1)
    return torch.where(inside[:, None, None], colour.to(video), video)

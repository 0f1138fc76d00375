"""Sizes and crops of whole clips, nothing random: uint8 (..., C, H, W) in and out."""

from torch import Tensor
from torchvision.transforms.v2 import functional  # type: ignore[import-untyped]


def resize(clip: Tensor, height: int, width: int, interpolation: str = "bilinear") -> Tensor:
    """Resize with antialiasing; a clip that has the size comes back as it is."""
    if clip.shape[-2:] == (height, width):
        return clip
    how = functional.InterpolationMode(interpolation)
    resized: Tensor = functional.resize(clip, [height, width], how, antialias=True)
    return resized


def short_side(clip: Tensor, size: int, interpolation: str = "bilinear") -> Tensor:
    """Resize so that the shorter side has `size` pixels and the shape stays."""
    height, width = clip.shape[-2:]
    short = min(height, width)
    return resize(clip, height * size // short, width * size // short, interpolation)


def square_crops(clip: Tensor, size: int, count: int) -> list[Tensor]:
    """Cut squares out of a clip: the middle, or three along its longer side, from end to end.

    Args:
        clip: Frames (..., C, H, W), both sides at least `size`.
        size: Height and width of a square.
        count: 1 or 3.
    """
    height, width = clip.shape[-2:]
    down, right = height - size, width - size
    places = [(down // 2, right // 2)]
    if count == 3 and down > right:
        places = [(0, right // 2), *places, (down, right // 2)]
    elif count == 3:
        places = [(down // 2, 0), *places, (down // 2, right)]
    return [clip[..., top : top + size, left : left + size] for top, left in places]

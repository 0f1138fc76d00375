"""Clips whose order of frames is destroyed: what a model loses by that, it had from time.

Every function takes all views of a video, uint8 (V, C, T, H, W), and the video's index.
"""

import torch
from torch import Tensor

from datamodules.randomness import Stream, generator


def shuffled(views: Tensor, index: int, *, seed: int) -> Tensor:
    """Put the frames of every view in a random order, a function of seed and index."""
    rng = generator(Stream.EXAMINATION, seed, index)
    orders = (rng.permutation(views.shape[2]) for _ in range(len(views)))
    return torch.stack(
        [view[:, torch.from_numpy(order)] for view, order in zip(views, orders, strict=True)]
    )


def reversed_frames(views: Tensor, index: int) -> Tensor:
    """Play every view backwards."""
    return views.flip(2)


def one_repeated(views: Tensor, index: int) -> Tensor:
    """Show the middle frame of every view all the time; of two, the later one."""
    middle = views.shape[2] // 2
    return views[:, :, middle : middle + 1].repeat_interleave(views.shape[2], dim=2)

"""The order of training clips: a permutation of seed and epoch, which needs no torch."""

import numpy as np
from numpy.typing import NDArray

from datamodules.randomness import Stream, generator


def training_order(seed: int, epoch: int, videos: int) -> NDArray[np.int64]:
    """Return the indices of a split's videos (N,) in the order an epoch trains on them."""
    return generator(Stream.ORDER, seed, epoch).permutation(videos)

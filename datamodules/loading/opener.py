"""How the video at an index of a split is opened: decoded or from a cache, all of it or a part."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from datamodules.dataset_info import Split
from datamodules.decoding.open import open_video
from datamodules.decoding.segment import Segment
from datamodules.decoding.video import KnownBroken, Open, RandomAccessVideo
from datamodules.loading.cache import cached


def opener(
    split: Split, name: str, broken: NDArray[np.bool_] | None, *, decoder: str, cache: bool
) -> Open:
    """Return what opens the videos of a split.

    Args:
        split: The videos.
        name: Of the dataset.
        broken: (N,) which of them are known to be broken, and not tried; None: nothing is known.
        decoder: "pyav" or "torchcodec".
        cache: Decode all of them first, unless another run has.
    """
    from_file = partial(_open, split, decoder, broken)
    return cached(split, name, from_file, decoder) if cache else from_file


def _open(
    split: Split, decoder: str, broken: NDArray[np.bool_] | None, index: int
) -> RandomAccessVideo:
    path = split.path(index)
    if broken is not None and broken[index]:
        raise KnownBroken(f"{path}: broken, as its audit found")
    video = open_video(path, decoder)
    segment = split.segment(index)
    return video if segment is None else Segment(video, *segment)

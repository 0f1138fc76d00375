"""Which frames of a video make a clip: pure functions, numbers in, numbers out.

A sampling takes the video's length and answers with frame numbers (V, T): T frames of each of V
clips. With random numbers it is the training variant, without the test variant, whose clips are
spread evenly over the video. The result is always in range, however short the video is.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.int64]  # (V, T)


def uniform(
    length: int, frames: int, interval: int, clips: int, rng: np.random.Generator | None
) -> Frames:
    """Cut the video into T equal segments and take a frame of each (TSN, arXiv:1608.00859).

    In training a random frame. In testing the one at (v + 1) / (V + 1) of the segment: with a
    single clip the middle. Halfway between two frames it is the one nearer to the middle of the
    video, so that a video played backwards gives the same frames. Segments shorter than a frame
    repeat frames; `interval` has no meaning here.
    """
    if rng is not None:
        within = rng.random((clips, frames))
        return np.minimum((np.arange(frames) + within) * length / frames, length - 1).astype(int)
    part = np.arange(1, clips + 1)[:, None] + np.arange(frames) * (clips + 1)
    place = part * length / (frames * (clips + 1)) - 0.5  # exact where it is halfway
    early = place <= (length - 1) / 2
    numbers = np.where(early, np.floor(place + 0.5), np.ceil(place - 0.5))
    return np.clip(numbers, 0, length - 1).astype(np.int64)


def dense(
    length: int, frames: int, interval: int, clips: int, rng: np.random.Generator | None
) -> Frames:
    """Take every `interval`-th frame from some start on (SlowFast, arXiv:1812.03982).

    In training the start is random. In testing clips start evenly from the first possible start to
    the last; a single clip lies in the middle. Past the end the last frame is repeated.
    """
    room = max(0, length - 1 - (frames - 1) * interval)  # the last start without repetition
    if rng is not None:
        starts = rng.integers(room + 1, size=clips)
    elif clips == 1:
        starts = np.array([room // 2])
    else:
        starts = np.floor(np.arange(clips) * room / (clips - 1) + 0.5).astype(np.int64)
    numbers: Frames = np.minimum(starts[:, None] + np.arange(frames) * interval, length - 1)
    return numbers


SAMPLINGS: dict[str, Callable[..., Frames]] = {"uniform": uniform, "dense": dense}

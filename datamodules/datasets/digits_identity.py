"""Digits in motion, labelled by the digit, as Kinetics is by what is seen. Ships its own source."""

from pathlib import Path

from datamodules.dataset_info import DatasetInfo
from datamodules.datasets._digits import IMAGES, MOTIONS, Scene, build, digits, randomness

SECONDS_PER_PIXEL = 6e-7  # that writing a video takes, about, on one core
DRAWN = True  # by this code: no copy of it can be another one


def digits_identity(
    *,
    root: str | Path | None = None,
    frames: int = 8,
    size: int = 32,
    train: int = 800,
    holdout: int = 200,
    test: int = 800,
) -> DatasetInfo:
    """Return digits that move at random, one class per digit: one frame is enough to tell.

    The videos of one image are a cluster.

    Args:
        root: Where the videos are written; None is `data` in the folder that runs work in.
        frames: Frames per video.
        size: Height and width in pixels.
        train: Number of training videos, of images 0 to 1199; a multiple of 10 is balanced.
        holdout: Number of videos for tuning, of images 1200 to 1399; a multiple of 10 is balanced.
        test: Number of test videos, of images 1400 to 1796; a multiple of 10 is balanced.

    Raises:
        UserError: If a number is impossible.
    """

    def choose(split: str, number: int) -> Scene:
        _, labels = digits()
        label, rng = number % 10, randomness(split, number)
        image = rng.choice([i for i in IMAGES[split] if labels[i] == label])
        return Scene(int(image), int(rng.integers(len(MOTIONS))), label, rng)

    videos = {"train": train, "holdout": holdout, "test": test}
    splits = build("digits_identity", choose, videos, root=root, frames=frames, size=size)
    return DatasetInfo("digits_identity", tuple("0123456789"), splits, flip="never")

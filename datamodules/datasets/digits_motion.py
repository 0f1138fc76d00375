"""Digits in motion, labelled by the motion, as Something-Something is. Ships its own source."""

from pathlib import Path

from datamodules.dataset_info import DatasetInfo
from datamodules.datasets._digits import IMAGES, MOTIONS, Scene, build, randomness
from datamodules.errors import UserError

SECONDS_PER_PIXEL = 6e-7  # that writing a video takes, about, on one core
DRAWN = True  # by this code: no copy of it can be another one


def digits_motion(
    *,
    root: str | Path | None = None,
    frames: int = 8,
    size: int = 32,
    train: int = 800,
    holdout: int = 208,
    test: int = 800,
) -> DatasetInfo:
    """Return digits that move in one of eight ways, four pairs of each other's time reversal.

    "test" and "holdout" hold every clip (even numbers) and, next to it, the same clip backwards
    with the other label of its pair: whoever cannot see the order of frames gets at most half of
    them right. The videos of one image are a cluster, twins among them.

    Args:
        root: Where the videos are written; None is `data` in the folder that runs work in.
        frames: Frames per video.
        size: Height and width in pixels.
        train: Number of training videos, of images 0 to 1199; a multiple of 8 is balanced.
        holdout: Number of videos for tuning, of images 1200 to 1399; a multiple of 8 is balanced.
        test: Number of test videos, of images 1400 to 1796; a multiple of 8 is balanced.

    Raises:
        UserError: If a number is impossible.
    """
    if holdout % 2 or test % 2:
        raise UserError(
            "digits_motion holds every clip of holdout and test with its twin: both numbers must "
            f"be even, not holdout={holdout}, test={test}"
        )

    def choose(split: str, number: int) -> Scene:
        twins = split != "train"
        rng = randomness(split, number // 2 if twins else number)
        way = (number // 2 * 2 if twins else number) % len(MOTIONS)
        backwards = twins and number % 2 == 1
        image = int(rng.choice(IMAGES[split]))
        return Scene(image, way, way + backwards, rng, backwards)

    videos = {"train": train, "holdout": holdout, "test": test}
    splits = build("digits_motion", choose, videos, root=root, frames=frames, size=size)
    return DatasetInfo("digits_motion", MOTIONS, splits, flip="never", order_blind_ceiling=0.5)

"""Kinetics-600 (Carreira et al., 2018), https://arxiv.org/abs/1808.01340."""

from pathlib import Path
from typing import Literal

from datamodules._data import Data
from datamodules._kinetics import kinetics

CLASSES = 600
SIZES = (  # of train and validation: copies differ, and so do the accuracies on them
    (427_549, 29_793),  # what CVDF hosts
    (383_393, 27_910),  # OpenMMLab's copy
    (366_006, 27_935),  # the list of VideoMAE V2
)


def kinetics600(
    *,
    root: str | Path | None = None,
    train: str | None = None,
    test: str | None = None,
    videos: str | None = None,
    sizes: Literal["known", "any"] = "known",
    shots: int | None = None,
    shots_seed: int = 0,
) -> Data:
    """Return Kinetics-600: ten seconds of YouTube, one of 600 actions; often one frame is enough.

    Args:
        root: Folder of lists and videos; None is `data/kinetics600` in the folder that runs work
            in.
        train: List of the training videos; None is the first that is there, such as train.csv.
        test: Likewise of the validation videos, such as val.csv.
        videos: Where a video lies in the root. Of official files any of {split} (train or val),
            {label}, {youtube_id}, {time_start} and {time_end}, and None is
            {split}/{youtube_id}_{time_start:06d}_{time_end:06d}.mp4; of lists {path} and {label},
            and None is {path}.
        sizes: "any" takes a copy of any size: many videos are no longer to be had.
        shots: Training videos per class; None is all.
        shots_seed: Chooses them.

    Raises:
        UserError: Something is missing, or not what it should be.
    """
    return kinetics(
        "kinetics600",
        CLASSES,
        SIZES,
        root=root,
        train=train,
        test=test,
        videos=videos,
        sizes=sizes,
        shots=shots,
        shots_seed=shots_seed,
    )

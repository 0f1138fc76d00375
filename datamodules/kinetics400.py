"""Kinetics-400 (Kay et al., 2017), https://arxiv.org/abs/1705.06950."""

from pathlib import Path
from typing import Literal

from datamodules._data import Data
from datamodules._kinetics import kinetics

CLASSES = 400
SIZES = (  # of train and validation: copies differ, and so do the accuracies on them
    (246_534, 19_906),  # the official list, which CVDF hosts
    (240_436, 19_796),  # OpenMMLab's copy
)


def kinetics400(
    *,
    root: str | Path | None = None,
    train: str | None = None,
    test: str | None = None,
    videos: str | None = None,
    sizes: Literal["known", "any"] = "known",
    shots: int | None = None,
    shots_seed: int = 0,
) -> Data:
    """Return Kinetics-400: ten seconds of YouTube, one of 400 actions; often one frame is enough.

    Args:
        root: Folder of lists and videos; None is `data/kinetics400` in the folder that runs work
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
        "kinetics400",
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

"""Whether it makes sense to train and to test on a dataset, told before anybody does."""

import os
from collections.abc import Iterator

import numpy as np

from datamodules.dataset_info import DatasetInfo, Split
from datamodules.errors import UserError


def demand_trainable(data: DatasetInfo, batch: int) -> None:
    """Raise a UserError if training on `data` cannot make sense.

    Args:
        data: The dataset, the holdout being held out.
        batch: Clips per step, over all ranks.
    """
    train = data.splits["train"]
    if len(there := np.unique(train.labels)) < 2:
        raise UserError(
            f"{data.name}: all training videos are of one class, {data.classes[int(there[0])]!r}: "
            "there is nothing to tell apart"
        )
    if batch > len(train):
        raise UserError(
            f"train.batch={batch} is more than the {len(train)} training videos of {data.name}: "
            f"no step could be made; train.batch={len(train)} or less"
        )


def doubts(data: DatasetInfo) -> list[str]:
    """Return what to know of `data` before its accuracy is believed, a line each."""
    said = list(data.warnings)
    counts = np.bincount(data.splits["train"].labels, minlength=len(data.classes))
    if len(absent := np.flatnonzero(counts == 0)):
        name = data.classes[int(absent[0])]
        said.append(
            f"{len(absent)} of {len(counts)} classes have no training video, such as {name!r}"
        )
    if counts.max() == 1 and data.chosen is None:  # few shots were asked for
        said.append("there is one training video per class")
    if number := len(shared := shared_files(data)):
        split = data.splits[data.evaluation_split]
        said.append(
            f"{number} of {len(split)} {data.evaluation_split} videos are training videos, too, "
            f"such as {split.name(shared[0])}"
        )
    return [f"{data.name}: {each}" for each in said]


def shared_files(data: DatasetInfo) -> list[int]:
    """Return which videos of the evaluation split stand in train, too: the same file and part.

    Links between folders are followed, those between files are not: no video is looked at.
    """
    tested = list(_places(data.splits[data.evaluation_split]))
    asked = set(tested)
    both = {place for place in _places(data.splits["train"]) if place in asked}
    return [index for index, place in enumerate(tested) if place in both]


def _places(split: Split) -> Iterator[tuple[str, tuple[float, float] | None]]:
    """Yield where each video lies, whatever its path says, and which part of it is meant."""
    folders: dict[str, str] = {}
    for index in range(len(split)):
        folder, name = os.path.split(split.path(index))
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        yield os.path.join(folders[folder], name), split.segment(index)

"""Kinetics of any size: the official CSV files, or the lists of paths that papers publish."""

import sys
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Unpack

from datamodules.dataset_info import DatasetInfo
from datamodules.datasets import _annotations as annotations
from datamodules.datasets import _tables as tables
from datamodules.datasets._annotations import Listing, Options
from datamodules.datasets._tables import Kinds, Listed
from datamodules.errors import UserError

OFFICIAL = "{split}/{youtube_id}_{time_start:06d}_{time_end:06d}.mp4"  # as its downloads name them
LISTED = "{path}"
CLASSES = ("classes.txt", "label_map.txt", "classes.json")  # names for lists that have numbers
HOLDS = "train.csv, val.csv (youtube_id and times, or path and label) and the videos"


class KineticsOptions(Options, total=False):
    """What any Kinetics may be told.

    Attributes:
        root: Folder of lists and videos; None, `data/<name>` in the folder that runs work in.
        train: List of the training videos; None is the first that is there, such as train.csv.
        test: Likewise of the validation videos, such as val.csv.
        videos: Where a video lies in the root. Of official files any of {split} (train or val),
            {label}, {youtube_id}, {time_start} and {time_end}, and None is
            {split}/{youtube_id}_{time_start:06d}_{time_end:06d}.mp4; of lists {path} and {label},
            and None is {path}.
    """

    root: str | Path | None
    train: str | None
    test: str | None
    videos: str | None


def kinetics(
    name: str,
    count: int,
    known: Sequence[tuple[int, int]],
    *,
    root: str | Path | None = None,
    train: str | None = None,
    test: str | None = None,
    videos: str | None = None,
    **options: Unpack[Options],
) -> DatasetInfo:
    """Return Kinetics with `count` classes, whose validation split is what everybody tests on.

    Classes are numbered in the order of the alphabet, as everybody does.

    Args:
        name: Of the dataset.
        count: How many classes it has.
        known: The sizes of train and validation of each copy that is known: they differ, because
            many videos are no longer to be had, and so do the accuracies on them.
        root: As in `KineticsOptions`, like what follows.
        train: List of the training videos.
        test: List of the validation videos.
        videos: Where a video lies.
        **options: As in `Options`.

    Raises:
        UserError: A file is missing or wrong, or the sizes are unknown.
    """
    place = annotations.folder(name, root, HOLDS)
    files = {
        "train": annotations.find(place, *([train] if train else _names(name, "train"))),
        "test": annotations.find(place, *([test] if test else _names(name, "val", "validate"))),
    }
    found = {split: _labels_and_paths(files[split], split, videos) for split in files}
    try:
        file = annotations.find(place, *CLASSES)
    except UserError:
        classes = annotations.named(found["train"][1])
    else:
        classes = annotations.classes(file)
    listings: dict[str, Listing] = {
        split: annotations.listing(listed, paths, labels, classes, _ids(listed))
        for split, (listed, labels, paths) in found.items()
    }
    return annotations.assemble(
        name, classes, listings, root=place, flip="ok", known=known, count=count, **options
    )


def _ids(listed: Listed) -> Sequence[Hashable]:
    """Return what tells videos apart: a path, or a video of YouTube's and its times."""
    if len(listed.columns) == 2:
        return listed.columns[0]
    return [*zip(*listed.columns[1:], strict=True)]


def _names(name: str, *splits: str) -> list[str]:
    """Return what the list of a split may be called."""
    forms = ("{}.csv", "{}.txt", "kinetics_{}.csv", f"{name}_{{}}.csv")
    return [
        form.format(split)
        for split in splits
        for form in (*forms, f"{name}_{{}}_list_videos.txt")  # the last: OpenMMLab's
    ]


def _seconds(text: str) -> int:
    return int(float(text))


KINDS: Kinds = {
    "label": sys.intern,
    "youtube_id": str,
    "time_start": _seconds,
    "time_end": _seconds,
}


def _labels_and_paths(
    file: Path, split: str, videos: str | None
) -> tuple[Listed, list[str], Sequence[str]]:
    """Return a list, its labels and its paths, whichever of the two formats it has."""
    if "youtube_id" not in tables.first(file):
        listed = tables.pairs(file)
        paths, labels = listed.columns
        pattern = LISTED if videos is None else videos
        return listed, labels, annotations.located(pattern, path=paths, label=labels)
    listed = tables.columns(file, KINDS)
    labels = listed.columns[0]
    located = annotations.located(
        OFFICIAL if videos is None else videos,
        split=["train" if split == "train" else "val"] * len(listed),
        **dict(zip(KINDS, listed.columns, strict=True)),
    )
    return listed, labels, located

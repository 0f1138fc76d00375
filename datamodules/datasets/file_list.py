"""Anyone's videos, as two lists of paths and labels say."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from datamodules.dataset_info import DatasetInfo
from datamodules.datasets import _annotations as annotations
from datamodules.datasets import _tables as tables
from datamodules.datasets._tables import Listed
from datamodules.shards.paths import exists


def file_list(  # the builtin of this name is not used in this file
    *,
    root: str | Path | None = None,
    train: str = "train.csv",
    test: str = "test.csv",
    classes: str | None = None,
    videos: str = "{path}",
    flip: Literal["ok", "never"] = "ok",
    shots: int | None = None,
    shots_seed: int = 0,
) -> DatasetInfo:
    """Return the videos in two lists: CSV with columns path and label, or lines "path label".

    A label is the name of a class or its number, from 0. Labels with spaces need CSV or tabs.

    Args:
        root: What paths are relative to; None is `data/list` in the folder that runs work in.
        train: List of the training videos, in the root, or anywhere if it starts with a slash.
        test: List of the test videos, likewise.
        classes: File of class names in their order: one per line, or JSON, a list or name: number.
            Without one, classes are what the training labels are, in the order of the alphabet.
        videos: Where a video lies in the root, by {path} and {label}: a file, or a folder of its
            frames.
        flip: "never" where a horizontal flip changes a label.
        shots: Training videos per class; None is all.
        shots_seed: Chooses them.

    Raises:
        UserError: A list is missing or wrong, or test has a class that train has not.
    """
    place = annotations.folder("file_list", root, f"the lists {train} and {test} and the videos")
    files = {"train": annotations.find(place, train), "test": annotations.find(place, test)}
    found = {split: tables.pairs(file) for split, file in files.items()}
    if classes is None:
        names = annotations.named(found["train"].columns[1])
    else:
        names = annotations.classes(annotations.find(place, classes))
    listings = {}
    for split, listed in found.items():
        paths, labels = listed.columns
        located = annotations.located(videos, path=paths, label=labels)
        _demand_no_header(listed, place, located)
        listings[split] = annotations.listing(listed, located, labels, names)
    return annotations.assemble(
        "file_list", names, listings, root=place, flip=flip, shots=shots, shots_seed=shots_seed
    )


def _demand_no_header(listed: Listed, place: Path, located: Sequence[str]) -> None:
    """Raise a UserError if the first row looks like names of columns: no video, and its own class.

    `tables.pairs` knows the usual names; of others only the files can tell.
    """
    paths, labels = listed.columns
    there = [exists(place / path) for path in located[: annotations.LOOKED_AT]]
    if not there[0] and any(there) and labels.count(labels[0]) == 1:
        raise listed.wrong(
            0,
            f"there is no video {paths[0]}, nor any other of class {labels[0]!r}; if these are the "
            "names of columns, call them path and label",
        )

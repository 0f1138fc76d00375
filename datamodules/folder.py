"""Anyone's videos, sorted into folders: train/<class>/<video> and test/<class>/<video>."""

import os
from pathlib import Path
from typing import Literal

from benchmark.errors import UserError
from datamodules import _annotations as annotations
from datamodules._data import Data

VIDEOS = frozenset(".avi .flv .m4v .mkv .mov .mp4 .mpeg .mpg .ogv .ts .webm .wmv".split())


def folder(
    *,
    root: str | Path | None = None,
    train: str = "train",
    test: str = "test",
    flip: Literal["ok", "never"] = "ok",
    shots: int | None = None,
    shots_seed: int = 0,
) -> Data:
    """Return the videos in two folders that hold a folder per class.

    Files whose name does not end as a video's does, or starts with a dot, are not listed.

    Args:
        root: Holds both; None is `data/folder` in the folder that runs work in.
        train: Folder of the training videos; its folders are the classes.
        test: Folder of the test videos.
        flip: "never" where a horizontal flip changes a label.
        shots: Training videos per class; None is all.
        shots_seed: Chooses them.

    Raises:
        UserError: There are no such folders, or test has a class that train has not.
    """
    place = annotations.folder("folder", root, f"{train}/CLASS/VIDEO and {test}/CLASS/VIDEO")
    classes = tuple(_names(place / train, folders=True))
    listings = {}
    for split, name in (("train", train), ("test", test)):
        paths, labels = [], []
        for label in _names(place / name, folders=True):
            for video in _names(place / name / label, folders=False):
                if Path(video).suffix.lower() in VIDEOS:
                    paths.append(f"{name}/{label}/{video}")
                    labels.append(label)
        listings[split] = paths, annotations.numbers(place / name, labels, classes)
    return annotations.assemble(
        "folder", classes, listings, root=place, flip=flip, shots=shots, shots_seed=shots_seed
    )


def _names(place: Path, *, folders: bool) -> list[str]:
    """Return what lies in a folder, folders or files, in the order of the alphabet."""
    try:
        with os.scandir(place) as entries:
            found = (each.name for each in entries if each.is_dir() == folders)
            return sorted(name for name in found if not name.startswith("."))
    except OSError as error:
        raise UserError(f"{place}: {error.strerror}") from None

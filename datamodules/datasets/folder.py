"""Anyone's videos, sorted into folders: train/<class>/<video> and test/<class>/<video>."""

import os
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from datamodules.dataset_info import DatasetInfo
from datamodules.datasets import _annotations as annotations
from datamodules.datasets._annotations import Listing
from datamodules.errors import UserError, nearest

VIDEOS = frozenset(
    ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .webm .wmv".split()
)


def folder(
    *,
    root: str | Path | None = None,
    train: str = "train",
    test: str = "test",
    flip: Literal["ok", "never"] = "ok",
    shots: int | None = None,
    shots_seed: int = 0,
) -> DatasetInfo:
    """Return the videos in two folders that hold a folder per class.

    A video is a file, or a folder of its frames. Files whose name does not end as a video's does,
    and whatever starts with a dot, are not listed.

    Args:
        root: Holds both; None is `data/folder` in the folder that runs work in.
        train: Folder of the training videos; its folders are the classes.
        test: Folder of the test videos.
        flip: "never" where a horizontal flip changes a label.
        shots: Training videos per class; None is all.
        shots_seed: Chooses them.

    Raises:
        UserError: There are no such folders, a class has no training video, or test has a class
            that train has not.
    """
    holds = f"{train}/CLASS/VIDEO and {test}/CLASS/VIDEO (data.train and data.test name others)"
    place = annotations.folder("folder", root, holds)
    for name in (train, test):
        if not (place / name).is_dir():
            raise UserError(f"no folder {place / name}: data.root=DIR holds {holds}")
    classes = [each.name for each in _entries(place / train) if each.is_dir()]
    found = {"train": _listing(place, train, classes), "test": _listing(place, test, classes)}
    listings = {split: listing for split, (listing, _) in found.items()}
    if empty := sorted(set(range(len(classes))) - set(listings["train"].labels.tolist())):
        ends = ", ".join(sorted(VIDEOS))
        raise UserError(f"{place / train / classes[empty[0]]}: there is no video in it ({ends})")
    return annotations.assemble(
        "folder",
        classes,
        listings,
        root=place,
        flip=flip,
        file_sizes={split: sizes for split, (_, sizes) in found.items()},
        shots=shots,
        shots_seed=shots_seed,
    )


def _listing(place: Path, name: str, classes: list[str]) -> tuple[Listing, NDArray[np.int64]]:
    """Return the videos in a folder per class, relative to `place`, their numbers and sizes."""
    numbers = {label: number for number, label in enumerate(classes)}
    paths: list[str] = []
    labels: list[int] = []
    sizes: list[int] = []
    for label in (each.name for each in _entries(place / name) if each.is_dir()):
        for video in _entries(place / name / label):
            if not video.is_dir() and Path(video.name).suffix.lower() not in VIDEOS:
                continue
            if label not in numbers:
                known = nearest(label, classes)
                raise UserError(f"{place / name / label}: no class {label!r} in training{known}")
            paths.append(f"{name}/{label}/{video.name}")
            labels.append(numbers[label])
            sizes.append(_size(video))
    return Listing(paths, np.array(labels, np.int64)), np.array(sizes, np.int64)


def _size(video: os.DirEntry[str]) -> int:
    """Return the bytes of a file, or of all the frames in a folder."""
    files = _entries(Path(video.path)) if video.is_dir() else [video]
    try:
        return sum(each.stat().st_size for each in files)
    except OSError:  # a link to nothing: whoever opens it will tell
        return -1


def _entries(place: Path) -> list[os.DirEntry[str]]:
    """Return what lies in a folder, in the order of the alphabet, but what starts with a dot."""
    try:
        with os.scandir(place) as entries:
            shown = (each for each in entries if each.name[0] != ".")
            return sorted(shown, key=lambda each: each.name)
    except OSError as error:
        raise UserError(f"{place}: {error.strerror}") from None

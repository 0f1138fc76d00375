"""Anyone's videos, sorted into folders: train/<class>/<video> and test/<class>/<video>."""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from datamodules.dataset_info import DatasetInfo
from datamodules.datasets import _annotations as annotations
from datamodules.datasets._annotations import Listing
from datamodules.errors import UserError, nearest
from datamodules.shards.paths import is_folder, scan, state

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
        if not is_folder(place / name):
            raise UserError(f"no folder {place / name}: data.root=DIR holds {holds}")
    classes = [label for label, own in _scan(place / train) if own]
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
    for label in (each for each, own in _scan(place / name) if own):
        for video, own in _scan(place / name / label):
            if not own and Path(video).suffix.lower() not in VIDEOS:
                continue
            if label not in numbers:
                known = nearest(label, classes)
                raise UserError(f"{place / name / label}: no class {label!r} in training{known}")
            paths.append(f"{name}/{label}/{video}")
            labels.append(numbers[label])
            sizes.append(_size(place / name / label / video, own))
    return Listing(paths, np.array(labels, np.int64)), np.array(sizes, np.int64)


def _size(video: Path, folder: bool) -> int:
    """Return the bytes of a file, or of all the frames in a folder."""
    try:
        files = [video / name for name, _ in _scan(video)] if folder else [video]
        return sum(state(each)[0] for each in files)
    except OSError:  # a link to nothing: whoever opens it will tell
        return -1


def _scan(place: Path) -> list[tuple[str, bool]]:
    """Return what lies in a folder, in the order of the alphabet, but what starts with a dot."""
    try:
        return [each for each in scan(place) if each[0][0] != "."]
    except OSError as error:
        raise UserError(f"{place}: {error.strerror}") from None

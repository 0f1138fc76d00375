"""HMDB51 (Kuehne et al., 2011), https://doi.org/10.1109/ICCV.2011.6126543."""

from pathlib import Path
from typing import Literal

from benchmark.errors import UserError
from datamodules import _annotations as annotations
from datamodules._data import Data

CLASSES = 51
SIZES = ((3_570, 1_530),)  # train and test of every split: 70 and 30 videos per class
FOLDERS = ("", "testTrainMulti_7030_splits", "annotations")  # where the lists may lie
SPLITS = {"1": "train", "2": "test"}  # the mark behind a video; 0 is in neither


def hmdb51(
    *,
    root: str | Path | None = None,
    split: int = 1,
    videos: str = "{label}/{file}",
    sizes: Literal["known", "any"] = "known",
    shots: int | None = None,
    shots_seed: int = 0,
) -> Data:
    """Return HMDB51: short clips of films, 51 things that people do.

    Args:
        root: Folder of the lists, or of `testTrainMulti_7030_splits` with them, and of the videos;
            None is `data/hmdb51` in the folder that runs work in.
        split: Which of the three official splits.
        videos: Where a video lies in the root, by {label} and {file}.
        sizes: "any" takes lists of any length.
        shots: Training videos per class; None is all.
        shots_seed: Chooses them.

    Raises:
        UserError: Something is missing, or not what it should be.
    """
    if split not in (1, 2, 3):
        raise UserError(f"data.split must be 1, 2 or 3, not {split}")
    holds = "testTrainMulti_7030_splits and a folder of videos per class"
    place = annotations.folder("hmdb51", root, holds)
    end = f"_test_split{split}.txt"
    files = next(filter(None, (sorted((place / f).glob(f"*{end}")) for f in FOLDERS)), [])
    classes = tuple(file.name.removesuffix(end) for file in files)
    found: dict[str, tuple[list[str], list[str]]] = {"train": ([], []), "test": ([], [])}
    for file, label in zip(files, classes, strict=True):
        for video, mark in zip(*annotations.pairs(file), strict=True):
            if mark not in ("0", *SPLITS):
                raise UserError(f"{file}: {video} is marked {mark}, not 0, 1 or 2")
            if mark in SPLITS:
                names, labels = found[SPLITS[mark]]
                names.append(video)
                labels.append(label)
    listings = {
        key: (
            annotations.located(videos, label=labels, file=names),
            annotations.numbers(place, labels, classes),
        )
        for key, (names, labels) in found.items()
    }
    return annotations.assemble(
        "hmdb51",
        classes,
        listings,
        root=place,
        flip="ok",
        known=SIZES,
        sizes=sizes,
        count=CLASSES,
        shots=shots,
        shots_seed=shots_seed,
    )

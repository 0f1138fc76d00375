"""Jester (Materzynska et al., 2019), https://doi.org/10.1109/ICCVW.2019.00349."""

from pathlib import Path
from typing import Literal

from benchmark.errors import UserError
from datamodules import _annotations as annotations
from datamodules._data import Data

CLASSES = 27
SIZES = ((118_562, 14_787),)  # train and validation
NAMES = {"train": "train", "test": "validation"}


def jester(
    *,
    root: str | Path | None = None,
    videos: str = "20bn-jester-v1/{id}",
    sizes: Literal["known", "any"] = "known",
    shots: int | None = None,
    shots_seed: int = 0,
) -> Data:
    """Return Jester: gestures before a webcam.

    A flip turns "swiping left" into its opposite: never.

    Args:
        root: Folder of the CSV files and the videos; None is `data/jester` in the folder that runs
            work in.
        videos: Where a video lies in the root, by its {id}: a folder of JPEG frames, 12 per
            second, as the dataset ships them, or a file encoded from one.
        sizes: "any" takes lists of any length.
        shots: Training videos per class; None is all.
        shots_seed: Chooses them.

    Raises:
        UserError: Something is missing, or not what it should be.
    """
    holds = "jester-v1-labels.csv, jester-v1-train.csv, jester-v1-validation.csv and the videos"
    place = annotations.folder("jester", root, holds)
    classes = annotations.classes(annotations.find(place, "jester-v1-labels.csv"))
    listings = {}
    for split, name in NAMES.items():
        file = annotations.find(place, f"jester-v1-{name}.csv")
        rows = annotations.table(file, delimiter=";")
        if rows and len(rows[0]) != 2:
            raise UserError(f"{file}: its rows are not id;label")
        numbers = annotations.numbers(file, [label for _, label in rows], classes)
        listings[split] = annotations.located(videos, id=[video for video, _ in rows]), numbers
    return annotations.assemble(
        "jester",
        classes,
        listings,
        root=place,
        flip="never",
        known=SIZES,
        sizes=sizes,
        count=CLASSES,
        shots=shots,
        shots_seed=shots_seed,
    )

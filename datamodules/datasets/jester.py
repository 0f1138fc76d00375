"""Jester (Materzynska et al., 2019), https://doi.org/10.1109/ICCVW.2019.00349."""

import sys
from pathlib import Path
from typing import Unpack

from datamodules.dataset_info import DatasetInfo
from datamodules.datasets import _annotations as annotations
from datamodules.datasets import _tables as tables
from datamodules.datasets._annotations import Options
from datamodules.datasets._tables import Kinds

CLASSES = 27
SIZES = ((118_562, 14_787),)  # train and validation
NAMES = {"train": "train", "test": "validation"}


def jester(
    *,
    root: str | Path | None = None,
    videos: str = "20bn-jester-v1/{id}",
    **options: Unpack[Options],
) -> DatasetInfo:
    """Return Jester: gestures before a webcam.

    A flip turns "swiping left" into its opposite: never.

    Args:
        root: Folder of the CSV files and the videos; None is `data/jester` in the folder that runs
            work in.
        videos: Where a video lies in the root, by its {id}: a folder of JPEG frames, 12 per
            second, as the dataset ships them, or a file encoded from one.
        **options: As in `datamodules._annotations.Options`.

    Raises:
        UserError: Something is missing, or not what it should be.
    """
    holds = "jester-v1-labels.csv, jester-v1-train.csv, jester-v1-validation.csv and the videos"
    place = annotations.folder("jester", root, holds)
    classes = annotations.classes(annotations.find(place, "jester-v1-labels.csv"))
    kinds: Kinds = {"id": str, "label": sys.intern}
    listings = {}
    for split, name in NAMES.items():
        file = annotations.find(place, f"jester-v1-{name}.csv")
        listed = tables.columns(file, kinds, delimiter=";", header=False)
        ids, labels = listed.columns
        paths = annotations.located(videos, id=ids)
        listings[split] = annotations.listing(listed, paths, labels, classes, ids)
    return annotations.assemble(
        "jester", classes, listings, root=place, flip="never", known=SIZES, count=CLASSES, **options
    )

"""HMDB51 (Kuehne et al., 2011), https://doi.org/10.1109/ICCV.2011.6126543."""

import re
from pathlib import Path
from typing import Unpack

import numpy as np

from datamodules.dataset_info import DatasetInfo
from datamodules.datasets import _annotations as annotations
from datamodules.datasets import _tables as tables
from datamodules.datasets._annotations import Listing, Options
from datamodules.errors import UserError

CLASSES = 51
SIZES = ((3_570, 1_530),)  # train and test of every split: 70 and 30 videos per class
FOLDERS = ("", "testTrainMulti_7030_splits", "annotations")  # where the lists may lie
# What stands behind film and class in AmericanGangster_eat_u_nm_np1_fr_bad_55.avi.
TAGS = re.compile(r"_[a-z]_[nc]m_np\d.*$")
MARKS = {"train": "1", "test": "2"}  # behind a video; 0 is in neither


def hmdb51(
    *,
    root: str | Path | None = None,
    split: int = 1,
    videos: str = "{label}/{file}",
    **options: Unpack[Options],
) -> DatasetInfo:
    """Return HMDB51: short clips of films, 51 things that people do.

    The clips of one film are a cluster, whatever is done in them.

    Args:
        root: Folder of the lists, or of `testTrainMulti_7030_splits` with them, and of the videos;
            None is `data/hmdb51` in the folder that runs work in.
        split: Which of the three official splits.
        videos: Where a video lies in the root, by {label} and {file}, or by {stem}, the file
            without ".avi": a file, or a folder of its frames.
        **options: As in `datamodules._annotations.Options`.

    Raises:
        UserError: Something is missing, or not what it should be.
    """
    if split not in (1, 2, 3):
        raise UserError(f"data.split must be 1, 2 or 3, not {split}")
    holds = "testTrainMulti_7030_splits and a folder of videos per class"
    place = annotations.folder("hmdb51", root, holds)
    end = f"_test_split{split}.txt"
    lists = next(filter(None, (sorted((place / f).glob(f"*{end}")) for f in FOLDERS)), [])
    classes = tuple(file.name.removesuffix(end) for file in lists)
    files: dict[str, list[str]] = {key: [] for key in MARKS}
    labels: dict[str, list[int]] = {key: [] for key in MARKS}
    for label, file in enumerate(lists):
        for key, found in _marked(file).items():
            files[key] += found
            labels[key] += [label] * len(found)
    listings, films = {}, {}
    for key in MARKS:
        own = [classes[label] for label in labels[key]]
        stems = [file.removesuffix(".avi") for file in files[key]]
        paths = annotations.located(videos, label=own, file=files[key], stem=stems)
        listings[key] = Listing(paths, np.array(labels[key], np.int64))
        films[key] = [
            TAGS.sub("", file).removesuffix(f"_{label}")
            for file, label in zip(files[key], own, strict=True)
        ]
    return annotations.assemble(
        "hmdb51",
        classes,
        listings,
        root=place,
        flip="ok",
        clusters=films,
        known=SIZES,
        count=CLASSES,
        **options,
    )


def _marked(file: Path) -> dict[str, list[str]]:
    """Return the videos of each split that the list of a class names."""
    listed = tables.pairs(file)
    for row, mark in enumerate(listed.columns[1]):
        if mark not in ("0", *MARKS.values()):
            raise listed.wrong(row, f"{listed.columns[0][row]} is marked {mark}, not 0, 1 or 2")
    return {
        key: [video for video, each in zip(*listed.columns, strict=True) if each == mark]
        for key, mark in MARKS.items()
    }

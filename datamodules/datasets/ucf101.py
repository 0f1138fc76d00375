"""UCF101 (Soomro et al., 2012), https://arxiv.org/abs/1212.0402."""

import re
from pathlib import Path
from typing import Unpack

from datamodules.dataset_info import DatasetInfo
from datamodules.datasets import _annotations as annotations
from datamodules.datasets import _tables as tables
from datamodules.datasets._annotations import Options
from datamodules.errors import UserError

CLASSES = 101
SIZES = {1: (9_537, 3_783), 2: (9_586, 3_734), 3: (9_624, 3_696)}  # train and test of each split
CLIP = re.compile(r"(?<=_g\d\d)_.*")  # what stands behind the group in v_Archery_g08_c01.avi


def ucf101(
    *,
    root: str | Path | None = None,
    split: int = 1,
    videos: str = "UCF-101/{path}",
    **options: Unpack[Options],
) -> DatasetInfo:
    """Return UCF101: sports and instruments, clips of one video never in both train and test.

    The clips of one video, a group ("g08" of a class), are a cluster.

    Args:
        root: Folder of the lists, or of `ucfTrainTestlist` with them, and of the videos; None is
            `data/ucf101` in the folder that runs work in.
        split: Which of the three official splits.
        videos: Where a video lies in the root, by the {path} that the lists give, or by {stem},
            the path without ".avi": a file, or a folder of its frames.
        **options: As in `datamodules._annotations.Options`.

    Raises:
        UserError: Something is missing, or not what it should be.
    """
    if split not in SIZES:
        raise UserError(f"data.split must be 1, 2 or 3, not {split}")
    holds = "classInd.txt, trainlist01.txt, testlist01.txt and the folder UCF-101"
    place = annotations.folder("ucf101", root, holds)

    def find(name: str) -> Path:
        return annotations.find(place, name, f"ucfTrainTestlist/{name}")

    classes = _classes(find("classInd.txt"))
    listings, groups = {}, {}
    for key in ("train", "test"):
        listed = tables.lines(find(f"{key}list{split:02d}.txt"))
        paths = [line.split()[0] for line in listed.columns[0]]  # "path number" or "path"
        labels = [path.rpartition("/")[0] for path in paths]  # the class is the folder
        stems = [path.removesuffix(".avi") for path in paths]
        located = annotations.located(videos, path=paths, stem=stems)
        listings[key] = annotations.listing(listed, located, labels, classes, paths)
        groups[key] = [CLIP.sub("", path) for path in paths]
    return annotations.assemble(
        "ucf101",
        classes,
        listings,
        root=place,
        flip="ok",
        clusters=groups,
        known=[SIZES[split]],
        count=CLASSES,
        **options,
    )


def _classes(file: Path) -> tuple[str, ...]:
    """Return the names in a file whose lines are a number, from 1, and a class."""
    listed = tables.lines(file)
    found = {}
    for row, line in enumerate(listed.columns[0]):
        number, _, name = line.partition(" ")
        if not number.isdigit() or not name:
            raise listed.wrong(row, f"{line!r} is no number and class")
        found[name.strip()] = int(number) - 1
    return annotations.ordered(file, found)

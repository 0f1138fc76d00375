"""Diving48 (Li et al., 2018), http://www.svcl.ucsd.edu/projects/resound/dataset.html, version 2."""

from pathlib import Path
from typing import Unpack

from datamodules.dataset_info import DatasetInfo
from datamodules.datasets import _annotations as annotations
from datamodules.datasets import _tables as tables
from datamodules.datasets._annotations import Options
from datamodules.errors import UserError

CLASSES = 48
SIZES = ((15_027, 1_970),)  # train and test of version 2, which corrects the labels of the first


def diving48(
    *,
    root: str | Path | None = None,
    videos: str = "rgb/{id}.mp4",
    **options: Unpack[Options],
) -> DatasetInfo:
    """Return Diving48: dives that differ in take-off, somersaults, twists and flight.

    Args:
        root: Folder of the JSON files and the videos; None is `data/diving48` in the folder that
            runs work in.
        videos: Where a video lies in the root, by its {id}: a file, or a folder of its frames.
        **options: As in `datamodules._annotations.Options`.

    Raises:
        UserError: Something is missing, or not what it should be.
    """
    holds = "Diving48_vocab.json, Diving48_V2_train.json, Diving48_V2_test.json and the folder rgb"
    place = annotations.folder("diving48", root, holds)
    vocabulary = annotations.find(place, "Diving48_vocab.json")
    dives = tables.parse(vocabulary)
    if not isinstance(dives, list) or not all(isinstance(dive, list) for dive in dives):
        raise UserError(f"{vocabulary}: it is no list of dives, each a list of their four parts")
    classes = tuple(" ".join(map(str, dive)) for dive in dives)
    listings = {}
    for split in ("train", "test"):
        listed = tables.members(
            annotations.find(place, f"Diving48_V2_{split}.json"), "vid_name", "label"
        )
        ids, labels = listed.columns
        paths = annotations.located(videos, id=ids)
        listings[split] = annotations.listing(listed, paths, labels, classes, ids)
    return annotations.assemble(
        "diving48", classes, listings, root=place, flip="ok", known=SIZES, count=CLASSES, **options
    )

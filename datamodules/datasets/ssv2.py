"""Something-Something v2 (Goyal et al., 2017), https://arxiv.org/abs/1706.04261."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Unpack

from datamodules.dataset_info import DatasetInfo
from datamodules.datasets import _annotations as annotations
from datamodules.datasets import _tables as tables
from datamodules.datasets._annotations import Options
from datamodules.errors import UserError

CLASSES = 174
SIZES = ((168_913, 24_777),)  # train and validation
NAMES = {"train": "train", "test": "validation", "labels": "labels"}
SWAPS = ((86, 87), (93, 94), (166, 167))  # pulling and pushing from a side, turning the camera


def ssv2(
    *,
    root: str | Path | None = None,
    videos: str = "20bn-something-something-v2/{id}.webm",
    flip: Literal["never", "swap"] = "never",
    **options: Unpack[Options],
) -> DatasetInfo:
    """Return Something-Something v2: what hands do with some thing, which only motion tells.

    Args:
        root: Folder of the JSON files and the videos; None is `data/ssv2` in the folder that runs
            work in.
        videos: Where a video lies in the root, by its {id}: a file, or a folder of its frames.
        flip: A horizontal flip turns "from left to right" into its opposite: "never", or "swap" to
            give the flipped clip the opposite label.
        **options: As in `datamodules._annotations.Options`.

    Raises:
        UserError: Something is missing, or not what it should be.
    """
    holds = "labels.json, train.json, validation.json and the videos"
    place = annotations.folder("ssv2", root, holds)
    files = {
        key: annotations.find(place, f"something-something-v2-{name}.json", f"{name}.json")
        for key, name in NAMES.items()
    }
    classes = annotations.classes(files["labels"])
    listings = {}
    for split in ("train", "test"):
        listed = tables.members(files[split], "id", "template")
        ids, templates = listed.columns
        labels = [each.replace("[", "").replace("]", "") for each in templates]
        paths = annotations.located(videos, id=ids)
        listings[split] = annotations.listing(listed, paths, labels, classes, ids)
    return annotations.assemble(
        "ssv2",
        classes,
        listings,
        root=place,
        flip=flip,
        swaps=_mirrored(files["labels"], classes) if flip == "swap" else (),
        known=SIZES,
        count=CLASSES,
        **options,
    )


def _mirrored(file: Path, classes: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Return SWAPS, after a look at whether these classes are each other's mirror image."""
    sides = {"left": "right", "right": "left"}
    for one, other in SWAPS:
        both = classes[one : one + 1], classes[other : other + 1]
        mirrored = [re.sub("left|right", lambda side: sides[side[0]], name) for name in both[0]]
        if mirrored != [*both[1]]:
            raise UserError(f"{file}: classes {one} and {other} do not mirror each other")
    return SWAPS

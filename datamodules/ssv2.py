"""Something-Something v2 (Goyal et al., 2017), https://arxiv.org/abs/1706.04261."""

from pathlib import Path
from typing import Literal

from datamodules import _annotations as annotations
from datamodules._data import Data

CLASSES = 174
SIZES = ((168_913, 24_777),)  # train and validation
NAMES = {"train": "train", "test": "validation", "labels": "labels"}


def ssv2(
    *,
    root: str | Path | None = None,
    videos: str = "20bn-something-something-v2/{id}.webm",
    sizes: Literal["known", "any"] = "known",
    shots: int | None = None,
    shots_seed: int = 0,
) -> Data:
    """Return Something-Something v2: what hands do with some thing, which only motion tells.

    A flip turns "from left to right" into its opposite: never.

    Args:
        root: Folder of the JSON files and the videos; None is `data/ssv2` in the folder that runs
            work in.
        videos: Where a video lies in the root, by its {id}.
        sizes: "any" takes lists of any length.
        shots: Training videos per class; None is all.
        shots_seed: Chooses them.

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
        ids, templates = annotations.members(files[split], "id", "template")
        labels = [each.replace("[", "").replace("]", "") for each in templates]
        numbers = annotations.numbers(files[split], labels, classes)
        listings[split] = annotations.located(videos, id=ids), numbers
    return annotations.assemble(
        "ssv2",
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

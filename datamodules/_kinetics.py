"""Kinetics of any size: the official CSV files, or the lists of paths that papers publish."""

from collections.abc import Sequence
from pathlib import Path

from benchmark.errors import UserError
from datamodules import _annotations as annotations
from datamodules._annotations import Listing
from datamodules._data import Data

OFFICIAL = "{split}/{youtube_id}_{time_start:06d}_{time_end:06d}.mp4"  # as its downloads name them
LISTED = "{path}"
CLASSES = ("classes.txt", "label_map.txt", "classes.json")  # names for lists that have numbers
HOLDS = "train.csv, val.csv (youtube_id and times, or path and label) and the videos"


def kinetics(
    name: str,
    count: int,
    known: Sequence[tuple[int, int]],
    *,
    root: str | Path | None,
    train: str | None,
    test: str | None,
    videos: str | None,
    sizes: str,
    shots: int | None,
    shots_seed: int,
) -> Data:
    """Return Kinetics with `count` classes, whose validation split is what everybody tests on.

    Classes are numbered in the order of the alphabet, as everybody does.

    Raises:
        UserError: A file is missing or wrong, or the sizes are unknown.
    """
    place = annotations.folder(name, root, HOLDS)
    files = {
        "train": annotations.find(place, *([train] if train else _names(name, "train"))),
        "test": annotations.find(place, *([test] if test else _names(name, "val", "validate"))),
    }
    found = {split: _labels_and_paths(files[split], split, videos) for split in files}
    try:
        file = annotations.find(place, *CLASSES)
    except UserError:
        classes = annotations.named(found["train"][0])
    else:
        classes = annotations.classes(file)
    listings: dict[str, Listing] = {
        split: (paths, annotations.numbers(files[split], labels, classes))
        for split, (labels, paths) in found.items()
    }
    return annotations.assemble(
        name,
        classes,
        listings,
        root=place,
        flip="ok",
        known=known,
        sizes=sizes,
        count=count,
        shots=shots,
        shots_seed=shots_seed,
    )


def _names(name: str, *splits: str) -> list[str]:
    """Return what the list of a split may be called."""
    forms = ("{}.csv", "{}.txt", "kinetics_{}.csv", f"{name}_{{}}.csv")
    return [
        form.format(split)
        for split in splits
        for form in (*forms, f"{name}_{{}}_list_videos.txt")  # the last: OpenMMLab's
    ]


def _labels_and_paths(
    file: Path, split: str, videos: str | None
) -> tuple[list[str], Sequence[str]]:
    """Return labels and paths of a split, whichever of the two formats it has."""
    first = annotations.lines(file)[:1]
    if not first or "youtube_id" not in first[0]:
        paths, labels = annotations.pairs(file)
        pattern = LISTED if videos is None else videos
        return labels, annotations.located(pattern, path=paths, label=labels)
    rows = annotations.table(file)
    wanted = ("label", "youtube_id", "time_start", "time_end")
    labels, ids, *times = annotations.columns(file, rows, *wanted)
    try:
        start, end = ([int(float(second)) for second in each] for each in times)
    except ValueError as error:
        raise UserError(f"{file}: a time is no number: {error}") from None
    return labels, annotations.located(
        OFFICIAL if videos is None else videos,
        split=["train" if split == "train" else "val"] * len(ids),
        label=labels,
        youtube_id=ids,
        time_start=start,
        time_end=end,
    )

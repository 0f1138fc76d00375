"""EPIC-Kitchens-100 (Damen et al., 2022), https://doi.org/10.1007/s11263-021-01531-2."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Unpack

import numpy as np
from numpy.typing import NDArray

from datamodules.dataset_info import DatasetInfo
from datamodules.datasets import _annotations as annotations
from datamodules.datasets import _tables as tables
from datamodules.datasets._annotations import Labels, Listing, Options
from datamodules.datasets._tables import Kinds, Listed

CLASSES = {"verb": 97, "noun": 300, "action": 3_806}  # actions: the pairs in train and validation
SIZES = ((67_217, 9_668),)  # train and validation
NAMES = {"train": "train", "test": "validation"}
FRAME_RATE = 25.0  # of a folder of frames, by which a `FrameFolder` turns numbers into seconds


def epic_kitchens100(
    *,
    root: str | Path | None = None,
    task: Literal["verb", "noun", "action"] = "action",
    videos: str = "{participant_id}/videos/{video_id}.MP4",
    **options: Unpack[Options],
) -> DatasetInfo:
    """Return EPIC-Kitchens-100: parts of long videos that show what a cook's hands do.

    The parts of one long video are a cluster.

    Args:
        root: Folder of the CSV files, or of `epic-kitchens-100-annotations` with them, and of the
            videos; None is `data/epic_kitchens100` in the folder that runs work in.
        task: What a label is: one of 97 verbs, of 300 nouns, or of the 3,806 pairs of them that
            occur, numbered by verb, then by noun.
        videos: Where a video lies in the root, by {participant_id}, {video_id} and {narration_id}.
            With {narration_id} a file or a folder of frames holds one part, and all of it is meant.
            Otherwise, with a suffix (.MP4) a file holds a whole video, of which the seconds of
            the part are meant; without one, such as {participant_id}/rgb_frames/{video_id}, a
            folder holds all frames of a video, of which the numbers of the part are meant, from 1.
        **options: As in `datamodules._annotations.Options`.

    Raises:
        UserError: Something is missing, or not what it should be.
    """
    holds = "EPIC_100_train.csv, EPIC_100_validation.csv, the files of classes and the videos"
    place = annotations.folder("epic_kitchens100", root, holds)
    names = {key: _classes(place, key) for key in ("verb", "noun")}
    found = {
        split: tables.columns(_find(place, f"EPIC_100_{name}.csv"), KINDS)
        for split, name in NAMES.items()
    }
    labels = {split: _labels(listed, names) for split, listed in found.items()}
    classes, numbers = _task(task, names, labels)
    listings: dict[str, Listing] = {}
    segments, long_videos = {}, {}
    for split, listed in found.items():
        fields = dict(zip(KINDS, listed.columns, strict=True))
        own = {key: fields[key] for key in ("participant_id", "video_id", "narration_id")}
        listings[split] = Listing(annotations.located(videos, **own), numbers[split])
        segments[split] = _segments(listed, fields, encoded=bool(Path(videos).suffix))
        long_videos[split] = fields["video_id"]
    return annotations.assemble(
        "epic_kitchens100",
        classes,
        listings,
        root=place,
        flip="ok",
        segments=None if "{narration_id}" in videos else segments,
        clusters=long_videos,
        known=SIZES,
        # a list of other parts has other pairs
        count=None if task == "action" and options.get("sizes") == "any" else CLASSES[task],
        **options,
    )


def _seconds(text: str) -> float:
    hours, minutes, seconds = text.split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


KINDS: Kinds = {
    "narration_id": str,
    "participant_id": str,
    "video_id": str,
    "start_timestamp": _seconds,
    "stop_timestamp": _seconds,
    "start_frame": int,
    "stop_frame": int,
    "verb_class": str,
    "noun_class": str,
}


def _find(place: Path, name: str) -> Path:
    return annotations.find(place, name, f"epic-kitchens-100-annotations/{name}")


def _classes(place: Path, kind: str) -> tuple[str, ...]:
    file = _find(place, f"EPIC_100_{kind}_classes.csv")
    ids, keys = tables.columns(file, {"id": int, "key": str}).columns
    return annotations.ordered(file, dict(zip(keys, ids, strict=True)))


def _labels(listed: Listed, names: Mapping[str, tuple[str, ...]]) -> dict[str, Labels]:
    """Return the verbs and the nouns of a list."""
    fields = dict(zip(KINDS, listed.columns, strict=True))
    return {
        kind: annotations.numbers(listed, fields[f"{kind}_class"], names[kind])
        for kind in ("verb", "noun")
    }


def _task(
    task: str, names: Mapping[str, tuple[str, ...]], labels: Mapping[str, Mapping[str, Labels]]
) -> tuple[tuple[str, ...], dict[str, Labels]]:
    """Return the classes of a task, and the class numbers per split."""
    if task != "action":
        return names[task], {split: own[task] for split, own in labels.items()}
    nouns = len(names["noun"])
    pairs = {split: own["verb"] * nouns + own["noun"] for split, own in labels.items()}
    there = np.unique(np.concatenate(list(pairs.values())))
    classes = tuple(f"{names['verb'][p // nouns]} {names['noun'][p % nouns]}" for p in there)
    return classes, {split: np.searchsorted(there, own) for split, own in pairs.items()}


def _segments(
    listed: Listed, fields: Mapping[str, list[float]], *, encoded: bool
) -> NDArray[np.float64]:
    """Return start and end of every part (N, 2), in seconds of its file or of its frames."""
    unit = "timestamp" if encoded else "frame"
    start, stop = np.array([fields[f"{end}_{unit}"] for end in ("start", "stop")], np.float64)
    if (wrong := np.flatnonzero(stop < start)).size:
        raise listed.wrong(int(wrong[0]), f"its start_{unit} lies behind its stop_{unit}")
    if not encoded:
        start, stop = (start - 1) / FRAME_RATE, stop / FRAME_RATE  # the stop frame belongs to it
    return np.stack([start, stop], axis=1)

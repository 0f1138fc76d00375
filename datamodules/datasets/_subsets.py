"""Some of the training videos: a few of every class, or a fraction of each.

Which ones follows from a seed and from what the videos are called, and from nothing else: a list in
another order or of another place has the same ones chosen, and where a copy of a dataset lacks a
video, the next one of its class takes its place and all others stay.
"""

import os
import re

import numpy as np
from numpy.typing import NDArray

from datamodules.dataset_info import Split
from datamodules.errors import UserError
from datamodules.randomness import place

TIMES = re.compile(r"_\d{6}_\d{6}$")  # some copies of Kinetics have them behind YouTube's id


def called(path: str) -> str:
    """Return what a video is called in every copy of its dataset: its file's name, bare."""
    stem, _ = os.path.splitext(os.path.basename(path))
    return TIMES.sub("", stem)


def few(split: Split, shots: int, seed: int, names: tuple[str, ...]) -> tuple[int, ...]:
    """Return which `shots` videos of every class to take, in the order of the list.

    Fewer shots of the same seed are some of these.

    Raises:
        UserError: `shots` is less than 1, or more than a class has.
    """
    if shots < 1:
        raise UserError(f"data.shots must be at least 1, not {shots}")
    chosen: list[int] = []
    for own, name in zip(_by_class(split, seed, len(names)), names, strict=True):
        if len(own) < shots:
            raise UserError(f"data.shots={shots}, but class {name!r} has {len(own)} videos")
        chosen += own[:shots].tolist()
    return tuple(sorted(chosen))


def part(split: Split, fraction: float, seed: int, classes: int) -> tuple[int, ...]:
    """Return which videos are `fraction` of every class, in the order of the list.

    A class that has any keeps at least one. A smaller fraction of the same seed is some of these.

    Raises:
        UserError: `fraction` is not above 0 and below 1.
    """
    if not 0 < fraction < 1:
        raise UserError(f"data.fraction must be above 0 and below 1, not {fraction}")
    chosen: list[int] = []
    for own in _by_class(split, seed, classes):
        chosen += own[: max(1, round(fraction * len(own)))].tolist()
    return tuple(sorted(chosen))


def _by_class(split: Split, seed: int, classes: int) -> list[NDArray[np.int64]]:
    """Return the videos of every class in the order in which they are chosen."""
    places = np.zeros((2, len(split)), np.uint64)
    for index, path in enumerate(split.names()):
        name, seconds = called(path), split.segment(index)
        own = name if seconds is None else f"{name}\0{seconds[0]!r}\0{seconds[1]!r}"
        places[:, index] = place(seed, own), place(seed, path)  # the latter parts namesakes
    order = np.lexsort((places[1], places[0], split.labels))
    bounds = np.searchsorted(split.labels[order], np.arange(1, classes))
    return np.split(order, bounds)

"""Predictions: which class a run answered, from its scores of all classes, where they were kept."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import UserError
from benchmark.results import splits

Numbers = NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a run answered, in the order of the split.

    Attributes:
        labels: (N,), the classes that were right as the run knew them.
        answers: (N,), the classes it answered; of equal scores the first.
        classes: How many there are.
    """

    labels: Numbers
    answers: Numbers
    classes: int


def path(file: Path) -> Path:
    """Return where the scores of the record `file` lie: beside it."""
    return file.with_suffix(".npz")


def read(file: Path) -> Predictions | None:
    """Return the predictions of the record `file`, None where no scores were kept.

    Raises:
        UserError: its scores are broken.
    """
    place = path(file)
    try:
        with place.open("rb") as stream, np.load(stream) as arrays:
            scores, labels = arrays["scores"], arrays["label"]
    except FileNotFoundError:
        return None
    except splits.DAMAGE as error:
        raise UserError(f"{place}: not the scores of a run: {error}") from None
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise UserError(f"{place}: scores {scores.shape} and labels {labels.shape} do not fit")
    return Predictions(labels, scores.argmax(axis=1), scores.shape[1])

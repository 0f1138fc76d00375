"""Which classes a method gains over the linear probe, from right answers per video."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import UserError
from benchmark.leaderboard.comparison import gains_of
from benchmark.recipes.name import RunName
from benchmark.results import answers, record

PROBE = "linear_probe"


def probe_answers(name: str, split: str, sha256: str) -> NDArray[np.bool_]:
    """Return which videos the linear probe had right, (N,), where `name` has such a sibling.

    Args:
        name: Of the run that is compared: the probe's is of the same table and seed.
        split: That both are tested on.
        sha256: Of that split.

    Raises:
        UserError: There is no such record, or it is of other videos.
    """
    run = RunName.parse(name)
    file = record.path(str(replace(run, method=PROBE, options=(), scratch=False)))
    found = record.read(file)
    if found.metrics.split != split or found.data.splits[split].sha256 != sha256:
        raise UserError(f"{file}: was tested on other videos")
    return answers.read(file).top1


def gains(
    right: NDArray[np.bool_],
    probe: NDArray[np.bool_],
    labels: NDArray[np.int64],
    classes: Sequence[str],
) -> list[dict[str, Any]]:
    """Return the accuracy of every class that has videos, its gain over the probe's, best first.

    Args:
        right: (N,) whether the model's first answer is right.
        probe: (N,) likewise, of the linear probe.
        labels: (N,) class numbers.
        classes: Their names.
    """
    return [
        {
            "class": each.name,
            "videos": each.videos,
            "top1": each.accuracies[0],
            "gain": each.gain,
        }
        for each in gains_of((right[None], probe[None]), labels, classes)
    ]

"""What others rank by, shown and never ranked by; and one number of several datasets."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

Cells = Mapping[str, float | None]  # a dataset's accuracies by method; None: missing

PARAMETERS = 1e7  # what V-PETL Bench divides tunable parameters by

EXPLANATION = """\
**Scores** of others are shown, and nothing is ranked by them: they trade accuracy for cost at a
rate somebody chose. PPT = accuracy · exp(-log10(P / 10⁷ + 1)), P the tunable parameters without
the head (V-PETL Bench, Xin et al. 2024; recovered from its tables: it gives 84 of their 91 cells,
the other 7 but for 0.01). Its memory twin has peak training memory over that of full fine-tuning
for P / 10⁷. Over several datasets: the mean accuracy, and Borda's count, how many methods a method
beats on each dataset, half for a tie, added up. A method that lacks a dataset has neither, and is
nobody's rival in the count.
"""


def performance_parameter_tradeoff(accuracy: float, parameters: float) -> float:
    """Return V-PETL Bench's PPT.

    Args:
        accuracy: In [0, 1].
        parameters: Tunable ones, the head's left out.
    """
    return accuracy * math.exp(-math.log10(parameters / PARAMETERS + 1))


def performance_memory_tradeoff(accuracy: float, memory: float, full: float) -> float:
    """Return PPT's twin of peak training memory.

    Args:
        accuracy: In [0, 1].
        memory: Of training the method.
        full: Of full fine-tuning on the same device, in the same unit.
    """
    return accuracy * math.exp(-math.log10(memory / full + 1))


def mean_over_datasets(datasets: Sequence[Cells]) -> dict[str, float | None]:
    """Return each method's mean over the datasets; None: it lacks one of them."""
    return {
        method: fmean(cells) if (cells := _complete(method, datasets)) else None
        for method in _methods(datasets)
    }


def borda(datasets: Sequence[Cells]) -> dict[str, float | None]:
    """Return each method's Borda count; None: it lacks one of the datasets.

    On each dataset a method gets a point for each rival it beats and half a point for each it ties
    with. Rivals are the methods that lack no dataset, so that all counts are of the same contests.
    """
    cells = {method: _complete(method, datasets) for method in _methods(datasets)}
    complete = {method: own for method, own in cells.items() if own}

    def points(own: Sequence[float], rival: Sequence[float]) -> float:
        return sum((one > two) + (one == two) / 2 for one, two in zip(own, rival, strict=True))

    return {
        method: sum(points(own, rival) for name, rival in complete.items() if name != method)
        if own
        else None
        for method, own in cells.items()
    }


def _methods(datasets: Sequence[Cells]) -> list[str]:
    return list(dict.fromkeys(method for cells in datasets for method in cells))


def _complete(method: str, datasets: Sequence[Cells]) -> list[float]:
    """Return a method's accuracies on all datasets, none if one is missing."""
    found = [cells.get(method) for cells in datasets]
    numbers = [each for each in found if each is not None]
    return numbers if len(numbers) == len(found) else []

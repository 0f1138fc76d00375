"""What several seeds say together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev


@dataclass(frozen=True)
class Summary:
    """The mean of `n` values and their spread."""

    n: int
    mean: float
    sd: float | None  # the sample standard deviation, n - 1 in its denominator; None: one value


def summarize(values: Sequence[float]) -> Summary:
    """Return mean and sample standard deviation of `values`.

    Raises:
        ValueError: there are none, or one is not finite.
    """
    if not values or not all(map(math.isfinite, values)):
        raise ValueError(f"nothing to summarize in {list(values)}")
    return Summary(len(values), fmean(values), stdev(values) if len(values) > 1 else None)

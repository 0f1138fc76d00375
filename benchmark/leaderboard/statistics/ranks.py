"""Which ranks a row may have, as far as its videos and seeds tell."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.leaderboard.statistics.differences import pair_variances
from benchmark.leaderboard.statistics.estimates import LEVEL, Estimate, Floats, quantile

DRAWS = 2000  # of the largest difference among equal rows
STREAM = 0  # of these draws: ranks are a function of the answers

EXPLANATION = """\
**Ranks** are intervals that hold for all rows of a table at once with 95 % (Mogstad, Romano, Shaikh
and Wilhelm 2024, "Inference for ranks"): from one more than the rows that are surely better to all
rows less those that are surely worse. Sure is a difference that is larger, in its margins, than
the largest of all pairs is in 95 % of draws in which all rows are equal: the clusters' part normal
with the covariance it has, the seeds' part normal, their mean squares scaled chi-square, around
true ones that are drawn as well. Pairs that are sure are left out and the others looked at again
(step-down).

**Ablations**, recipes with an option changed, are no rows of these tables: who asks how methods
compare has not asked for them, and each would widen all ranks. They stand apart, each with the
interval of its difference to its recipe, which holds for that one alone. Their MS_seeds is
moderated over all rows, the recipes' over the recipes.
"""


@dataclass(frozen=True)
class Ranks:
    """The ranks a row may have, 1 the best."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


def ranks(rows: Sequence[Estimate], level: float = LEVEL, draws: int = DRAWS) -> list[Ranks | None]:
    """Return each row's ranks; all hold at once, with `level`.

    Args:
        rows: A table's, of `estimates`.
        level: Of all intervals together.
        draws: How many to find the critical value with.

    Returns:
        In the order of `rows`; None: a row of too few seeds, which is not ranked among the others.

    Raises:
        ValueError: the rows have not the same clusters.
    """
    ranked = [i for i, row in enumerate(rows) if row.seeds_known]
    found: list[Ranks | None] = [None] * len(rows)
    better = surely_better([rows[i] for i in ranked], level, draws)
    for place, i in enumerate(ranked):
        above, below = int(better[:, place].sum()), int(better[place].sum())
        found[i] = Ranks(1 + above, len(ranked) - below)
    return found


def surely_better(
    rows: Sequence[Estimate], level: float = LEVEL, draws: int = DRAWS
) -> NDArray[np.bool_]:
    """Return (rows, rows): whether one is better than another, no pair wrongly so with `level`.

    Raises:
        ValueError: the rows have not the same clusters, or one too few seeds.
    """
    sure = np.zeros((len(rows), len(rows)), dtype=bool)
    if len(rows) < 2:
        return sure
    if len({row.clusters for row in rows}) > 1 or not all(row.seeds_known for row in rows):
        raise ValueError("only rows of the same videos, and of seeds enough, can be ranked")
    one, two = np.triu_indices(len(rows), 1)
    by_cluster = np.stack([row.by_cluster for row in rows])
    of_clusters = pair_variances(by_cluster)[one, two]
    ratios = np.array(
        [(quantile(row.df_seeds, level) / quantile(row.df_clusters, level)) ** 2 for row in rows]
    )

    def studentised(means: Floats, seed_variances: Floats) -> Floats:
        """Return (pairs, draws) of (rows, draws), one pair's draws side by side in memory."""
        own = seed_variances * ratios[:, None]
        variances = own[one]
        variances += of_clusters[:, None]
        variances += own[two]
        gaps = means[one]
        gaps -= means[two]
        gaps /= np.sqrt(variances, out=variances)
        return gaps

    (told,) = studentised(
        np.array([[row.mean] for row in rows]), np.array([[row.seed_variance] for row in rows])
    ).T
    drawn = studentised(*(np.ascontiguousarray(a.T) for a in _equal_rows(rows, by_cluster, draws)))
    np.abs(drawn, out=drawn)
    left = np.ones(len(told), dtype=bool)
    while left.any():
        critical = np.quantile(drawn[left].max(axis=0), level)
        new = left & (np.abs(told) > critical)
        if not new.any():
            break
        left &= ~new
    sure[one, two] = ~left & (told > 0)
    sure[two, one] = ~left & (told < 0)
    return sure


def _equal_rows(rows: Sequence[Estimate], by_cluster: Floats, draws: int) -> tuple[Floats, Floats]:
    """Return means and seed variances (draws, rows) of rows that are equally good.

    Their true mean squares between seeds are drawn as well, around those that were seen: of few
    seeds one is too small as easily as a row's mean is far off.
    """
    generator = np.random.default_rng(STREAM)
    shape, count = (draws, len(rows)), by_cluster.shape[1]
    values, vectors = np.linalg.eigh(np.cov(by_cluster) / count)
    root = vectors * np.sqrt(np.maximum(values, 0))
    dfs = np.minimum([row.df_seeds for row in rows], 1e6)  # numpy knows no infinite ones
    residuals = np.array([row.ms_residual for row in rows])
    squares = np.maximum([row.ms_seeds for row in rows], residuals)
    scale = count * np.array([row.seeds for row in rows])

    def variances(squares: Floats) -> Floats:
        return np.maximum(squares - residuals, 0) / scale

    true = squares * dfs / generator.chisquare(dfs, shape)
    seen = true * generator.chisquare(dfs, shape) / dfs
    means = generator.standard_normal(shape) @ root.T
    means += generator.standard_normal(shape) * np.sqrt(variances(true))
    return means, variances(seen)

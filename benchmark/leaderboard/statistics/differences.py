"""How much more often one row is right than another, and whether that could be chance."""

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from benchmark.leaderboard.statistics.estimates import (
    LEVEL,
    Answers,
    Clusters,
    Estimate,
    Floats,
    estimate,
    quantile,
)

EXPLANATION = """\
**Differences** are of answers to the same videos. With D the variance of the clusters' own
differences, V = D / C + S of one row + S of the other; margins are added as for one row. D / C is
at least what one cluster answered otherwise makes. Where pairs of seeds were declared beforehand,
the differences of each pair are the table, and that least is added to its margin. Two single runs
are compared exactly: of all ways to swap their answers cluster by cluster, p is the share that
differs as much. Where each video is its own cluster this is McNemar's exact test (1947).
"""


@dataclass(frozen=True)
class Difference:
    """One accuracy less another.

    Attributes:
        value: The difference.
        low: Where its 95 % interval begins.
        high: Where it ends.
        seeds_known: Whether that is of new seeds too; if not, of new videos for these very runs.
    """

    value: float
    low: float
    high: float
    seeds_known: bool


def difference(row: Estimate, other: Estimate, level: float = LEVEL) -> Difference:
    """Return how much more often `row` is right, their seeds independent of each other.

    Args:
        row: Of `estimates` over the same videos as the other.
        other: What it is compared with.
        level: Of the interval.

    Raises:
        ValueError: they have not the same clusters.
    """
    if row.clusters != other.clusters:
        raise ValueError(f"{row.clusters} clusters and {other.clusters} are not the same videos")
    variance = float(pair_variances(np.stack([row.by_cluster, other.by_cluster]))[0, 1])
    known = row.seeds_known and other.seeds_known
    margin = quantile(row.df_clusters, level) * math.sqrt(variance)
    if known:
        margin = math.hypot(margin, row.seed_margin(level), other.seed_margin(level))
    return _bounded(row.mean - other.mean, margin, known)


def difference_by_seed(
    right: Answers, other: Answers, clusters: Clusters, level: float = LEVEL
) -> Difference:
    """Return how much more often `right` is right, run by run, as was declared beforehand.

    Args:
        right: (seeds, videos).
        other: (seeds, videos), of the same seeds in the same order.
        clusters: (videos,).
        level: Of the interval.

    Raises:
        ValueError: the shapes disagree, or there are fewer than two clusters.
    """
    if right.shape != other.shape:
        raise ValueError(f"answers {right.shape} and {other.shape} are no pairs")
    found = estimate(right.astype(float) - other, clusters)
    margin = math.hypot(found.margin(level), quantile(found.df_clusters, level) / found.clusters)
    return _bounded(found.mean, margin, found.seeds_known)


def _bounded(value: float, margin: float, known: bool) -> Difference:
    return Difference(value, max(value - margin, -1.0), min(value + margin, 1.0), known)


def pair_variances(by_cluster: Floats) -> Floats:
    """Return (rows, rows): the variance new videos bring to the difference of each pair.

    Args:
        by_cluster: (rows, clusters), as `Estimate` has them.
    """
    count = by_cluster.shape[1]
    covariance = np.cov(by_cluster) / count
    own = np.diag(covariance)
    return np.maximum(own[:, None] + own - 2 * covariance, 1 / count**2)


def sign_flip_test(right: NDArray[np.bool_], other: NDArray[np.bool_], clusters: Clusters) -> float:
    """Return the exact two-sided p of two runs being right equally often.

    Of the 2^clusters ways to swap the runs' answers in some clusters and not in others, p is the
    share in which they differ at least as much as they do. All are counted: clusters that differ by
    as many answers swap as a binomial, and the binomials are convolved.

    Args:
        right: (videos,), of one run.
        other: (videos,), of the other.
        clusters: (videos,).

    Raises:
        ValueError: the shapes disagree.
    """
    if not right.shape == other.shape == clusters.shape:
        raise ValueError(
            f"{right.shape}, {other.shape} and {clusters.shape} are not the same videos"
        )
    _, place = np.unique(clusters, return_inverse=True)
    gaps = np.rint(np.bincount(place, weights=right.astype(float) - other)).astype(int)
    sizes = Counter(abs(gap) for gap in gaps.tolist() if gap)
    chances = np.ones(1)  # of the sum over the clusters that are swapped of |gap|
    for size, count in sizes.items():
        swapped = np.arange(count + 1)
        binomial = np.exp(
            special.gammaln(count + 1)
            - special.gammaln(swapped + 1)
            - special.gammaln(count - swapped + 1)
            - count * math.log(2)
        )
        spaced = np.zeros(size * count + 1)
        spaced[::size] = binomial
        chances = np.convolve(chances, spaced)
    total = len(chances) - 1
    sums = total - 2 * np.arange(total + 1)
    return min(1.0, float(chances[np.abs(sums) >= abs(int(gaps.sum()))].sum()))

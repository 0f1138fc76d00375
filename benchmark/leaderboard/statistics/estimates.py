"""What several seeds say together: a row's accuracy, and how sure it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

import numpy as np
from numpy.typing import NDArray
from scipy import special

LEVEL = 0.95  # of every interval of the board
SEEDS = 3  # from so many on the seeds' spread is estimated
SURE = 0.75  # how sure it must be that the rows' seeds spread alike before one lends to another

Answers = NDArray[np.bool_]  # (seeds, videos): whether a run was right about a video
Clusters = NDArray[np.integer]  # (videos,): videos with one number are not independent
Floats = NDArray[np.float64]

EXPLANATION = """\
**Accuracy.** Estimated is a method's accuracy over new seeds and new videos, given its recipe as it
was tuned. A cluster is what the dataset says is one source of videos. From the n x C table of right
answers of n seeds in C clusters (of unequal sizes: linearised, as for a ratio), with mean squares
MS, the mean has the variance

V = (MS_seeds + MS_clusters - MS_residual) / (nC) = S + K, K = MS_clusters / (nC), S at least 0.

MS_seeds / p(1 - p) is moderated over the table's rows (Smyth 2004): with a scaled inverse
chi-square prior, s0² with d0 degrees of freedom, fitted by moments to the logarithms, a row with
less than s0² gets (d0 s0² + (n - 1) s²) / (d0 + n - 1) and d0 + n - 1 degrees of freedom; one with
more keeps its own, for a table may hold methods whose seeds differ tenfold. d0 is what the rows'
differences are 75 % sure to bear out: few rows are alike by chance. The margins of both parts are
added as squares, t² V = t²(df of seeds) S + t²(df of clusters) K (Howe 1974; Zou and Donner 2008),
and the interval is Wilson's (1927) with this t and p(1 - p) / V videos, which ends at 0 and 100 %.
The degrees of freedom of V are Satterthwaite's (1946); p ± t of these alone holds the truth less
often (`make test` simulates both and prints how often).

With one or two seeds S is unknown: the interval is of new videos for these very runs, "seeds
unknown", and the row has no rank.

**No interval covers** what tuning found by luck, the copy of the dataset (which videos of the
official list were still to be had), or other datasets.
"""


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


@dataclass(frozen=True)
class Estimate:
    """A mean over new seeds and new videos, from its seeds x clusters table.

    Attributes:
        seeds: Runs.
        mean: Of all answers: the accuracy.
        by_cluster: (clusters,): each cluster's mean over the seeds; their mean is `mean`. Of
            clusters of unequal sizes they are linearised: `mean` + what the cluster adds to it.
        ms_seeds: The mean square between seeds, moderated if the row is one of a table's.
        ms_clusters: The mean square between clusters.
        ms_residual: The mean square of what neither explains.
        df_seeds: Degrees of freedom of `ms_seeds`; 0: too few seeds to know their spread.
        df_clusters: Of `ms_clusters`; fewer than clusters - 1 where a few have most videos.
    """

    seeds: int
    mean: float
    by_cluster: Floats
    ms_seeds: float
    ms_clusters: float
    ms_residual: float
    df_seeds: float
    df_clusters: float

    @property
    def clusters(self) -> int:
        """How many there are."""
        return len(self.by_cluster)

    @property
    def seeds_known(self) -> bool:
        """Whether `interval` is of new seeds too; if not, of new videos for these very runs."""
        return self.df_seeds > 0

    @property
    def seed_variance(self) -> float:
        """What new seeds bring to `variance`; 0 where it isn't known."""
        excess = max(self.ms_seeds - self.ms_residual, 0.0) if self.seeds_known else 0.0
        return excess / (self.seeds * self.clusters)

    @property
    def cluster_variance(self) -> float:
        """What new videos bring to `variance`."""
        return self.ms_clusters / (self.seeds * self.clusters)

    @property
    def variance(self) -> float:
        """The mean's: (MS_seeds + MS_clusters - MS_residual) / (seeds x clusters)."""
        return self.seed_variance + self.cluster_variance

    @property
    def df(self) -> float:
        """Satterthwaite's degrees of freedom of `variance`."""
        terms = [(self.ms_clusters, self.df_clusters)]
        if self.seeds_known:
            residual = (self.seeds - 1) * self.df_clusters
            terms += [(self.ms_seeds, self.df_seeds), (self.ms_residual, residual)]
        doubt = sum(square**2 / df for square, df in terms)
        total = self.variance * self.seeds * self.clusters
        return total**2 / doubt if doubt > 0 else self.df_clusters

    def seed_margin(self, level: float = LEVEL) -> float:
        """Return half the width of an interval that new seeds alone would ask for."""
        return quantile(self.df_seeds, level) * math.sqrt(self.seed_variance)

    def margin(self, level: float = LEVEL) -> float:
        """Return half the width of an interval that knows no bounds."""
        of_clusters = quantile(self.df_clusters, level) * math.sqrt(self.cluster_variance)
        return math.hypot(of_clusters, self.seed_margin(level))

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the interval of an accuracy, which ends at 0 and 1: Wilson's."""
        spread = self.mean * (1 - self.mean)
        if self.variance > 0:
            size = spread / self.variance  # of as many independent videos
            t = self.margin(level) / math.sqrt(self.variance)
        else:
            size, t = float(self.clusters), quantile(self.df_clusters, level)
        share = t**2 / size
        middle = (self.mean + share / 2) / (1 + share)
        half = t * math.sqrt(spread / size + share / (4 * size)) / (1 + share)
        # at 0 and 1 an end is the mean itself, but for rounding
        return min(max(middle - half, 0.0), self.mean), max(min(middle + half, 1.0), self.mean)


def quantile(df: float, level: float) -> float:
    """Return Student's two-sided quantile; 0 for no degrees of freedom."""
    if df == math.inf:
        return float(special.ndtri(0.5 + level / 2))
    return float(special.stdtrit(df, 0.5 + level / 2)) if df > 0 else 0.0


def estimate(values: Answers | Floats, clusters: Clusters) -> Estimate:
    """Return the estimate of a row alone, its seeds' mean square not moderated.

    Args:
        values: (seeds, videos): right answers, or differences of them.
        clusters: (videos,), any numbers.

    Raises:
        ValueError: the shapes disagree, or there are fewer than two clusters.
    """
    return _estimate(values, *_places(clusters))


def _places(clusters: Clusters) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return (videos,), each one's cluster counted from 0, and (clusters,), their videos."""
    names, places, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise ValueError("all videos are of one cluster: nothing says how clusters differ")
    return places, sizes


def _estimate(
    values: Answers | Floats, places: NDArray[np.intp], sizes: NDArray[np.intp]
) -> Estimate:
    if values.ndim != 2 or not len(values) or places.shape != values.shape[1:]:
        raise ValueError(f"answers {values.shape} and clusters {places.shape} do not fit")
    (seeds, videos), count = values.shape, len(sizes)
    mean = float(values.mean())
    sums = np.stack([np.bincount(places, weights=run, minlength=count) for run in values])
    table = mean + (count / videos) * (sums - mean * sizes)
    by_cluster = table.mean(axis=0)
    of_seeds = count * float(np.square(table.mean(axis=1) - mean).sum())
    of_clusters = seeds * float(np.square(by_cluster - mean).sum())
    total = float(np.square(table - mean).sum())
    residual = max(total - of_seeds - of_clusters, 0.0)
    df_seeds = seeds - 1
    return Estimate(
        seeds=seeds,
        mean=mean,
        by_cluster=by_cluster,
        ms_seeds=of_seeds / df_seeds if df_seeds else 0.0,
        ms_clusters=of_clusters / (count - 1),
        ms_residual=residual / (df_seeds * (count - 1)) if df_seeds else 0.0,
        df_seeds=float(df_seeds) if seeds >= SEEDS else 0.0,
        df_clusters=max(videos**2 / float(np.square(sizes).sum()) - 1, 1.0),
    )


def estimates(rows: Sequence[Answers], clusters: Clusters) -> list[Estimate]:
    """Return the estimates of a table's rows, their mean squares between seeds moderated.

    Moderated is the mean square over p (1 - p), so that rows near 0 and 1 compare with others.

    Args:
        rows: (seeds, videos) each, the same videos, of as many seeds as a row has.
        clusters: (videos,).

    Raises:
        ValueError: as `estimate`.
    """
    places, sizes = _places(clusters)
    alone = [_estimate(right, places, sizes) for right in rows]
    spreads = [each.mean * (1 - each.mean) for each in alone]
    lend = [i for i, each in enumerate(alone) if each.seeds_known and spreads[i] > 0]
    if len(lend) < 2:
        return alone
    ratios = np.array([alone[i].ms_seeds / spreads[i] for i in lend])
    prior, df = prior_variance(ratios, np.array([alone[i].df_seeds for i in lend]))
    found = list(alone)
    for i, ratio in zip(lend, ratios, strict=True):
        if ratio < prior:
            own = alone[i].df_seeds
            square = (df * prior + own * float(ratio)) / (df + own) if df < math.inf else prior
            found[i] = replace(alone[i], ms_seeds=square * spreads[i], df_seeds=own + df)
    return found


def prior_variance(
    variances: Floats, dfs: Floats, sure: float | None = SURE
) -> tuple[float, float]:
    """Return the prior of variances and its degrees of freedom (Smyth 2004, section 6.2).

    Args:
        variances: (rows,), of normal values. Those near 0 count as 1e-5 of the median, as in limma.
        dfs: (rows,), theirs.
        sure: How sure it is that the variances differ no more than the prior says; None: Smyth's
            estimate itself, which takes few variances that are alike by chance for equal ones.

    Returns:
        s0² and d0; d0 is infinite where nothing says that they differ.
    """
    least = 1e-5 * (float(np.median(variances)) or 1.0)
    logs = np.log(np.maximum(variances, least)) - special.digamma(dfs / 2) + np.log(dfs / 2)
    df = len(logs) - 1
    spread = float(logs.var(ddof=1))
    if sure is not None:
        spread *= df / float(special.chdtri(df, sure))
    excess = spread - float(special.polygamma(1, dfs / 2).mean())
    if excess <= 0:
        return float(np.exp(logs.mean())), math.inf
    half = inverse_trigamma(excess)
    return float(np.exp(logs.mean() + special.digamma(half) - math.log(half))), 2 * half


def inverse_trigamma(value: float) -> float:
    """Return y with trigamma(y) = `value` > 0, by Newton's method (Smyth 2004, appendix)."""
    y = 0.5 + 1 / value
    while True:
        trigamma = float(special.polygamma(1, y))
        step = trigamma * (1 - trigamma / value) / float(special.polygamma(2, y))
        y += step
        if -step / y < 1e-8:
            return y

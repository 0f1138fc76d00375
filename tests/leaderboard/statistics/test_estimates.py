"""A row's estimate, against analyses of variance, limma and Wilson's formula written out."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate, special, stats

from benchmark.leaderboard.statistics.estimates import (
    estimate,
    estimates,
    inverse_trigamma,
    prior_variance,
    summarize,
)

RIGHT = np.array([[1, 1, 0, 1], [1, 0, 0, 1], [1, 1, 0, 0]], dtype=bool)
ALONE = np.arange(4)


def some(accuracy, seeds=3, videos=200, seed=0):
    generator = np.random.default_rng(seed)
    return generator.random((seeds, videos)) < accuracy


def test_mean_squares_are_those_of_a_table_worked_by_hand():
    row = estimate(RIGHT, ALONE)
    # seeds 3/4, 2/4, 2/4; videos 1, 2/3, 0, 2/3; the mean 7/12, 35/12 about it
    assert row.mean == pytest.approx(7 / 12)
    assert row.ms_seeds == pytest.approx(4 * (4 + 1 + 1) / 144 / 2)
    assert row.ms_clusters == pytest.approx(3 * (25 + 1 + 49 + 1) / 144 / 3)
    assert row.ms_residual == pytest.approx((35 / 12 - 1 / 6 - 19 / 12) / 6)
    assert row.by_cluster == pytest.approx([1, 2 / 3, 0, 2 / 3])


def test_the_variance_is_that_of_seeds_and_clusters_less_what_they_share():
    row = replace(estimate(RIGHT, ALONE), ms_seeds=0.5)
    total = 0.5 + row.ms_clusters - row.ms_residual
    assert row.variance == pytest.approx(total / 12)
    doubt = 0.5**2 / 2 + row.ms_clusters**2 / 3 + row.ms_residual**2 / 6
    assert row.df == pytest.approx(total**2 / doubt)


def test_seeds_that_differ_less_than_chance_make_no_interval_narrower():
    row = replace(estimate(RIGHT, ALONE), ms_seeds=0.0)
    assert row.variance == pytest.approx(row.ms_clusters / 12) and row.seed_margin() == 0


def test_clusters_of_equal_size_count_as_their_means():
    right = some(0.7)
    row = estimate(right, np.arange(200) % 50)
    means = right.reshape(3, 4, 50).mean(axis=1)
    assert row.by_cluster == pytest.approx(means.mean(axis=0))
    assert row.ms_clusters == pytest.approx(3 * means.mean(axis=0).var(ddof=1))
    assert row.df_clusters == pytest.approx(49)


def test_clusters_of_unequal_sizes_vary_as_a_ratio_does():
    generator = np.random.default_rng(1)
    sizes = generator.integers(1, 30, 80)
    clusters = np.repeat(np.arange(80), sizes)
    right = some(0.7, seeds=1, videos=len(clusters))
    row = estimate(right, clusters)
    assert row.mean == right.mean()  # every video counts once
    hits = np.array([right[0, clusters == each].sum() for each in range(80)])
    ratio = 80 / 79 * np.square(hits - row.mean * sizes).sum() / sizes.sum() ** 2  # Cochran 1977
    assert row.variance == pytest.approx(ratio)
    assert row.df_clusters == pytest.approx(sizes.sum() ** 2 / np.square(sizes).sum() - 1)


def test_repeated_videos_are_no_news():
    right = some(0.8, seeds=1)
    twice = np.repeat(right, 2, axis=1)
    once = estimate(right, np.arange(200)).interval()
    assert estimate(twice, np.repeat(np.arange(200), 2)).interval() == pytest.approx(once)
    narrower = estimate(twice, np.arange(400)).interval()
    assert narrower[1] - narrower[0] < 0.8 * (once[1] - once[0])


def test_numbers_and_order_of_clusters_do_not_matter():
    right, clusters = some(0.6), np.arange(200) % 37
    order = np.random.default_rng(2).permutation(200)
    told = estimate(right, clusters).interval()
    assert estimate(right[:, order], 1000 - 3 * clusters[order]).interval() == pytest.approx(told)


def test_one_run_of_independent_videos_has_wilsons_interval():
    right = some(0.9, seeds=1, videos=20_000)
    low, high = estimate(right, np.arange(20_000)).interval()
    wilson = stats.binomtest(int(right.sum()), 20_000).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((wilson.low, wilson.high), abs=1e-5)


@pytest.mark.parametrize("seeds", [1, 2, 3])
@pytest.mark.parametrize("truth", [0, 1])
def test_an_interval_ends_at_0_and_at_100_percent(seeds, truth):
    row = estimate(np.full((seeds, 100), bool(truth)), np.arange(100))
    low, high = row.interval()
    assert (high if truth else low) == truth
    t = stats.t.ppf(0.975, 99)  # Wilson's own end of 100 right of 100
    assert high - low == pytest.approx(t**2 / (100 + t**2))


@pytest.mark.parametrize("accuracy", [0.001, 0.02, 0.5, 0.98, 0.999])
def test_an_interval_holds_its_mean_and_stays_in_bounds(accuracy):
    for seed in range(20):
        row = estimate(some(accuracy, seed=seed), np.arange(200))
        low, high = row.interval()
        assert 0 <= low <= row.mean <= high <= 1 and low < high


def test_few_seeds_are_not_known():
    for seeds, known in ((1, False), (2, False), (3, True)):
        row = estimate(some(0.8, seeds), np.arange(200))
        assert row.seeds_known is known
        assert row.variance >= row.cluster_variance > 0
        assert known or (row.seed_margin() == 0 and row.df == pytest.approx(199))


def test_the_trigamma_function_is_inverted():
    for y in (1e-3, 0.3, 1.0, 7.0, 1e4):
        assert inverse_trigamma(float(special.polygamma(1, y))) == pytest.approx(y)


def test_the_prior_is_found_again_that_variances_were_drawn_from():
    generator = np.random.default_rng(3)
    true = 2.5 * 6 / generator.chisquare(6, 40_000)  # scaled inverse chi-square: s0² 2.5, d0 6
    variances = true * generator.chisquare(4, 40_000) / 4
    prior, df = prior_variance(variances, np.full(40_000, 4.0), sure=None)
    assert prior == pytest.approx(2.5, rel=0.02) and df == pytest.approx(6, rel=0.06)
    # such a variance over s0² is F distributed, whose logarithm has this mean (Smyth 2004)
    log_f, _ = integrate.quad(lambda x: math.log(x) * stats.f.pdf(x, 4, 6), 0, np.inf)
    assert np.log(variances / 2.5).mean() == pytest.approx(log_f, abs=0.02)


def test_few_variances_that_are_alike_by_chance_lend_little():
    alike, dfs = np.array([1.0, 1.1, 0.9]), np.full(3, 2.0)
    assert prior_variance(alike, dfs, sure=None)[1] == math.inf
    many = np.random.default_rng(4).chisquare(2, 3000)
    assert prior_variance(many, np.full(3000, 2.0))[1] > 40


def test_a_row_is_lent_to_as_smyth_says_and_never_made_narrower():
    clusters = np.arange(200)
    rows = [some(accuracy, seed=i) for i, accuracy in enumerate([0.8, 0.7, 0.9, 0.6, 0.75, 0.85])]
    alone = [estimate(right, clusters) for right in rows]
    spreads = np.array([each.mean * (1 - each.mean) for each in alone])
    ratios = np.array([each.ms_seeds for each in alone]) / spreads
    prior, df = prior_variance(ratios, np.full(6, 2.0))
    assert 0 < (ratios < prior).sum() < 6 and df < math.inf
    for own, found, spread in zip(alone, estimates(rows, clusters), spreads, strict=True):
        if own.ms_seeds < prior * spread:
            moderated = (df * prior * spread + 2 * own.ms_seeds) / (df + 2)
            assert found.ms_seeds == pytest.approx(moderated)
            assert found.df_seeds == pytest.approx(df + 2)
        else:
            assert (found.ms_seeds, found.df_seeds) == (own.ms_seeds, 2)


def test_rows_of_few_seeds_and_perfect_rows_lend_nothing():
    clusters = np.arange(200)
    others = [np.ones((3, 200), dtype=bool), some(0.5, seeds=2), some(0.6, seeds=1)]
    rows = [some(0.8, seed=i) for i in range(5)]
    for with_others, without in zip(
        estimates(rows + others, clusters), estimates(rows, clusters), strict=False
    ):
        assert with_others.interval() == without.interval()
    assert [row.seeds_known for row in estimates(others, clusters)] == [True, False, False]


def test_what_cannot_be_estimated_is_refused():
    with pytest.raises(ValueError, match="do not fit"):
        estimate(RIGHT, np.arange(3))
    with pytest.raises(ValueError, match="do not fit"):
        estimate(RIGHT[0], ALONE)
    with pytest.raises(ValueError, match="one cluster"):
        estimate(RIGHT, np.zeros(4, dtype=int))
    with pytest.raises(ValueError, match="nothing to summarize"):
        summarize([])

"""Intervals and ranks hold what is true as often as they say: simulated, and printed."""

import math

import numpy as np
import pytest
from made_answers import made_rows, possible

from benchmark.leaderboard.statistics.differences import difference
from benchmark.leaderboard.statistics.estimates import estimates, quantile
from benchmark.leaderboard.statistics.ranks import Ranks, ranks

ACCURACIES = (0.15, 0.5, 0.8, 0.95, 0.99, 1.0)
SPREADS = (0.0, 0.004, 0.013, 0.04)  # of the accuracy over seeds
ROWS = 8  # of a table, each of some accuracy and some spread
RANKS = 0.06  # of tables of equal rows, in which some rank may be wrong
UNEQUAL = np.repeat(np.arange(100), 1 + np.random.default_rng(0).geometric(0.1, 100))
CLUSTERS = {  # and how many tables of them
    "100 videos": (np.arange(100), 1200),
    "1,000 videos": (np.arange(1000), 1000),
    "20,000 videos": (np.arange(20_000), 200),
    f"100 clusters, {len(UNEQUAL):,} videos": (UNEQUAL, 800),
}


def error(rate, tries):
    """Return three standard errors of a simulated rate."""
    return 3 * math.sqrt(rate * (1 - rate) / tries)


def assert_between(held, low=0.93, high=0.98):
    """Fail where the simulation says, beyond its own error, that a rate isn't from low to high."""
    assert low - error(low, len(held)) <= np.mean(held) <= high + error(high, len(held))


def simulate(seeds, clusters, tables, generator):
    """Return for each row of all tables its accuracy, its spread, and whether intervals held it.

    The last two are of our intervals and of those with Satterthwaite's degrees of freedom alone.
    """
    rows, differences = [], []
    for _ in range(tables):
        accuracies = generator.choice(ACCURACIES, ROWS)
        spreads = generator.choice(SPREADS, ROWS)
        found = estimates(made_rows(generator, accuracies, spreads, seeds, clusters), clusters)
        for row, accuracy, spread in zip(found, accuracies, spreads, strict=True):
            low, high = row.interval()
            margin = quantile(row.df, 0.95) * math.sqrt(row.variance)
            plain = abs(row.mean - accuracy) <= margin
            rows.append((accuracy, spread, low <= accuracy <= high, plain))
        for i in range(0, ROWS, 2):
            gap = difference(found[i], found[i + 1])
            differences.append(gap.low <= accuracies[i] - accuracies[i + 1] <= gap.high)
    return *np.array(rows).T, np.array(differences)


def check(seeds, clusters, tables):
    """Fail where intervals don't hold the truth in 93 to 98 of 100 cases; return how often."""
    accuracy, spread, held, plain, differences = simulate(
        seeds, clusters, tables, np.random.default_rng(seeds)
    )
    inside = accuracy < 1  # at 1 every run is right about every video
    by_accuracy = {each: held[accuracy == each] for each in ACCURACIES}
    by_spread = {each: held[inside & (spread == each)] for each in SPREADS}
    assert by_accuracy.pop(1.0).all()
    for group in (*by_accuracy.values(), *by_spread.values(), held[inside], differences):
        assert_between(group)
    return (
        "by accuracy "
        + ", ".join(f"{100 * each.mean():.1f} at {key}" for key, each in by_accuracy.items())
        + "; by spread over seeds "
        + ", ".join(f"{100 * each.mean():.1f} at {key}" for key, each in by_spread.items())
        + f"; differences {100 * differences.mean():.1f}"
        + f"; t with Satterthwaite's df alone {100 * plain[inside].mean():.1f}"
    )


def wrong_ranks(rows, seeds, videos, tables):
    """Return in how many tables of equally good rows some rank is wrongly left out."""
    generator = np.random.default_rng(rows + seeds)
    clusters, accuracies = np.arange(videos), np.full(rows, 0.8)
    wrong = 0
    for _ in range(tables):
        answers = made_rows(generator, accuracies, generator.choice(SPREADS, rows), seeds, clusters)
        found = ranks(estimates(answers, clusters), draws=500)
        wrong += any(each != Ranks(1, rows) for each in found)
    return wrong


@pytest.mark.slow
def test_intervals_hold_the_truth_of_3_seeds_and_100_videos():
    check(3, np.arange(100), 200)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("name", CLUSTERS)
def test_intervals_hold_the_truth_in_93_to_98_of_100_cases(seeds, name, record_property):
    clusters, tables = CLUSTERS[name]
    told = check(seeds, clusters, tables)
    record_property(
        "95 % intervals: how many of 100 hold the truth, simulated",
        f"{seeds} seeds, {name}: {told}",
    )


@pytest.mark.slow
def test_equal_rows_all_may_have_any_rank():
    assert wrong_ranks(8, 3, 400, 100) <= 100 * (RANKS + error(RANKS, 100))


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "tables"), [(8, 900), (30, 300)])
@pytest.mark.parametrize("seeds", [3, 5])
def test_ranks_of_equal_rows_are_wrong_in_at_most_6_of_100_tables(
    rows, tables, seeds, record_property
):
    wrong = wrong_ranks(rows, seeds, 400, tables)
    record_property(
        "95 % intervals of ranks: tables of equal rows with a wrong one, of 100, simulated",
        f"{rows} rows, {seeds} seeds, 400 videos: {100 * wrong / tables:.1f} ({wrong} of {tables})",
    )
    assert wrong <= tables * (RANKS + error(RANKS, tables))


def test_made_rows_are_as_accurate_and_as_spread_as_they_say():
    generator = np.random.default_rng(0)
    answers = made_rows(generator, [0.9] * 200, [0.04] * 200, 5, np.arange(4000) // 4)
    of_runs = answers.mean(axis=2)
    assert (
        abs(of_runs.mean() - 0.9) < 0.015
    )  # all rows' videos are the same 4,000 in 1,000 clusters
    assert abs(np.sqrt(of_runs.var(axis=1, ddof=1).mean()) - 0.04) < 0.004
    assert possible(0.99, 0.04) == pytest.approx(0.005)

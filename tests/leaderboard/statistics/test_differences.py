"""Differences of rows and of runs, against tests that others wrote and against counting."""

import itertools

import numpy as np
import pytest
from scipy import stats

from benchmark.leaderboard.statistics.differences import (
    difference,
    difference_by_seed,
    sign_flip_test,
)
from benchmark.leaderboard.statistics.estimates import estimate, estimates

VIDEOS = np.arange(300)


def pair(seeds=4, videos=300, seed=0):
    """Two rows' answers to videos that are hard for both or for neither."""
    generator = np.random.default_rng(seed)
    hard = generator.random(videos)
    return [(hard + generator.random((seeds, videos))) / 2 < limit for limit in (0.6, 0.55)]


def width(found):
    return found.high - found.low


def test_a_difference_is_that_of_the_means_and_turns_around():
    one, two = estimates(pair(), VIDEOS)
    there, back = difference(one, two), difference(two, one)
    assert there.value == pytest.approx(one.mean - two.mean)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert there.low < there.value < there.high and there.seeds_known


def test_answers_to_the_same_videos_tell_more_than_answers_to_others():
    right, other = pair()
    same = difference(estimate(right, VIDEOS), estimate(other, VIDEOS))
    apart = difference(estimate(right, VIDEOS), estimate(other[:, ::-1], VIDEOS))
    assert width(same) < 0.8 * width(apart)


def test_single_runs_differ_as_paired_videos_do():
    right, other = pair(seeds=1)
    found = difference(estimate(right, VIDEOS), estimate(other, VIDEOS))
    interval = stats.ttest_1samp(right[0].astype(float) - other[0], 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert not found.seeds_known


def test_runs_paired_by_seed_are_a_table_of_differences():
    generator = np.random.default_rng(1)
    right = generator.random((4, 300)) < generator.uniform(0.3, 0.9, (4, 1))
    other = right ^ (generator.random((4, 300)) < 0.02)  # nearly the same run, seed by seed
    paired = difference_by_seed(right, other, VIDEOS)
    independent = difference(estimate(right, VIDEOS), estimate(other, VIDEOS))
    assert paired.value == pytest.approx(independent.value)
    assert width(paired) < 0.2 * width(independent)


def test_rows_without_a_difference_are_not_known_to_be_equal():
    right = np.ones((3, 300), dtype=bool)
    row = estimate(right, VIDEOS)
    for found in (difference(row, row), difference_by_seed(right, right, VIDEOS)):
        assert found.value == 0 and 1 / 300 < found.high == -found.low < 0.01


def test_a_difference_stays_in_bounds():
    every, none = np.ones((3, 5), dtype=bool), np.zeros((3, 5), dtype=bool)
    clusters = np.arange(5)
    found = difference(estimate(every, clusters), estimate(none, clusters))
    assert found.value == found.high == 1 and found.low < 1


def test_mcnemars_exact_test_is_that_of_videos_that_are_their_own_clusters():
    for seed in range(20):
        (right,), (other,) = pair(seeds=1, seed=seed)
        won, lost = int((right & ~other).sum()), int((other & ~right).sum())
        p = stats.binomtest(won, won + lost).pvalue
        assert sign_flip_test(right, other, VIDEOS) == pytest.approx(p)


def test_sign_flips_are_those_that_counting_all_finds():
    generator = np.random.default_rng(2)
    for clusters in (np.arange(40) % 9, np.repeat(np.arange(12), generator.integers(1, 8, 12))):
        right, other = generator.random((2, len(clusters))) < [[0.8], [0.6]]
        gaps = np.bincount(clusters, weights=right.astype(int) - other.astype(int))
        flips = np.array(list(itertools.product((-1, 1), repeat=len(gaps))))
        p = np.mean(np.abs(flips @ gaps) >= abs(gaps.sum()) - 1e-9)
        assert sign_flip_test(right, other, clusters) == pytest.approx(p)


def test_equal_runs_have_p_1():
    right = np.ones(300, dtype=bool)
    assert sign_flip_test(right, right, VIDEOS) == 1


def test_twenty_thousand_videos_are_counted_exactly():
    right = np.arange(20_000) % 3 > 0
    other = right ^ (np.arange(20_000) % 5 == 0)
    won, lost = int((right & ~other).sum()), int((other & ~right).sum())
    p = sign_flip_test(right, other, np.arange(20_000))
    assert p == pytest.approx(stats.binomtest(won, won + lost).pvalue, rel=1e-6)


def test_what_is_not_of_the_same_videos_is_refused():
    right, other = pair()
    with pytest.raises(ValueError, match="same videos"):
        difference(estimate(right, VIDEOS), estimate(other, VIDEOS // 2))
    with pytest.raises(ValueError, match="no pairs"):
        difference_by_seed(right, other[:3], VIDEOS)
    with pytest.raises(ValueError, match="same videos"):
        sign_flip_test(right[0], other[0], VIDEOS[1:])

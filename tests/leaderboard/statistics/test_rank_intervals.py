"""Which ranks are sure, and that all of them are at once; how often, `test_coverage.py` shows."""

import numpy as np
import pytest
from made_answers import made_rows

from benchmark.leaderboard.statistics.estimates import estimates
from benchmark.leaderboard.statistics.ranks import Ranks, ranks, surely_better

VIDEOS = np.arange(400)


def table(accuracies, seeds=3, spread=0.0, seed=0):
    generator = np.random.default_rng(seed)
    return list(made_rows(generator, accuracies, [spread] * len(accuracies), seeds, VIDEOS))


def told(rows):
    return [str(each) for each in ranks(estimates(rows, VIDEOS))]


def test_rows_far_apart_have_one_rank_each():
    assert told(table([0.3, 0.9, 0.5, 0.7])) == ["4", "1", "3", "2"]


def test_rows_that_may_be_equal_share_their_ranks():
    assert told(table([0.9, 0.5, 0.5, 0.5, 0.1])) == ["1", "2-4", "2-4", "2-4", "5"]


def test_seeds_that_differ_make_ranks_unsure():
    assert told(table([0.85, 0.75], spread=0.0)) == ["1", "2"]
    assert told(table([0.85, 0.75], spread=0.06)) == ["1-2", "1-2"]


def test_rows_of_one_or_two_seeds_have_no_rank_and_take_none():
    few = [row[:2] for row in table([0.7], seed=1)]
    found = ranks(estimates([*table([0.3, 0.9]), *few], VIDEOS))
    assert found == [Ranks(2, 2), Ranks(1, 1), None]
    assert ranks(estimates([few[0], few[0][:1]], VIDEOS)) == [None, None]
    assert ranks(estimates(table([0.4]), VIDEOS)) == [Ranks(1, 1)] and ranks([]) == []


def test_perfect_rows_are_equal():
    assert told([np.ones((3, 400), dtype=bool)] * 3) == ["1-3"] * 3


def test_ranks_are_a_function_of_the_answers_and_not_of_their_order():
    rows = table([0.6, 0.62, 0.66, 0.7, 0.74])
    once = told(rows)
    assert told(rows) == once and told(rows[::-1]) == once[::-1]


def test_a_pair_must_differ_by_more_among_many():
    rows = table([0.5, 0.57, *[0.535] * 20])
    alone = surely_better(estimates(rows[:2], VIDEOS))
    among = surely_better(estimates(rows, VIDEOS))
    assert alone[1, 0] and not among[1, 0] and not alone[0, 1]


def test_a_looser_level_is_surer():
    rows = estimates(table([0.5 + 0.02 * i for i in range(8)]), VIDEOS)
    loose, strict = (surely_better(rows, level) for level in (0.5, 0.95))
    assert loose.sum() > strict.sum() > 0 and not (strict & ~loose).any()


def test_rows_of_other_videos_are_refused():
    one, two = estimates(table([0.5]), VIDEOS), estimates(table([0.5]), VIDEOS // 2)
    with pytest.raises(ValueError, match="same videos"):
        ranks(one + two)

"""The best of n trials is expected at what drawing all of them says."""

import itertools
from statistics import fmean

import pytest

from benchmark.leaderboard.statistics.expected_best import expected_best


@pytest.mark.parametrize("scores", [[0.3], [0.1, 0.9, 0.5], [0.2, 0.2, 0.7, 0.1]])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_it_is_the_mean_over_all_that_can_be_drawn(scores, n):
    every = fmean(max(drawn) for drawn in itertools.product(scores, repeat=n))
    assert expected_best(scores, n) == pytest.approx(every, abs=1e-12)


def test_more_trials_never_promise_less_and_never_more_than_the_best():
    scores = [0.1, 0.6, 0.3, 0.5]
    found = [expected_best(scores, n) for n in range(1, 60)]
    assert found == sorted(found) and found[0] == pytest.approx(fmean(scores))
    assert found[-1] == pytest.approx(0.6, abs=1e-6)


@pytest.mark.parametrize(("scores", "n"), [([], 1), ([0.5], 0)])
def test_the_best_of_nothing_is_none(scores, n):
    with pytest.raises(ValueError, match="is none"):
        expected_best(scores, n)

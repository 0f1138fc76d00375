"""The Pareto front is what nothing beats."""

import numpy as np
import pytest

from benchmark.leaderboard.statistics.fronts import pareto_front


def test_a_front_is_what_no_row_beats():
    accuracy, cost = [0.9, 0.8, 0.85, 0.9, 0.7], [10.0, 1.0, 5.0, 20.0, 1.0]
    assert pareto_front(accuracy, cost, ("higher", "lower")) == [True, True, True, False, False]


@pytest.mark.parametrize("one", ["higher", "lower"])
@pytest.mark.parametrize("two", ["higher", "lower"])
def test_a_front_is_that_of_the_definition(one, two):
    generator = np.random.default_rng(0)
    for _ in range(50):
        first, second = generator.integers(0, 6, (2, 12)).astype(float).tolist()
        points = np.array([first, second]) * [
            [1 if one == "higher" else -1],
            [1 if two == "higher" else -1],
        ]
        beaten = [
            any(
                (points[:, j] >= points[:, i]).all() and (points[:, j] > points[:, i]).any()
                for j in range(12)
            )
            for i in range(12)
        ]
        assert pareto_front(first, second, (one, two)) == [not each for each in beaten]


def test_equal_rows_are_on_it_together():
    assert pareto_front([0.5, 0.5], [1.0, 1.0], ("higher", "lower")) == [True, True]


def test_a_missing_cell_is_told_and_beats_nothing():
    found = pareto_front([0.9, None, 0.8], [None, 1.0, 2.0], ("higher", "lower"))
    assert found == [None, None, True]

"""What several seeds say together."""

import math

import pytest

from benchmark.leaderboard.statistics import summarize


def test_the_sample_standard_deviation_is_over_n_minus_1():
    assert summarize([0.0, 2.0]).sd == pytest.approx(math.sqrt(2))
    assert summarize([3.0]).sd is None and summarize([3.0]).mean == 3.0
    for bad in ([], [float("nan")]):
        with pytest.raises(ValueError, match="nothing to summarize"):
            summarize(bad)

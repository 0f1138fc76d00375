"""Others' scores, against what they printed; and one number of several datasets."""

import pytest

from benchmark.leaderboard.statistics.scores import (
    borda,
    mean_over_datasets,
    performance_memory_tradeoff,
    performance_parameter_tradeoff,
)


@pytest.mark.parametrize(
    ("millions", "factor"),
    [(0, 1), (0.05, 0.998), (3.7, 0.872), (7.1, 0.792), (11, 0.725), (14, 0.684), (86, 0.375)],
)
def test_ppt_has_v_petls_factor(millions, factor):
    found = performance_parameter_tradeoff(0.8, millions * 1e6)
    assert found == pytest.approx(0.8 * factor, abs=5e-4)


def test_the_memory_twin_takes_memory_over_that_of_full_fine_tuning():
    assert performance_memory_tradeoff(0.8, 3.0, 3.0) == pytest.approx(
        performance_parameter_tradeoff(0.8, 1e7)
    )
    assert performance_memory_tradeoff(0.8, 1.0, 3.0) > performance_memory_tradeoff(0.8, 2.0, 3.0)


DATASETS = [
    {"aim": 0.9, "full": 0.8, "lora": 0.7, "new": 0.95},
    {"aim": 0.6, "full": 0.6, "lora": 0.7, "new": None},
    {"aim": 0.5, "full": 0.4, "lora": 0.1},
]


def test_a_mean_is_over_all_datasets_or_missing():
    found = mean_over_datasets(DATASETS)
    assert found.pop("new") is None
    assert found == pytest.approx({"aim": 2 / 3, "full": 0.6, "lora": 0.5})


def test_borda_counts_the_rivals_a_method_beats():
    assert borda(DATASETS) == {
        "aim": 2 + 0.5 + 2,
        "full": 1 + 0.5 + 1,
        "lora": 0 + 2 + 0,
        "new": None,
    }


def test_nothing_is_counted_of_nothing():
    assert borda([]) == mean_over_datasets([]) == {}
    assert borda([{"aim": None}]) == {"aim": None} and borda([{"aim": 0.3}]) == {"aim": 0}

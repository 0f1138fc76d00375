"""Few shots and fractions: by what videos are called, whatever else a copy of a dataset is like."""

import numpy as np
import pytest
from make_datasets import kinetics, problem

from datamodules.dataset_info import Split
from datamodules.datasets._subsets import called, few, part
from datamodules.datasets.kinetics400 import kinetics400

CLASSES, PER_CLASS = 7, 40
NAMES = tuple(f"class {i}" for i in range(CLASSES))
PATHS = [f"train/{i % CLASSES}/-{i:09d}__{i % 90:06d}_{i % 90 + 10:06d}.mp4" for i in range(280)]
LABELS = np.arange(len(PATHS)) % CLASSES


def listed(paths: list[str], labels: np.ndarray) -> Split:
    return Split.of(paths, labels)


def tenth(split: Split, fraction: float = 0.1, seed: int = 0) -> set[str]:
    return {called(split.name(i)) for i in part(split, fraction, seed, CLASSES)}


def shots(split: Split, count: int, seed: int = 0) -> set[str]:
    return {called(split.name(i)) for i in few(split, count, seed, NAMES)}


def test_a_fraction_is_that_of_every_class_and_the_same_for_good() -> None:
    split = listed(PATHS, LABELS)
    chosen = split.select(part(split, 0.1, 0, CLASSES))
    assert np.bincount(chosen.labels).tolist() == [4] * CLASSES
    assert chosen.sha256().startswith("738e523e2c918b57")
    assert tenth(split) != tenth(split, seed=1)
    assert tenth(split) < tenth(split, 0.25)  # with other fractions of a seed one is in the other


def test_neither_order_nor_place_nor_labels_numbers_matter() -> None:
    split, rng = listed(PATHS, LABELS), np.random.default_rng(0)
    order = rng.permutation(len(PATHS))
    elsewhere = [f"k400/{called(path)}.webm" for path in PATHS]  # without times in the names
    others = (
        listed([PATHS[i] for i in order], LABELS[order]),
        listed(elsewhere, LABELS),
        listed(PATHS, CLASSES - 1 - LABELS),
    )
    for other in others:
        assert tenth(other) == tenth(split) and shots(other, 3) == shots(split, 3)


def test_what_a_copy_lacks_is_replaced_and_all_others_stay() -> None:
    split = listed(PATHS, LABELS)
    whole = shots(split, 4)
    for seed in range(5):
        kept = np.sort(np.random.default_rng(seed).permutation(len(PATHS))[:250])
        there = {called(PATHS[i]) for i in kept}
        copy = listed([PATHS[i] for i in kept], LABELS[kept])
        assert whole & there <= shots(copy, 4) <= there
        # a class that has lost videos may keep one fewer
        assert len((tenth(split) & there) - tenth(copy)) <= CLASSES


def test_parts_of_one_video_are_chosen_by_when_they_begin() -> None:
    times = np.array([[i, i + 1.5] for i in range(len(PATHS))], float)
    split = Split.of(["P01/P01_01.MP4"] * len(PATHS), LABELS, segments=times)
    chosen = {split.segment(i) for i in part(split, 0.1, 0, CLASSES)}
    order = np.random.default_rng(1).permutation(len(PATHS))
    again = split.select(order)
    assert chosen == {again.segment(i) for i in part(again, 0.1, 0, CLASSES)}
    assert len(chosen) == 4 * CLASSES


def test_a_class_of_few_videos_keeps_one() -> None:
    split = listed(PATHS[:10], np.array([0] * 8 + [1] * 2))
    assert np.bincount(split.labels[[*part(split, 0.1, 0, 2)]]).tolist() == [1, 1]


@pytest.mark.slow
def test_a_dataset_has_a_fraction_or_few_shots_and_says_what_it_was_before(tmp_path) -> None:
    kinetics(400)(tmp_path, 8_000, 400)
    data = kinetics400(root=tmp_path, sizes="any", fraction=0.1)
    assert np.bincount(data.splits["train"].labels).tolist() == [2] * 400
    assert len(data.splits["test"]) == 400 and len(data.listed["train"]) == 8_000
    assert data.chosen == part(data.listed["train"], 0.1, 0, 400)
    other = kinetics400(root=tmp_path, sizes="any", fraction=0.1, fraction_seed=1)
    assert other.chosen != data.chosen
    options = {"root": tmp_path, "sizes": "any"}
    assert "data.fraction must be above 0 and below 1" in problem(
        kinetics400, **options, fraction=1.0
    )
    both = problem(kinetics400, **options, fraction=0.1, shots=1)
    assert both == "data.shots=1 and data.fraction=0.1: set one of them"
